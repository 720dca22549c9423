//! The task components: built from `plugins/task-*`, committed as `adapters/*/task.wasm`.
//!
//! They are committed so that building and testing the host needs no WebAssembly toolchain. Each carries a digest of
//! its sources, and [`check_tasks`] finds those that were not built from the sources that lie beside them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use transducer_guests::{TARGET, Toolchain, module_path};
use wasm_encoder::{ComponentSection, CustomSection};

/// A task's package in `plugins/`, and the adapter that it is built for.
const TASKS: [(&str, &str); 4] = [
    ("task-summarize", "summarize-java"),
    ("task-summarize", "summarize-python"),
    ("task-assert", "assert-java"),
    ("task-translate", "translate-java-csharp"),
];

/// What every task is made of, beside its own package.
const SHARED_SOURCES: [&str; 2] = ["sdk/task", "sdk/wit/1.0.0"];

/// The guests' workspace.
pub(crate) const MANIFEST: &str = "sdk/task/Cargo.toml";

/// The custom section with the SHA-256 of the sources, in hexadecimal.
const SOURCE_SECTION: &str = "transducer-source";

/// A task above this size is a mistake: a debug build, or a dependency that drags in too much. In bytes.
const MAX_TASK_BYTES: usize = 150_000;

/// Builds every task and writes it to its adapter, as `adapters/<name>/task.wasm`.
///
/// # Errors
/// When there is no toolchain for WebAssembly (the message says what to install), or the build fails.
pub(crate) fn build_tasks(root: &Path) -> Result<()> {
    let target_dir = root.join("target").join("guests");
    let mut cargo = Toolchain::find(root)?.cargo(root);
    cargo
        .current_dir(root)
        .args(["build", "--release", "--locked", "--lib"])
        .args(["--target", TARGET, "--manifest-path", MANIFEST])
        .arg("--target-dir")
        .arg(&target_dir);
    for (package, _) in TASKS {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().with_context(|| format!("cannot start {cargo:?}"))?;
    ensure!(status.success(), "building the tasks failed ({status})");
    for (package, adapter) in TASKS {
        let module = module_path(&target_dir, package);
        let component = component(&module, &source_digest(root, package)?)?;
        let path = task_path(root, adapter);
        ensure!(
            component.len() <= MAX_TASK_BYTES,
            "{} would have {} bytes; the limit is {MAX_TASK_BYTES}",
            path.display(),
            component.len()
        );
        fs::create_dir_all(path.with_file_name("")).with_context(|| format!("cannot make the folder of {path:?}"))?;
        fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), component.len());
    }
    Ok(())
}

/// Checks that every committed task was built from the sources in this tree. It needs no toolchain.
///
/// # Errors
/// Names the first task that is missing or was built from other sources.
pub(crate) fn check_tasks(root: &Path) -> Result<()> {
    for (package, adapter) in TASKS {
        let path = task_path(root, adapter);
        let wasm =
            fs::read(&path).with_context(|| format!("cannot read {}; run `cargo xtask tasks`", path.display()))?;
        let built_from = recorded_digest(&wasm).with_context(|| format!("{} cannot be read", path.display()))?;
        let sources = source_digest(root, package)?;
        ensure!(
            built_from == sources,
            "{} was built from other sources than plugins/{package}, {} are now ({built_from} recorded, {sources} \
             found); run `cargo xtask tasks` and commit the result",
            path.display(),
            SHARED_SOURCES.join(", "),
        );
    }
    Ok(())
}

fn task_path(root: &Path, adapter: &str) -> PathBuf {
    root.join("adapters").join(adapter).join("task.wasm")
}

/// Makes a component of a core module and notes its sources in it.
fn component(module: &Path, digest: &str) -> Result<Vec<u8>> {
    let mut component = transducer_guests::component(module)?;
    let section = CustomSection {
        name: SOURCE_SECTION.into(),
        data: digest.as_bytes().into(),
    };
    section.append_to_component(&mut component);
    Ok(component)
}

/// The digest of the sources that a component was built from.
fn recorded_digest(wasm: &[u8]) -> Result<String> {
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        if let wasmparser::Payload::CustomSection(section) = payload?
            && section.name() == SOURCE_SECTION
        {
            return Ok(String::from_utf8(section.data().to_vec())?);
        }
    }
    bail!("there is no section `{SOURCE_SECTION}`; build it with `cargo xtask tasks`")
}

/// SHA-256 over path, length and content of every source of a task, in the order of the paths.
fn source_digest(root: &Path, package: &str) -> Result<String> {
    let mut files = Vec::new();
    collect_sources(&root.join("plugins").join(package), &mut files)?;
    for folder in SHARED_SOURCES {
        collect_sources(&root.join(folder), &mut files)?;
    }
    let mut named = Vec::new();
    for file in &files {
        let path = file
            .strip_prefix(root)?
            .to_str()
            .with_context(|| format!("{file:?} is not UTF-8"))?;
        named.push((path.replace('\\', "/"), file));
    }
    named.sort();
    let mut hash = Sha256::new();
    for (name, file) in named {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        for part in [name.as_bytes(), &content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// The files below a folder that reach the compiler: no links, no documents, no build output.
fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && entry.file_name() != "target" {
            collect_sources(&path, files)?;
        } else if kind.is_file() && path.extension().is_none_or(|extension| extension != "md") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check_tasks, recorded_digest};

    #[test]
    fn committed_tasks_were_built_from_these_sources() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        check_tasks(root).expect("the committed tasks are up to date");
    }

    #[test]
    fn a_component_without_a_digest_says_so() {
        let error = recorded_digest(b"\0asm\x0d\0\x01\0").expect_err("there is no section");
        assert!(error.to_string().contains("transducer-source"), "{error}");
    }
}
