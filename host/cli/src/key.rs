//! `transducer-host key`: keys of authors.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;
use transducer_bundle::{KeyId, Passphrase, PolicyFile, PublicKey, Trusted, generate_key};

use crate::bundles::print_json;

/// The variable that a passphrase may stand in, for programs that cannot type one.
pub(crate) const PASSPHRASE: &str = "TRANSDUCER_KEY_PASSPHRASE";

/// Whether nobody can be asked.
pub(crate) fn no_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_err()
}

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
    /// Trust a public key with adapters, in a policy
    Trust(TrustArgs),
    /// Trust a key no more, and refuse what it signed
    Revoke(RevokeArgs),
    /// List the keys of a policy
    List(ListArgs),
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

/// Where the policy is.
#[derive(clap::Args, Debug)]
struct PolicyPath {
    /// The policy's file, outside of the adapters directory
    #[arg(long, env = "TRANSDUCER_POLICY", value_name = "FILE")]
    policy: PathBuf,
}

/// Arguments of `key trust`.
#[derive(clap::Args, Debug)]
struct TrustArgs {
    /// A public key of `key generate` or of minisign
    #[arg(value_name = "PUBFILE")]
    key: PathBuf,

    /// Whose it is [default: the name of the file]
    #[arg(long)]
    name: Option<String>,

    /// The adapters that it may sign; `*` stands for any number of characters [default: all]
    #[arg(long, value_name = "GLOB", num_args = 1.., default_value = "*", hide_default_value = true)]
    adapters: Vec<String>,

    #[command(flatten)]
    policy: PolicyPath,
}

/// Arguments of `key revoke`.
#[derive(clap::Args, Debug)]
struct RevokeArgs {
    /// The key's number, as `key list` prints it
    #[arg(value_name = "KEYID")]
    key: KeyId,

    #[command(flatten)]
    policy: PolicyPath,
}

/// Arguments of `key list`.
#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    policy: PolicyPath,
}

/// Does what is asked for.
///
/// # Errors
/// Where that cannot be done.
pub fn run(args: &Args) -> Result<()> {
    match &args.task {
        Task::Generate(args) => generate(args),
        Task::Trust(args) => trust(args),
        Task::Revoke(args) => revoke(args),
        Task::List(args) => list(args),
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
    if matches!(passphrase, Passphrase::Asked) && no_terminal() {
        bail!("there is no terminal to ask for a passphrase: set {PASSPHRASE}, or give --no-passphrase");
    }
    let key = generate_key(&secret, &public, passphrase)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "secret key  {}", secret.display())?;
    writeln!(out, "public key  {}", public.display())?;
    writeln!(out, "key id      {}", key.id())?;
    Ok(())
}

fn trust(args: &TrustArgs) -> Result<()> {
    let key = PublicKey::open(&args.key)?;
    let stem = args.key.file_stem().unwrap_or_default().to_string_lossy();
    let trusted = Trusted {
        name: args.name.clone().unwrap_or_else(|| stem.into_owned()),
        adapters: args.adapters.clone(),
        key,
    };
    PolicyFile::open_or_new(&args.policy.policy)?.trust(&trusted)?;
    let Trusted { key, name, adapters } = &trusted;
    let adapters = adapters.join(", ");
    writeln!(std::io::stdout(), "trusted {name} (key {}) with {adapters}", key.id())?;
    Ok(())
}

fn revoke(args: &RevokeArgs) -> Result<()> {
    let names = PolicyFile::open(&args.policy.policy)?.revoke(args.key)?;
    let names = match names.is_empty() {
        true => "nobody who was trusted".to_owned(),
        false => names.join(", "),
    };
    writeln!(std::io::stdout(), "revoked {} ({names})", args.key)?;
    Ok(())
}

fn list(args: &ListArgs) -> Result<()> {
    let file = PolicyFile::open(&args.policy.policy)?;
    let policy = file.policy();
    let revoked: Vec<_> = policy.revoked.iter().map(ToString::to_string).collect();
    if args.json {
        let trusted = policy.trusted.iter().map(|trusted| {
            json!({
                "id": trusted.key.id().to_string(),
                "name": trusted.name,
                "adapters": trusted.adapters,
                "key": trusted.key.base64(),
            })
        });
        return print_json(&json!({
            "require_signature": policy.require_signature,
            "trusted": trusted.collect::<Vec<_>>(),
            "revoked": revoked,
            "licenses": policy.licenses,
            "max_bytes": policy.max_bytes,
        }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<18}{:<24}adapters", "key", "name")?;
    for trusted in &policy.trusted {
        let (id, name) = (trusted.key.id().to_string(), &trusted.name);
        writeln!(out, "{id:<18}{name:<24}{}", trusted.adapters.join(", "))?;
    }
    for id in revoked {
        writeln!(out, "{id:<18}revoked")?;
    }
    Ok(())
}
