//! Tasks in Rust: a library crate against `sdk/task`.

use std::path::Path;

use crate::{GuestError, TARGET, Toolchain, component, module_path, run};

pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, GuestError> {
    let manifest = folder.join("Cargo.toml");
    let text = crate::read_text(&manifest)?;
    let Some(package) = package_name(&text) else {
        return Err(GuestError::NoPackage { path: manifest });
    };
    let target = folder.join("target");
    let mut cargo = Toolchain::find(folder)?.cargo(folder);
    cargo
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", TARGET, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target);
    run(cargo)?;
    component(&module_path(&target, &package))
}

fn package_name(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}
