//! Tasks in Rust: a library crate against `sdk/task`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::{GuestError, TARGET, Toolchain, component, run};

pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, GuestError> {
    let manifest = folder.join("Cargo.toml");
    if !is_package(&crate::read_text(&manifest)?) {
        return Err(GuestError::NoPackage { path: manifest });
    }
    let mut cargo = Toolchain::find(folder)?.cargo(folder);
    cargo
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", TARGET, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(folder.join("target"))
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    match module(&String::from_utf8_lossy(&run(cargo)?)) {
        Some(module) => component(&module),
        None => Err(GuestError::NoModule { path: manifest }),
    }
}

fn is_package(manifest: &str) -> bool {
    let name = |manifest: toml::Table| Some(manifest.get("package")?.get("name")?.is_str());
    manifest.parse().ok().and_then(name) == Some(true)
}

/// The core module that Cargo says it made: the last, since what a crate depends on is made before it. A file of the name that one
/// would expect may be of an earlier build.
fn module(messages: &str) -> Option<PathBuf> {
    let files = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["reason"] == "compiler-artifact").then(|| message["filenames"].as_array().cloned())?
    };
    let files = messages.lines().filter_map(files).flatten();
    let mut paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths.rfind(|path| path.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_that_cargo_names() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/release/libdep.rlib","/t/release/dep.wasm"]}
{"reason":"build-script-executed","out_dir":"/t/out.wasm"}
{"reason":"compiler-artifact","target":{"name":"other"},"filenames":["/t/release/libother.rlib","/t/release/other.wasm"],"fresh":true}
{"reason":"build-finished","success":true}"#;
        assert_eq!(module(messages), Some(PathBuf::from("/t/release/other.wasm")));
        assert_eq!(
            module(r#"{"reason":"compiler-artifact","filenames":["/t/release/libtsk.rlib"]}"#),
            None
        );
        assert_eq!(module("no JSON"), None);
    }

    #[test]
    fn a_package_has_a_name() {
        assert!(is_package("[package]\nname = \"tsk\"\n[lib]\nname = \"other\""));
        assert!(!is_package("[workspace]") && !is_package("[package]") && !is_package("["));
    }
}
