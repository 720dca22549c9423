//! `transducer-host sign`: an author's name to an archive.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use transducer_bundle::{has_passphrase, sign_archive, sign_model};

use crate::key::{PASSPHRASE, no_terminal};

/// What `--help` adds.
const MORE: &str = "\
--key writes FILE.minisig, to be handed out beside FILE, and verifies it. Its comment, which is
signed too, says adapter, version and generation. The key is one of `key generate` or of
minisign; its passphrase is asked for, or taken from TRANSDUCER_KEY_PASSPHRASE.

--model-signing writes FILE.sig, for the tools of OpenSSF Model Signing, as in `model_signing
verify key FILE --signature FILE.sig --public_key PUB.pem`. Hosts do not look at it. OpenSSL
makes such a key: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub struct Args {
    /// A .tadapter file
    file: PathBuf,

    /// Your secret key
    #[arg(long, value_name = "FILE", required_unless_present = "model_signing")]
    key: Option<PathBuf>,

    /// Sign for OpenSSF Model Signing too, with this P-256 key in PEM
    #[arg(long, value_name = "PEM")]
    model_signing: Option<PathBuf>,
}

/// Signs an archive.
///
/// # Errors
/// Where it is no archive that a host takes, or a key cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(key) = &args.key {
        let passphrase = std::env::var(PASSPHRASE).ok();
        if passphrase.is_none() && no_terminal() && has_passphrase(key)? {
            bail!(
                "{} has a passphrase, and there is no terminal to ask for it: set {PASSPHRASE}",
                key.display()
            );
        }
        let signed = sign_archive(&args.file, key, passphrase)?;
        writeln!(out, "{}", signed.signature.display())?;
        writeln!(out, "signed   {}", signed.comment)?;
        writeln!(out, "key id   {}", signed.key)?;
    }
    if let Some(key) = &args.model_signing {
        writeln!(out, "{}", sign_model(&args.file, key)?.display())?;
    }
    Ok(())
}
