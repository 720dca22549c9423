//! `transducer-host push` and `pull`: archives to and from an OCI registry.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use transducer_bundle::{
    Asked, MAX_ARCHIVE_BYTES, MAX_SIGNATURE_BYTES, Package, PublicKey, Store, signature_path, signature_text,
};
use transducer_registry::{About, Artifact, Limits, Remote, Target};

use crate::bundles::{AdaptersDir, PolicyArgs, print_json, write_whole};
use crate::install;

/// What `--help` adds to `push`.
const PUSH: &str = "\
The artifact has the form of CNCF's ModelPack; FILE.minisig travels along where it lies beside
FILE. Name and password are those of `docker login`, or TRANSDUCER_REGISTRY_USER and
TRANSDUCER_REGISTRY_PASSWORD. The digest that is printed names these very bytes for ever, as
in REGISTRY/REPOSITORY@sha256:…";

/// What `--help` adds to `pull`.
const PULL: &str = "\
What comes is checked like any archive. With a digest instead of a tag, it is what was pushed
or an error. --install puts it into the adapters directory as `install` does, under the policy.
Name and password are those of `docker login`, or TRANSDUCER_REGISTRY_USER and
TRANSDUCER_REGISTRY_PASSWORD.";

/// How a registry is spoken to.
#[derive(clap::Args, Debug)]
struct RegistryArgs {
    /// Speak HTTP to a registry on this machine
    #[arg(long)]
    plain_http: bool,

    /// User of the registry [default: that of `docker login`]
    #[arg(
        long,
        env = "TRANSDUCER_REGISTRY_USER",
        value_name = "NAME",
        requires = "registry_password"
    )]
    registry_user: Option<String>,

    /// A password on a command line is seen by everybody on the machine: only the variable has it.
    #[arg(
        long,
        env = "TRANSDUCER_REGISTRY_PASSWORD",
        hide = true,
        hide_env_values = true,
        requires = "registry_user"
    )]
    registry_password: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl RegistryArgs {
    fn remote(&self, target: Target) -> Result<Remote> {
        let login = self.registry_user.clone().zip(self.registry_password.clone());
        Ok(Remote::new(target, login, self.plain_http)?)
    }
}

/// Arguments of `push`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = PUSH)]
pub struct PushArgs {
    /// A .tadapter file
    file: PathBuf,

    /// Where to: REGISTRY/REPOSITORY:TAG
    target: Target,

    #[command(flatten)]
    registry: RegistryArgs,
}

/// Arguments of `pull`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = PULL)]
pub struct PullArgs {
    /// From where: REGISTRY/REPOSITORY:TAG, or REGISTRY/REPOSITORY@sha256:DIGEST
    target: Target,

    /// Where to write the archive [default: NAME-VERSION.tadapter, unless it is installed]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Put it into the adapters directory
    #[arg(long)]
    install: bool,

    /// Replace a later version, or the same version with other contents
    #[arg(long, requires = "install")]
    allow_downgrade: bool,

    /// Refuse the archive unless the owner of this minisign key signed it
    #[arg(long, value_name = "FILE", requires = "install")]
    public_key: Option<PathBuf>,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    dir: AdaptersDir,

    #[command(flatten)]
    registry: RegistryArgs,
}

