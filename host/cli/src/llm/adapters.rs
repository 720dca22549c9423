//! `transducer-host adapters`: what is in the adapters directory.

use std::io::Write;

use anyhow::{Result, bail};
use transducer_pipeline::{AdapterState, Service};

use crate::options::HostArgs;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let host = args.host.load()?;
    let adapters = host.adapters();
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(
            &mut out,
            &serde_json::json!({"model": host.model(), "endpoints": host.endpoints(), "adapters": adapters}),
        )?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<24}{:<10}{:<14}{:>10}  {:<32}summary",
        "adapter", "version", "generation", "parameters", "signer"
    )?;
    let mut broken = Vec::new();
    for adapter in &adapters {
        match &adapter.state {
            AdapterState::Ready(info) => {
                let parameters = if info.trained {
                    info.parameters.to_string()
                } else {
                    "untrained".to_owned()
                };
                let signer = adapter.signer.as_ref();
                let signer = signer.map_or("-".to_owned(), |signer| format!("{} ({})", signer.name, signer.key));
                let generation = &info.generation[..12];
                writeln!(
                    out,
                    "{:<24}{:<10}{generation:<14}{parameters:>10}  {signer:<32}{}",
                    adapter.name, info.version, info.summary
                )?;
            }
            AdapterState::Broken { error } => broken.push(format!("{}: {error}", adapter.name)),
        }
    }
    if !broken.is_empty() {
        bail!(
            "{} of {} adapters cannot be used\n{}",
            broken.len(),
            adapters.len(),
            broken.join("\n")
        );
    }
    Ok(())
}
