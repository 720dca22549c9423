//! `transducer-host build`: the component of a bundle whose source lies beside its manifest.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use transducer_guests::{TARGET, Toolchain, component, module_path};

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The bundle's folder, with the task's Cargo.toml
    bundle: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compiles the task and puts `task.wasm` beside its manifest, in one step.
///
/// # Errors
/// Where there is no source, no toolchain for WebAssembly, or the source does not compile.
pub fn run(args: &Args) -> Result<()> {
    let folder =
        fs::canonicalize(&args.bundle).with_context(|| format!("there is no folder {}", args.bundle.display()))?;
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| {
        format!(
            "cannot read {}: `new task` makes a project with one",
            manifest.display()
        )
    })?;
    let package =
        package_name(&text).with_context(|| format!("{} has no [package] with a name", manifest.display()))?;
    let target = folder.join("target");
    let mut cargo = Toolchain::find(&folder)?.cargo(&folder);
    cargo
        .current_dir(&folder)
        .args(["build", "--release", "--lib", "--target", TARGET, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target);
    let status = cargo
        .status()
        .with_context(|| format!("cannot start {}", cargo.get_program().display()))?;
    ensure!(status.success(), "the task does not compile: cargo ended with {status}");
    let component = component(&module_path(&target, &package))?;
    let path = folder.join("task.wasm");
    let mut file =
        tempfile::NamedTempFile::new_in(&folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    std::io::Write::write_all(&mut file, &component)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    file.persist(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if args.json {
        println!("{}", serde_json::json!({"component": path, "bytes": component.len()}));
    } else {
        println!("{} ({} bytes)", path.display(), component.len());
    }
    Ok(())
}

fn package_name(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}
