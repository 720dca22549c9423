//! `transducer-host verify`: whether a host would take a bundle.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use transducer_bundle::{Package, PublicKey};
use transducer_host::bundles::{AdaptersDir, PolicyArgs, print_json, summary};
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

    /// Check too that the owner of this minisign key signed the .tadapter file, in FILE.minisig beside it
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    dir: AdaptersDir,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let path = args.dir.find(&args.which)?;
    let policy = args.policy.open(&args.dir.adapters)?;
    let (package, signer) = match &policy {
        Some(policy) => Package::open_under(&path, policy)?,
        None => (Package::open(&path)?, None),
    };
    let context = || format!("{} would be refused by a host", args.which.display());
    package.weights().with_context(context)?;
    check_bundle(&package.bundle).with_context(context)?;
    let comment = match &args.public_key {
        None => None,
        Some(key) => {
            let packed = package.packed.as_deref().filter(|_| args.which.is_file());
            let packed = packed.context("only a .tadapter file is signed: give its path beside --public-key")?;
            Some(PublicKey::open(key)?.check(&args.which, packed)?)
        }
    };
    if args.json {
        let mut object = summary(&package);
        object["signed"] = comment.into();
        object["signer"] = serde_json::to_value(signer)?;
        return print_json(&object);
    }
    let (manifest, generation) = (&package.bundle.manifest, package.bundle.generation);
    writeln!(
        std::io::stdout(),
        "{} {} is good: {} files, generation {generation}",
        manifest.name,
        manifest.version,
        package.files().len()
    )?;
    if let Some(comment) = comment {
        writeln!(std::io::stdout(), "signed by that key: {}", comment.escape_debug())?;
    }
    if let Some(signer) = signer {
        writeln!(std::io::stdout(), "signed by {} (key {})", signer.name, signer.key)?;
    }
    Ok(())
}
