//! `transducer-host pack`: a bundle's folder as one file.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use transducer_bundle::{HOST_VERSION, MANIFEST_FILE, PackRecord, Package};
use transducer_host::bundles::{commit_line, print_json, summary, write_whole};
use transducer_host::vcs;
use transducer_pipeline::check_bundle;

/// What `--help` adds.
const MORE: &str = "\
A bundle that no host would take is refused: the manifest, every tensor of the weights and
the task's component are checked. The archive holds what the host loads, and README.md,
LICENSE, NOTICE and ATTRIBUTION.md where they are there; and in pack.json the Git commit that it
is of, whether its files were changed since, and what tools made it. The same files of the same
commit give the same bytes.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub(crate) struct Args {
    /// The bundle's folder
    dir: PathBuf,

    /// Where to write the archive [default: NAME-VERSION.tadapter]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Pack a bundle that has no weights, and answers as the frozen LLM does
    #[arg(long)]
    untrained: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // A name like `.` or `a/..` has no folder name to hold against the manifest's.
    let dir = args.dir.canonicalize();
    let dir = dir.with_context(|| format!("cannot read {}", args.dir.display()))?;
    if !dir.is_dir() {
        bail!("{} is not a folder: a bundle to be packed is one", dir.display());
    }
    let mut package = Package::open(&dir)?;
    let context = || format!("{} would be refused by a host", dir.display());
    package.weights().with_context(context)?;
    check_bundle(&package.bundle).with_context(context)?;
    if package.bundle.weights.is_none() && !args.untrained {
        bail!(
            "{} names no weights: it would answer as the frozen LLM does. Train it first, or give --untrained",
            dir.join(MANIFEST_FILE).display()
        );
    }
    package.set_record(record(&dir, &package)?);
    let bytes = package.pack()?;
    let path = args.out.clone().unwrap_or_else(|| package.file_name().into());
    write_whole(&path, &bytes)?;
    if args.json {
        let mut object = summary(&package);
        object["path"] = path.to_string_lossy().into();
        object["bytes"] = bytes.len().into();
        object["left_out"] = package.left_out.into();
        return print_json(&object);
    }
    let mut out = std::io::stdout().lock();
    let manifest = &package.bundle.manifest;
    writeln!(out, "{}", path.display())?;
    writeln!(out, "name        {}", manifest.name)?;
    writeln!(out, "version     {}", manifest.version)?;
    writeln!(out, "bytes       {}", bytes.len())?;
    writeln!(out, "generation  {}", package.bundle.generation)?;
    writeln!(out, "commit      {}", commit_line(package.record.as_ref()))?;
    if !package.left_out.is_empty() {
        writeln!(out, "left out    {}", package.left_out.join(", "))?;
    }
    Ok(())
}

fn record(dir: &Path, package: &Package) -> Result<PackRecord> {
    let files: Vec<&str> = package.archive.files.keys().map(String::as_str).collect();
    // The manifest has the first say: a folder without it is no bundle.
    let files = [&[MANIFEST_FILE], files.as_slice()].concat();
    let tools = transducer_guests::interface(&package.bundle.component)?.tools;
    Ok(PackRecord::new(HOST_VERSION.parse()?, vcs::commit(dir, &files), tools))
}
