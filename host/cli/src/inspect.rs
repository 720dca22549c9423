//! `transducer-host inspect`: all that is in a bundle.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use transducer_bundle::{Evaluation, MANIFEST_FILE, Package, Provenance, WeightsInfo};

use crate::bundles::{AdaptersDir, PolicyArgs, commit_line, print_json, summary};

mod verdict;

use verdict::Verdict;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A .tadapter file, a bundle's folder, or the name of an installed adapter
    #[arg(value_name = "BUNDLE", required_unless_present = "schema")]
    which: Option<PathBuf>,

    /// Print the JSON schema of manifests instead: every key of adapter.toml, and what it means
    #[arg(long, conflicts_with_all = ["which", "json"])]
    schema: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    dir: AdaptersDir,
}

/// Prints what is in a bundle.
///
/// # Errors
/// Where it cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let Some(which) = &args.which else {
        return print_json(&transducer_bundle::schema());
    };
    let path = args.dir.find(which)?;
    let package = Package::open(&path)?;
    let policy = args.policy.open(&args.dir.adapters)?;
    let verdict = Verdict::of(&package, &path, policy.as_ref());
    let weights = package.weights()?;
    if args.json {
        let mut object = summary(&package);
        object["manifest"] = manifest(&package)?;
        object["weights"] = json!(weights);
        object["signature"] = verdict.signature_json();
        object["policy"] = verdict.policy_json();
        object["budget"] = verdict.budget_json();
        object["task"] = interface_json(&package);
        return print_json(&object);
    }
    print(&package, weights.as_ref(), &verdict)
}

/// The manifest as it is written.
pub(crate) fn manifest(package: &Package) -> Result<Value> {
    let text = String::from_utf8_lossy(&package.archive.files[MANIFEST_FILE]);
    Ok(serde_json::to_value(toml::from_str::<toml::Table>(&text)?)?)
}

fn in_precision(precision: Option<&str>) -> String {
    precision
        .map(|precision| format!(", in {precision}"))
        .unwrap_or_default()
}

fn interface_json(package: &Package) -> Value {
    // A component that cannot be read is for `verify` to judge.
    let interface = transducer_guests::interface(&package.bundle.component).unwrap_or_default();
    json!({"imports": interface.imports, "exports": interface.exports, "tools": interface.tools})
}

fn print(package: &Package, weights: Option<&WeightsInfo>, verdict: &Verdict<'_>) -> Result<()> {
    let manifest = &package.bundle.manifest;
    let base = &manifest.base_model;
    let shape = &manifest.transducer;
    let trained = weights.map_or("untrained".to_owned(), |weights| {
        format!("{} parameters in {} tensors", weights.parameters, weights.tensors.len())
    });
    let mut rows = vec![
        ("name", manifest.name.to_string()),
        ("version", manifest.version.to_string()),
        ("summary", manifest.summary.clone()),
        ("licence", manifest.license.clone()),
        ("generation", package.bundle.generation.to_string()),
    ];
    rows.extend(verdict.rows());
    rows.extend([
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
        (
            "host",
            manifest.host.as_ref().map_or("any".to_owned(), ToString::to_string),
        ),
    ]);
    if let Ok(interface) = transducer_guests::interface(&package.bundle.component) {
        rows.push(("imports", interface.imports.join(", ")));
        rows.push(("exports", interface.exports.join(", ")));
    }
    if let Some(record) = &package.record {
        let tools = record.tools.iter().map(|(name, version)| format!("{name} {version}"));
        let tools: Vec<_> = std::iter::once(format!("transducer-host {}", record.host))
            .chain(tools)
            .collect();
        rows.push(("packed with", tools.join(", ")));
        rows.push(("commit", commit_line(Some(record))));
    }
    if let Some(Provenance {
        data_sha256,
        validation_sha256,
        seed,
        host,
        precision,
        ..
    }) = &manifest.provenance
    {
        let validation = validation_sha256
            .as_ref()
            .map(|sha256| format!(", validated on {sha256}"));
        let validation = validation.unwrap_or_default();
        rows.push((
            "trained on",
            format!(
                "data of SHA-256 {data_sha256}{validation}, seed {seed}, host {host}{}",
                in_precision(precision.as_deref())
            ),
        ));
    }
    if let Some(Evaluation {
        data_sha256,
        rows: count,
        host,
        precision,
        left_out,
        scores,
        ..
    }) = &manifest.evaluation
    {
        let left_out = left_out.map(|left_out| format!(" ({left_out} left out)"));
        rows.push((
            "evaluated on",
            format!(
                "{count} rows{} of data of SHA-256 {data_sha256}, host {host}{}",
                left_out.unwrap_or_default(),
                in_precision(precision.as_deref())
            ),
        ));
        for (metric, score) in scores {
            let told = format!("{metric} {:.2}, {:.2} to {:.2}", score.value, score.low, score.high);
            rows.push(("", told));
        }
    }
    let mut out = std::io::stdout().lock();
    for (key, value) in rows {
        writeln!(out, "{key:<14}{value}")?;
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
