//! `transducer-host verify`: whether a host would take a bundle.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use transducer_host::bundles::{AdaptersDir, print_json, summary};
use transducer_pipeline::check_bundle;

/// What `--help` adds.
const MORE: &str = "\
Checks the archive's form, every digest, the manifest, every tensor of the weights, and the
task's component in the sandbox. Whether it fits your model and front ends is what `adapters`
says, which loads them.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub(crate) struct Args {
    /// A .tadapter file, a bundle's folder, or the name of an installed adapter
    #[arg(value_name = "BUNDLE")]
    which: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    dir: AdaptersDir,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let package = args.dir.open(&args.which)?;
    let context = || format!("{} would be refused by a host", args.which.display());
    package.weights().with_context(context)?;
    check_bundle(&package.bundle).with_context(context)?;
    if args.json {
        return print_json(&summary(&package));
    }
    let (manifest, generation) = (&package.bundle.manifest, package.bundle.generation);
    writeln!(
        std::io::stdout(),
        "{} {} is good: {} files, generation {generation}",
        manifest.name,
        manifest.version,
        package.files().len()
    )?;
    Ok(())
}
