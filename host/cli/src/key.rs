//! `transducer-host key`: keys of authors.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use transducer_bundle::{Passphrase, generate_key};

/// The variable that a passphrase may stand in, for programs that cannot type one.
pub(crate) const PASSPHRASE: &str = "TRANSDUCER_KEY_PASSPHRASE";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Make a key pair to sign archives with
    #[command(after_long_help = GENERATE)]
    Generate(GenerateArgs),
}

const GENERATE: &str = "\
NAME.key is yours alone: whoever has it, and its passphrase, signs in your name. NAME.pub is
for everybody. Both are of minisign's form. The passphrase is asked for, or taken from
TRANSDUCER_KEY_PASSPHRASE. A key is never overwritten.";

/// Arguments of `key generate`.
#[derive(clap::Args, Debug)]
struct GenerateArgs {
    /// What the pair is called: NAME.key and NAME.pub, in this folder
    #[arg(required_unless_present = "out")]
    name: Option<String>,

    /// Where to write the secret key; the public one lies beside it and ends in .pub
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    out: Option<PathBuf>,

    /// Leave the secret key unprotected, for machines that nobody else can read
    #[arg(long)]
    no_passphrase: bool,
}

/// Does what is asked for.
///
/// # Errors
/// Where that cannot be done.
pub fn run(args: &Args) -> Result<()> {
    match &args.task {
        Task::Generate(args) => generate(args),
    }
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let (secret, public) = match (&args.name, &args.out) {
        (_, Some(out)) => (out.clone(), out.with_extension("pub")),
        (name, None) => {
            let name = name.as_deref().unwrap_or_default();
            if name.is_empty() || name.contains('/') || name.starts_with('.') {
                bail!("{name:?} is no name for a key: give a plain one, or a path with -o");
            }
            (format!("{name}.key").into(), format!("{name}.pub").into())
        }
    };
    if secret == public {
        bail!(
            "{} is what the public key would be called: give the secret one another ending, such as .key",
            secret.display()
        );
    }
    let passphrase = match (args.no_passphrase, std::env::var(PASSPHRASE)) {
        (true, _) => Passphrase::None,
        (false, Ok(text)) => Passphrase::Given(text),
        (false, Err(_)) => Passphrase::Asked,
    };
    let key = generate_key(&secret, &public, passphrase)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "secret key  {}", secret.display())?;
    writeln!(out, "public key  {}", public.display())?;
    writeln!(out, "key id      {}", key.id())?;
    Ok(())
}
