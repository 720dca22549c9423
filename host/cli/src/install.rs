//! `transducer-host install`, `uninstall` and `rollback`: which archives lie in the adapters directory.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use transducer_bundle::{AdapterName, Asked, Budget, PublicKey, Store, Switched};

use crate::bundles::{AdaptersDir, PolicyArgs};

/// What `--help` adds to `install`.
const MORE: &str = "\
The archive is checked first, and put in place in one step: a host finds the old one or the
new one. Earlier versions are kept for `rollback`. Whether it fits your model is what
`adapters` says.";

/// Arguments of `install`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub struct InstallArgs {
    /// A .tadapter file
    file: PathBuf,

    /// Replace a later version, or the same version with other contents
    #[arg(long)]
    allow_downgrade: bool,

    /// Refuse the archive unless the owner of this minisign key signed it, in FILE.minisig beside it
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    dir: AdaptersDir,
}

/// Arguments of `uninstall` and `rollback`.
#[derive(clap::Args, Debug)]
pub struct NameArgs {
    /// An adapter that `install` installed
    name: AdapterName,

    #[command(flatten)]
    dir: AdaptersDir,
}

/// Installs an archive.
///
/// # Errors
/// Where it cannot be used, or must not replace what is there.
pub fn install(args: &InstallArgs) -> Result<()> {
    let store = Store::new(&args.dir.adapters);
    let asked = Asked {
        key: args.public_key.as_deref().map(PublicKey::open).transpose()?,
        policy: args.policy.open(&args.dir.adapters)?,
        ..Asked::default()
    };
    let switched = store.install_asking(&args.file, args.allow_downgrade, &asked)?;
    tell("installed", &switched)
}

/// Removes an adapter and its earlier versions.
///
/// # Errors
/// Where there is none.
pub fn uninstall(args: &NameArgs) -> Result<()> {
    Store::new(&args.dir.adapters).uninstall(&args.name)?;
    writeln!(std::io::stdout(), "uninstalled {}", args.name)?;
    Ok(())
}

/// Puts the version before the current one back.
///
/// # Errors
/// Where there is none.
pub fn rollback(args: &NameArgs) -> Result<()> {
    let switched = Store::new(&args.dir.adapters).rollback(&args.name)?;
    tell("rolled back to", &switched)
}

pub(crate) fn tell(done: &str, switched: &Switched) -> Result<()> {
    let Switched {
        name,
        before,
        now,
        generation,
        budget,
    } = switched;
    let before = before.as_ref().map(|before| format!(", before: {before}"));
    let before = before.unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{done} {name} {now}{before}\ngeneration {generation}")?;
    let usual = Budget::USUAL;
    if budget.memory > usual.memory || budget.deadline > usual.deadline {
        writeln!(
            out,
            "asks for {} MiB and {} ms a call of its task; usual are {} MiB and {} ms",
            budget.memory_mib(),
            budget.deadline_ms(),
            usual.memory_mib(),
            usual.deadline_ms()
        )?;
    }
    Ok(())
}
