//! What compiles tasks, for the tests that start from their sources: Rust for WebAssembly, clang with lld, Node.js with npm.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use transducer_guests::Toolchain;

/// Installs what is missing from Debian's packages.
///
/// # Errors
/// Names the packages where this is no Debian, or the user may not install.
pub(crate) fn ensure(root: &Path) -> Result<()> {
    let missing = missing(root);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    eprintln!("Installing {names}");
    for arguments in [
        vec!["update"],
        [vec!["install", "--yes", "--no-install-recommends"], missing].concat(),
    ] {
        let status = Command::new("apt-get")
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("there is no apt-get: install what Debian calls {names}"))?;
        ensure!(
            status.success(),
            "apt-get {} failed: as root, apt-get install {names}",
            arguments[0]
        );
    }
    let missing = self::missing(root);
    if !missing.is_empty() {
        bail!("still missing after their installation: {}", missing.join(" "));
    }
    Ok(())
}

/// Debian's packages of what is not there.
fn missing(root: &Path) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if Toolchain::find(root).is_err() {
        packages.extend(["rustc-web", "cargo-web", "rust-web-src"]);
    }
    for (program, package) in [
        ("wasm-ld", "lld"),
        ("clang", "clang"),
        ("node", "nodejs"),
        ("npm", "npm"),
    ] {
        let version = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if version.is_err() {
            packages.push(package);
        }
    }
    packages
}
