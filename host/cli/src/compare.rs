//! `transducer-host compare`: two files of predictions, row by row.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use transducer_metrics::{Paired, Prediction, Scored, join, paired, read};

use crate::scores::{CodeArgs, SEED, likelihood, of_task, scored};

/// What `--help` adds.
const MORE: &str = "\
Prints by how much the first is better than the second in each metric, with the 95%
interval of the difference from a paired bootstrap over the rows, and how likely so
large a difference would be by chance.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub struct Args {
    /// Predictions of `eval --out`
    first: PathBuf,

    /// Predictions for the same rows
    second: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    code: CodeArgs,
}

/// Prints the comparison.
///
/// # Errors
/// Where a file cannot be read, or the two are not about the same rows.
pub fn run(args: &Args) -> Result<()> {
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    if first.is_empty() {
        bail!("{} holds no predictions", args.first.display());
    }
    let joined = join(&first, &second)?.into_iter();
    let (first, second): (Vec<Prediction>, Vec<Prediction>) = joined.map(|(a, b)| (a.clone(), b.clone())).unzip();
    let mut out = std::io::stdout().lock();
    let mut metrics = Map::new();
    if !args.json {
        writeln!(
            out,
            "{:<24}{:>8}{:>8}{:>12}  {:<20}{:>8}",
            "metric", "first", "second", "difference", "95% interval", "p"
        )?;
    }
    let of_text = args.code.metrics().into_iter().map(|metric| {
        let name = metric.name().to_owned();
        (name, scored(metric, &first), scored(metric, &second))
    });
    // What only some files have is compared where both have it.
    let mut others = of_task(&second);
    others.extend(likelihood(&second));
    let of_first = of_task(&first).into_iter().chain(likelihood(&first));
    let of_both = of_first.filter_map(|(name, a)| {
        let b = others.remove(&name)?;
        Some((name, a, b))
    });
    let rows: Vec<(String, Scored, Scored)> = of_text.chain(of_both).collect();
    for (name, a, b) in rows {
        let Paired {
            difference,
            low,
            high,
            p,
        } = paired(&a, &b, SEED);
        let (a, b) = (a.score(), b.score());
        if args.json {
            let value = json!({"first": a, "second": b, "difference": difference, "low": low, "high": high, "p": p});
            metrics.insert(name, value);
        } else {
            let interval = format!("{low:.2} to {high:.2}");
            writeln!(
                out,
                "{name:<24}{a:>8.2}{b:>8.2}{difference:>12.2}  {interval:<20}{p:>8.3}"
            )?;
        }
    }
    if args.json {
        let object = json!({"rows": first.len(), "metrics": Value::Object(metrics)});
        serde_json::to_writer_pretty(&mut out, &object)?;
        writeln!(out)?;
    }
    Ok(())
}
