//! `transducer-host sign`: an author's name to an archive.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use transducer_bundle::sign_archive;

use crate::key::PASSPHRASE;

/// What `--help` adds.
const MORE: &str = "\
Writes FILE.minisig, to be handed out beside FILE, and verifies it. Its comment, which is
signed too, says adapter, version and generation. The key is one of `key generate` or of
minisign; its passphrase is asked for, or taken from TRANSDUCER_KEY_PASSPHRASE.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub struct Args {
    /// A .tadapter file
    file: PathBuf,

    /// Your secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Signs an archive.
///
/// # Errors
/// Where it is no archive that a host takes, or the key cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let signed = sign_archive(&args.file, &args.key, std::env::var(PASSPHRASE).ok())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", signed.signature.display())?;
    writeln!(out, "signed   {}", signed.comment)?;
    writeln!(out, "key id   {}", signed.key)?;
    Ok(())
}
