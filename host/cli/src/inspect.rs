//! `transducer-host inspect`: all that is in a bundle.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use transducer_bundle::{MANIFEST_FILE, Package, WeightsInfo};

use crate::bundles::{AdaptersDir, print_json, summary};

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A .tadapter file, a bundle's folder, or the name of an installed adapter
    #[arg(value_name = "BUNDLE")]
    which: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    dir: AdaptersDir,
}

/// Prints what is in a bundle.
///
/// # Errors
/// Where it cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let package = args.dir.open(&args.which)?;
    let weights = package.weights()?;
    if args.json {
        let mut object = summary(&package);
        object["manifest"] = manifest(&package)?;
        object["weights"] = json!(weights);
        return print_json(&object);
    }
    print(&package, weights.as_ref())
}

/// The manifest as it is written.
pub(crate) fn manifest(package: &Package) -> Result<Value> {
    let text = String::from_utf8_lossy(&package.archive.files[MANIFEST_FILE]);
    Ok(serde_json::to_value(toml::from_str::<toml::Table>(&text)?)?)
}

fn print(package: &Package, weights: Option<&WeightsInfo>) -> Result<()> {
    let manifest = &package.bundle.manifest;
    let base = &manifest.base_model;
    let shape = &manifest.transducer;
    let trained = weights.map_or("untrained".to_owned(), |weights| {
        format!("{} parameters in {} tensors", weights.parameters, weights.tensors.len())
    });
    let rows = [
        ("name", manifest.name.to_string()),
        ("version", manifest.version.to_string()),
        ("summary", manifest.summary.clone()),
        ("licence", manifest.license.clone()),
        ("generation", package.bundle.generation.to_string()),
        ("languages", manifest.languages.join(", ")),
        ("world", manifest.world.clone()),
        (
            "model",
            format!("{} ({}, {} wide)", base.id, base.family, base.hidden_size),
        ),
        (
            "transducer",
            format!(
                "{trained}; width {}, {} layers, {} heads, {} + {} task tokens",
                shape.width, shape.layers, shape.heads, shape.task_tokens, shape.reply_tokens
            ),
        ),
        ("edges", shape.edge_kinds.join(", ")),
    ];
    let mut out = std::io::stdout().lock();
    for (key, value) in rows {
        writeln!(out, "{key:<12}{value}")?;
    }
    writeln!(out, "\n{:<28}{:>10}  sha256", "file", "bytes")?;
    for file in package.files() {
        writeln!(out, "{:<28}{:>10}  {}", file.name, file.size, file.sha256)?;
    }
    if let Some(weights) = weights {
        writeln!(
            out,
            "\n{:<30}{:<14}{:>11}{:>11}{:>11}",
            "tensor", "shape", "least", "most", "rms"
        )?;
        for tensor in &weights.tensors {
            let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
            let shape = shape.join("x");
            writeln!(
                out,
                "{:<30}{shape:<14}{:>11.4}{:>11.4}{:>11.4}",
                tensor.name, tensor.min, tensor.max, tensor.rms
            )?;
        }
    }
    Ok(())
}
