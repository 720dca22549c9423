//! `transducer-host build`: the component of a bundle whose source lies beside its manifest.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bundles::write_whole;

/// The component that templates name in their manifests.
pub const COMPONENT: &str = "task.wasm";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder, with the task's source: Cargo.toml (Rust), package.json (JavaScript) or src/task.c (C)
    bundle: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Example:
  transducer-host new task explain-briefly
  transducer-host build explain-briefly      # writes explain-briefly/task.wasm";

/// Compiles the task and puts `task.wasm` beside its manifest, in one step.
///
/// # Errors
/// Where there is no source, no toolchain for WebAssembly, or the source does not compile.
pub fn run(args: &Args) -> Result<()> {
    let folder =
        fs::canonicalize(&args.bundle).with_context(|| format!("there is no folder {}", args.bundle.display()))?;
    let (path, bytes) = build(&folder)?;
    let told = if args.json {
        serde_json::json!({"component": path, "bytes": bytes}).to_string()
    } else {
        format!("{} ({bytes} bytes)", path.display())
    };
    writeln!(io::stdout(), "{told}")?;
    Ok(())
}

/// Compiles the task; gives the component that was written, and its length.
///
/// # Errors
/// As [`run`].
pub fn build(folder: &Path) -> Result<(PathBuf, usize)> {
    let component = transducer_guests::build(folder, &|what| eprintln!("{what}"))?;
    let path = folder.join(COMPONENT);
    write_whole(&path, &component)?;
    Ok((path, component.len()))
}
