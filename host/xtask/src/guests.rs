//! The task components: built from `plugins/task-*` and from the examples, and committed beside their manifests.
//!
//! They are committed so that building and testing the host needs no WebAssembly toolchain. [`LOCK`] has the digests of each
//! and of its own sources, and [`check_tasks`] finds those that were not built from the sources that lie beside them. The
//! SDK is not among these sources: a component that was built with an older one goes on working, and to build it with a newer
//! one is a release of its bundle.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use transducer_guests::{TARGET, Toolchain, module_path};

/// A component that is committed.
struct Guest {
    /// Its bundle's folder.
    bundle: &'static str,
    /// The folder of its package.
    source: &'static str,
    /// The name of its package.
    package: &'static str,
}

const fn guest(bundle: &'static str, source: &'static str, package: &'static str) -> Guest {
    Guest {
        bundle,
        source,
        package,
    }
}

const GUESTS: [Guest; 9] = [
    guest("adapters/summarize-java", "plugins/task-summarize", "task-summarize"),
    guest("adapters/summarize-python", "plugins/task-summarize", "task-summarize"),
    guest("adapters/assert-java", "plugins/task-assert", "task-assert"),
    guest(
        "adapters/translate-java-csharp",
        "plugins/task-translate",
        "task-translate",
    ),
    guest("sdk/examples/0_hello", "sdk/examples/0_hello", "hello"),
    guest("sdk/examples/1_answer", "sdk/examples/1_answer", "propose-name"),
    guest("sdk/examples/2_graph", "sdk/examples/2_graph", "explain-parameters"),
    guest("sdk/examples/3_metric", "sdk/examples/3_metric", "summarize-measured"),
    guest("sdk/templates/task", "sdk/templates/task", "my-task"),
];

/// The guests' workspace.
pub(crate) const MANIFEST: &str = "sdk/task/Cargo.toml";

/// What every component was built from.
const LOCK: &str = "plugins/tasks.toml";

/// What [`LOCK`] begins with.
const LOCK_HEAD: &str = "\
# What each committed task.wasm was built from: SHA-256 of the component and of its package's own sources, and its world.
# Written by `cargo xtask tasks`, compared by `cargo xtask tasks --check`.
";

/// A task above this size is a mistake: a debug build, or a dependency that drags in too much. In bytes.
const MAX_TASK_BYTES: usize = 150_000;

/// A line of [`LOCK`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Built {
    component: String,
    sources: String,
    world: String,
}

/// Builds the tasks of these bundles, or all, and writes each to its bundle as `task.wasm`, with its world in the manifest.
///
/// # Errors
/// When there is no toolchain for WebAssembly (the message says what to install), or the build fails.
pub(crate) fn build_tasks(root: &Path, bundles: &[String]) -> Result<()> {
    for name in bundles {
        let known = GUESTS.iter().any(|guest| guest.bundle == name.trim_end_matches('/'));
        ensure!(
            known,
            "{name} is no bundle with a task of this tree; there are {}",
            named()
        );
    }
    let chosen =
        |guest: &&Guest| bundles.is_empty() || bundles.iter().any(|name| name.trim_end_matches('/') == guest.bundle);
    let toolchain = Toolchain::find(root)?;
    let target_dir = root.join("target").join("guests");
    let mut lock = read_lock(root)?;
    for guest in GUESTS.iter().filter(chosen) {
        let mut cargo = toolchain.cargo(root);
        cargo
            .current_dir(root)
            .args([
                "build",
                "--release",
                "--locked",
                "--lib",
                "--target",
                TARGET,
                "--manifest-path",
            ])
            .arg(root.join(guest.source).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target_dir);
        let status = cargo.status().with_context(|| format!("cannot start {cargo:?}"))?;
        ensure!(status.success(), "building {} failed ({status})", guest.source);
        let component = transducer_guests::component(&module_path(&target_dir, guest.package))?;
        let path = task_path(root, guest);
        ensure!(
            component.len() <= MAX_TASK_BYTES,
            "{} would have {} bytes; the limit is {MAX_TASK_BYTES}",
            path.display(),
            component.len()
        );
        let built = built(root, guest, &component)?;
        set_world(&root.join(guest.bundle).join("adapter.toml"), &built.world)?;
        fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} ({} bytes, {})", path.display(), component.len(), built.world);
        lock.insert(guest.bundle.to_owned(), built);
    }
    let text = format!("{LOCK_HEAD}\n{}", toml::to_string(&lock)?);
    fs::write(root.join(LOCK), text).with_context(|| format!("cannot write {LOCK}"))
}

