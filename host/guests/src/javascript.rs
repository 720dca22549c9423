//! Tasks in JavaScript: an ES module, put into a component together with an interpreter, QuickJS. The toolchain comes from npm, in
//! the version that the project's lock file pins.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{GuestError, run, wit};

/// The file that says where the task begins, and what it needs.
pub(crate) const MANIFEST: &str = "package.json";

const COMPONENTIZE: &str = include_str!("componentize.mjs");

/// The oldest that the toolchain runs on.
const OLDEST_NODE: u32 = 18;

pub(crate) fn build(folder: &Path, say: &dyn Fn(&str)) -> Result<Vec<u8>, GuestError> {
    let world = wit::world_of(folder)?;
    check_node()?;
    let source = entry(&folder.join(MANIFEST))?;
    install(folder, say)?;
    let package = wit::unpacked(&world)?;
    let output = package.path().join("task.wasm");
    say("making a component of the task and a JavaScript interpreter…");
    let mut node = Command::new("node");
    node.current_dir(folder)
        .args(["--input-type=module", "--eval", COMPONENTIZE, "--", &source])
        .arg(package.path())
        .arg(wit::WORLD)
        .arg(&output);
    run(node)?;
    crate::read(&output)
}

fn check_node() -> Result<(), GuestError> {
    for program in ["node", "npm"] {
        let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        let Ok(output) = output else {
            return Err(GuestError::NoNode {
                found: format!("no {program}"),
                oldest: OLDEST_NODE,
            });
        };
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = version
            .trim_start_matches('v')
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        if program == "node" && major.is_none_or(|major| major < OLDEST_NODE) {
            return Err(GuestError::NoNode {
                found: format!("node {version}"),
                oldest: OLDEST_NODE,
            });
        }
    }
    Ok(())
}

/// The file that the task begins with, as seen from the project's folder.
fn entry(manifest: &Path) -> Result<String, GuestError> {
    let text = crate::read_text(manifest)?;
    let package: serde_json::Value = serde_json::from_str(&text).map_err(|error| GuestError::Manifest {
        path: manifest.to_owned(),
        message: error.to_string(),
    })?;
    let main = package.get("main").and_then(|main| main.as_str());
    Ok(main.unwrap_or("src/task.js").to_owned())
}

/// Has npm fetch what the lock file pins, unless that was done since it was last written.
fn install(folder: &Path, say: &dyn Fn(&str)) -> Result<(), GuestError> {
    let modified = |file: &str| {
        folder
            .join(file)
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let lock = modified("package-lock.json");
    // npm writes the second file at the end of an installation.
    if lock.is_some() && lock <= modified("node_modules/.package-lock.json") {
        return Ok(());
    }
    say("fetching the component toolchain with npm…");
    let mut npm = Command::new("npm");
    npm.current_dir(folder)
        .arg(if lock.is_some() { "ci" } else { "install" })
        .args(["--ignore-scripts", "--no-audit", "--no-fund"])
        .stdout(Stdio::null());
    run(npm).map(drop)
}
