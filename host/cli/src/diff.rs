//! `transducer-host diff`: in what two bundles differ.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use transducer_bundle::Package;

use crate::bundles::{AdaptersDir, print_json};
use crate::inspect::manifest;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A .tadapter file, a bundle's folder, or the name of an installed adapter
    first: PathBuf,

    /// Another
    second: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    dir: AdaptersDir,
}

/// What differs, and how it stands on each side; null where it is not.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    what: String,
    first: Value,
    second: Value,
}

/// Prints in what two bundles differ: keys of their manifests (provenance and evaluation among them), imports and exports of their
/// tasks, files, statistics of their weights, and with what they were packed.
///
/// # Errors
/// Where one of them cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let (first, second) = (args.dir.open(&args.first)?, args.dir.open(&args.second)?);
    let manifests = changes(keys(&manifest(&first)?), keys(&manifest(&second)?));
    let files = changes(digests(&first), digests(&second));
    let weights = changes(tensors(&first)?, tensors(&second)?);
    let tasks = changes(names(&first), names(&second));
    let packed = changes(keys(&json!(first.record)), keys(&json!(second.record)));
    let same = first.bundle.generation == second.bundle.generation;
    if args.json {
        return print_json(&json!({
            "same_generation": same,
            "first": first.bundle.generation,
            "second": second.bundle.generation,
            "manifest": manifests,
            "files": files,
            "weights": weights,
            "task": tasks,
            "packed": packed,
        }));
    }
    let mut out = std::io::stdout().lock();
    if same {
        writeln!(out, "the same generation: a host loads the same bytes of both")?;
    }
    let parts = [
        ("manifest", manifests),
        ("task", tasks),
        ("files", files),
        ("weights", weights),
        ("packed", packed),
    ];
    for (title, changes) in parts {
        for Change { what, first, second } in changes {
            writeln!(out, "{title:<10}{what}: {} -> {}", told(&first), told(&second))?;
        }
    }
    Ok(())
}

fn told(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn changes(first: BTreeMap<String, Value>, mut second: BTreeMap<String, Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (what, first) in first {
        let second = second.remove(&what).unwrap_or(Value::Null);
        if first != second {
            changes.push(Change { what, first, second });
        }
    }
    changes.extend(second.into_iter().map(|(what, second)| Change {
        what,
        first: Value::Null,
        second,
    }));
    changes.sort_by(|a, b| a.what.cmp(&b.what));
    changes
}

/// The manifest's keys with their tables, as in `adapter.version`.
fn keys(manifest: &Value) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    let mut open = vec![(String::new(), manifest)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(table) => open.extend(table.iter().map(|(key, value)| {
                let dot = if path.is_empty() { "" } else { "." };
                (format!("{path}{dot}{key}"), value)
            })),
            value => {
                keys.insert(path, value.clone());
            }
        }
    }
    keys
}

fn digests(package: &Package) -> BTreeMap<String, Value> {
    let told = |sha256: &str, size: u64| format!("{} ({size} bytes)", &sha256[..12]).into();
    let files = package.files().into_iter();
    files.map(|file| (file.name, told(&file.sha256, file.size))).collect()
}

/// What the task imports and exports, by name.
fn names(package: &Package) -> BTreeMap<String, Value> {
    // A component that cannot be read is for `verify` to judge; that its bytes differ is told beside the files.
    let interface = transducer_guests::interface(&package.bundle.component).unwrap_or_default();
    let imports = interface
        .imports
        .into_iter()
        .map(|name| (format!("import {name}"), true.into()));
    let exports = interface
        .exports
        .into_iter()
        .map(|name| (format!("export {name}"), true.into()));
    imports.chain(exports).collect()
}

fn tensors(package: &Package) -> Result<BTreeMap<String, Value>> {
    let tensors = package.weights()?.map(|weights| weights.tensors).unwrap_or_default();
    let told = |tensor: transducer_bundle::TensorInfo| {
        let told = format!(
            "{:?}, {:.4} to {:.4}, mean {:.6}, rms {:.6}",
            tensor.shape, tensor.min, tensor.max, tensor.mean, tensor.rms
        );
        (tensor.name, told.into())
    };
    Ok(tensors.into_iter().map(told).collect())
}