/// Checks that every committed task was built from the sources in this tree. It needs no toolchain.
///
/// # Errors
/// Names the first task that is missing or was built from other sources.
pub(crate) fn check_tasks(root: &Path) -> Result<()> {
    let mut lock = read_lock(root)?;
    for guest in &GUESTS {
        let path = task_path(root, guest);
        let (bundle, source) = (guest.bundle, guest.source);
        let mend = || format!("run `cargo xtask tasks {bundle}` and commit the result");
        let wasm = fs::read(&path).with_context(|| format!("cannot read {}; {}", path.display(), mend()))?;
        let found = built(root, guest, &wasm)?;
        let noted = lock
            .remove(bundle)
            .with_context(|| format!("{LOCK} has no line for {bundle}; {}", mend()))?;
        ensure!(
            found.component == noted.component && found.world == noted.world,
            "{} is not the component that {LOCK} names; {}",
            path.display(),
            mend()
        );
        ensure!(
            found.sources == noted.sources,
            "{} was built from other sources than {source} are now; {}",
            path.display(),
            mend()
        );
    }
    match lock.into_keys().next() {
        Some(bundle) => bail!("{LOCK} names {bundle}, which has no task of this tree; remove the line"),
        None => Ok(()),
    }
}

fn named() -> String {
    GUESTS.map(|guest| guest.bundle).join(", ")
}

fn read_lock(root: &Path) -> Result<BTreeMap<String, Built>> {
    let text = fs::read_to_string(root.join(LOCK)).with_context(|| format!("cannot read {LOCK}"))?;
    toml::from_str(&text).with_context(|| format!("{LOCK} cannot be understood"))
}

fn task_path(root: &Path, guest: &Guest) -> PathBuf {
    root.join(guest.bundle).join("task.wasm")
}

/// What the lock should say of a component.
fn built(root: &Path, guest: &Guest, component: &[u8]) -> Result<Built> {
    Ok(Built {
        component: hex::encode(Sha256::digest(component)),
        sources: source_digest(root, guest.source)?,
        world: world(component).with_context(|| format!("{} cannot be read", task_path(root, guest).display()))?,
    })
}

/// The world that a component was built for, from the name of its main export.
fn world(component: &[u8]) -> Result<String> {
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        if let wasmparser::Payload::ComponentExportSection(section) = payload? {
            for export in section {
                if let Some(version) = export?.name.name.strip_prefix("transducer:task/handler@") {
                    return Ok(format!("transducer:task@{version}"));
                }
            }
        }
    }
    bail!("it does not export `transducer:task/handler`: it is no task")
}

/// Writes the world into a manifest, and leaves everything else in it as it is.
fn set_world(manifest: &Path, world: &str) -> Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let line = text.lines().find(|line| line.starts_with("world = "));
    let line = line.with_context(|| format!("{} has no line `world = …`", manifest.display()))?;
    let changed = text.replacen(line, &format!("world = \"{world}\""), 1);
    fs::write(manifest, changed).with_context(|| format!("cannot write {}", manifest.display()))
}

/// SHA-256 over path, length and content of every source of a package, in the order of the paths.
fn source_digest(root: &Path, package: &str) -> Result<String> {
    let mut files = Vec::new();
    let folder = root.join(package);
    collect_sources(&folder.join("src"), &mut files)?;
    files.extend(
        ["Cargo.toml", "Cargo.lock"]
            .map(|name| folder.join(name))
            .into_iter()
            .filter(|path| path.is_file()),
    );
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

/// The files below a folder that reach the compiler: no links, no documents.
fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
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

    use super::{check_tasks, world};

    #[test]
    fn committed_tasks_were_built_from_these_sources() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        check_tasks(root).expect("the committed tasks are up to date");
    }

    #[test]
    fn a_component_that_is_no_task_says_so() {
        let error = world(b"\0asm\x0d\0\x01\0").expect_err("there is no export");
        assert!(error.to_string().contains("it is no task"), "{error}");
    }
}
