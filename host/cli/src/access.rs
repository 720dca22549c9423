//! `transducer-host access`: keys of those who ask a server.

use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use transducer_access::{Entry, KeyFile};

use crate::bundles::print_json;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Make a key, print it once, and add its digest to the file
    New(NewArgs),
    /// List the keys of the file
    List(ListArgs),
    /// Take a key out of the file; a running server refuses it at once
    Revoke(RevokeArgs),
}

/// Where the keys are.
#[derive(clap::Args, Debug)]
struct KeysPath {
    /// The file, as `serve --keys` takes it
    #[arg(long, env = "TRANSDUCER_KEYS", value_name = "FILE", default_value = "keys.toml")]
    keys: PathBuf,
}

/// Arguments of `access new`.
#[derive(clap::Args, Debug)]
struct NewArgs {
    /// Whose key it is, as logs will say
    name: String,

    /// What it may ask for: an adapter, or the base model by its name [default: everything]
    #[arg(long = "adapter", value_name = "NAME")]
    adapters: Vec<String>,

    /// Most requests a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,

    /// Let it install, remove and roll back adapters
    #[arg(long)]
    admin: bool,

    #[command(flatten)]
    path: KeysPath,
}

/// Arguments of `access list`.
#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    path: KeysPath,
}

/// Arguments of `access revoke`.
#[derive(clap::Args, Debug)]
struct RevokeArgs {
    /// Whose key it is
    name: String,

    #[command(flatten)]
    path: KeysPath,
}

/// Does what is asked for.
///
/// # Errors
/// Where that cannot be done.
pub fn run(args: &Args) -> Result<()> {
    match &args.task {
        Task::New(args) => new(args),
        Task::List(args) => list(args),
        Task::Revoke(args) => {
            KeyFile::open(&args.path.keys)?.revoke(&args.name)?;
            writeln!(std::io::stdout(), "revoked {}", args.name)?;
            Ok(())
        }
    }
}

fn new(args: &NewArgs) -> Result<()> {
    let entry = Entry {
        name: args.name.clone(),
        digest: [0; 32],
        adapters: (!args.adapters.is_empty()).then(|| args.adapters.iter().cloned().collect()),
        requests_per_minute: args.requests_per_minute,
        admin: args.admin,
    };
    let key = KeyFile::open_or_new(&args.path.keys)?.add(&entry)?;
    eprintln!(
        "added {} to {}; the key is shown this once:",
        args.name,
        args.path.keys.display()
    );
    writeln!(std::io::stdout(), "{}", key.secret())?;
    Ok(())
}

fn list(args: &ListArgs) -> Result<()> {
    let file = KeyFile::open(&args.path.keys)?;
    if args.json {
        let keys = file.entries().iter().map(|entry| {
            json!({
                "name": entry.name,
                "adapters": entry.adapters,
                "requests_per_minute": entry.requests_per_minute,
                "admin": entry.admin,
            })
        });
        return print_json(&json!({"keys": keys.collect::<Vec<_>>()}));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<24}{:<8}{:>12}  may ask for", "name", "admin", "a minute")?;
    for entry in file.entries() {
        let admin = if entry.admin { "yes" } else { "no" };
        let rate = entry
            .requests_per_minute
            .map_or("any number".to_owned(), |rate| rate.to_string());
        let adapters = entry.adapters.as_ref().map_or("everything".to_owned(), |adapters| {
            adapters.iter().cloned().collect::<Vec<_>>().join(", ")
        });
        writeln!(out, "{:<24}{admin:<8}{rate:>12}  {adapters}", entry.name)?;
    }
    Ok(())
}