/// Pushes an archive.
///
/// # Errors
/// Where it is none that a host takes, or the registry does not.
pub fn push(args: &PushArgs) -> Result<()> {
    if args.file.is_dir() {
        bail!(
            "{} is a folder: `transducer-host pack` makes a .tadapter file of it",
            args.file.display()
        );
    }
    let package = Package::open(&args.file)?;
    let weights = package.weights()?;
    let manifest = &package.bundle.manifest;
    let archive = package.packed.clone().unwrap_or_default();
    let signature = signature_text(&args.file, &archive)?;
    let signed = signature.is_some();
    let commit = package.record.as_ref().and_then(|record| record.commit.as_ref());
    let about = About {
        file_name: package.file_name(),
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        summary: manifest.summary.clone(),
        license: manifest.license.clone(),
        authors: manifest.authors.clone(),
        homepage: manifest.homepage.clone(),
        // A commit that the files are not of is none of theirs.
        revision: commit.filter(|commit| !commit.dirty).map(|commit| commit.id.clone()),
        family: manifest.base_model.family.clone(),
        parameters: weights.map_or(0, |weights| weights.parameters),
    };
    let mut remote = args.registry.remote(args.target.clone())?;
    let bar = bar()?;
    bar.set_length(archive.len() as u64);
    let artifact = Artifact {
        archive,
        signature: signature.map(String::into_bytes),
        about,
    };
    let pushed = remote.push(artifact, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let digest = pushed?;
    let reference = args.target.to_string();
    if args.registry.json {
        return print_json(&json!({
            "reference": reference, "digest": digest, "signed": signed,
            "name": manifest.name, "version": manifest.version, "generation": package.bundle.generation,
        }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{reference}")?;
    writeln!(out, "digest      {digest}")?;
    writeln!(out, "signature   {}", if signed { "pushed along" } else { "none" })?;
    Ok(())
}

/// Pulls an archive.
///
/// # Errors
/// Where the registry has none, or what comes is none that a host takes.
pub fn pull(args: &PullArgs) -> Result<()> {
    let mut remote = args.registry.remote(args.target.clone())?;
    let limits = Limits {
        archive: MAX_ARCHIVE_BYTES,
        signature: MAX_SIGNATURE_BYTES,
    };
    let bar = bar()?;
    let pulled = remote.pull(limits, &|bytes| bar.set_length(bytes), &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let pulled = pulled?;
    // The name of a file is the bundle's, whatever the registry calls it.
    let named = PathBuf::from(args.target.to_string());
    let package = Package::unpack(pulled.archive.clone(), &named)?;
    let file = match (&args.out, args.install) {
        (Some(out), _) => Some(out.clone()),
        (None, false) => Some(PathBuf::from(package.file_name())),
        (None, true) => None,
    };
    if let Some(file) = &file {
        write(file, &pulled.archive, pulled.signature.as_deref())?;
    }
    let switched = args
        .install
        .then(|| install_from(args, &package, &pulled))
        .transpose()?;
    if args.registry.json {
        let manifest = &package.bundle.manifest;
        return print_json(&json!({
            "digest": pulled.digest, "file": file, "signed": pulled.signature.is_some(),
            "name": manifest.name, "version": manifest.version, "generation": package.bundle.generation,
            "installed": switched.is_some(),
        }));
    }
    let mut out = std::io::stdout().lock();
    if let Some(file) = &file {
        writeln!(out, "{}", file.display())?;
    }
    writeln!(out, "digest      {}", pulled.digest)?;
    let signature = if pulled.signature.is_some() {
        "there, not checked"
    } else {
        "none"
    };
    let checked = args.public_key.is_some() || args.policy.policy.is_some();
    match (&switched, checked) {
        (Some(switched), true) => install::tell("installed", switched)?,
        (Some(switched), false) => {
            writeln!(out, "signature   {signature}")?;
            install::tell("installed", switched)?;
        }
        (None, _) => writeln!(out, "signature   {signature}")?,
    }
    Ok(())
}

/// Installs it from a folder that is gone afterwards, so that there is one way in.
fn install_from(
    args: &PullArgs,
    package: &Package,
    pulled: &transducer_registry::Pulled,
) -> Result<transducer_bundle::Switched> {
    let staging = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = staging.path().join(package.file_name());
    write(&file, &pulled.archive, pulled.signature.as_deref())?;
    let asked = Asked {
        key: args.public_key.as_deref().map(PublicKey::open).transpose()?,
        policy: args.policy.open(&args.dir.adapters)?,
        ..Asked::default()
    };
    Ok(Store::new(&args.dir.adapters).install_asking(&file, args.allow_downgrade, &asked)?)
}

/// The signature first: an archive never lies there without it. One of an archive that was there before goes.
fn write(file: &Path, archive: &[u8], signature: Option<&[u8]>) -> Result<()> {
    let beside = signature_path(file);
    match signature {
        Some(signature) => write_whole(&beside, signature)?,
        None if beside.exists() => {
            std::fs::remove_file(&beside).with_context(|| format!("cannot remove {}", beside.display()))?;
        }
        None => {}
    }
    write_whole(file, archive)
}

fn bar() -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}")?;
    Ok(ProgressBar::new(0).with_style(style))
}
