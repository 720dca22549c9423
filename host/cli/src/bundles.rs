//! Bundles on the command line: which one is meant, and what is told of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use transducer_bundle::{AdapterName, Bundle, Commit, PackRecord, Package, Policy};

/// Where adapters are installed.
#[derive(clap::Args, Debug)]
pub struct AdaptersDir {
    /// Directory of adapter bundles
    #[arg(long, env = "TRANSDUCER_ADAPTERS", value_name = "DIR", default_value = "adapters")]
    pub adapters: PathBuf,
}

/// Where things are kept that can be made again.
#[derive(clap::Args, Debug)]
pub struct CacheDir {
    /// Folder for what can be made again: prepared data, compiled tasks [default: $XDG_CACHE_HOME or ~/.cache, there transducer-host]
    #[arg(long, env = "TRANSDUCER_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheDir {
    /// The folder, which need not exist yet.
    ///
    /// # Errors
    /// Where none is named and there is no home directory.
    pub fn dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.cache {
            return Ok(dir.clone());
        }
        let user = |name| {
            std::env::var_os(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let caches = user("XDG_CACHE_HOME").or_else(|| Some(user("HOME")?.join(".cache")));
        Ok(caches
            .context("no home directory is known: name a folder with --cache")?
            .join("transducer-host"))
    }
}

/// Which bundles are let in.
#[derive(clap::Args, Debug)]
pub struct PolicyArgs {
    /// Take only what this policy lets in: trusted keys, licences, sizes (see `key trust`)
    #[arg(long, env = "TRANSDUCER_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// The policy, if one is named.
    ///
    /// # Errors
    /// Where it cannot be used, or lies where bundles come from.
    pub fn open(&self, adapters: &Path) -> Result<Option<Policy>> {
        let Some(path) = &self.policy else {
            return Ok(None);
        };
        let policy = Policy::open(path)?;
        policy.lies_outside(adapters)?;
        Ok(Some(policy))
    }
}

impl AdaptersDir {
    /// The bundle meant by a path, or else by the name of one in the adapters directory.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open(&self, which: &Path) -> Result<Package> {
        Ok(Package::open(&self.find(which)?)?)
    }

    /// Where it is.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(&self, which: &Path) -> Result<PathBuf> {
        if which.exists() {
            return Ok(which.to_owned());
        }
        let name = which.to_str().filter(|name| name.parse::<AdapterName>().is_ok());
        let Some(name) = name else {
            bail!(
                "{} does not exist: give a .tadapter file, a bundle's folder, or an installed adapter's name",
                which.display()
            );
        };
        let found = Bundle::open_all(&self.adapters)?;
        let known = || {
            found
                .iter()
                .map(|found| found.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = || {
            let dir = self.adapters.display();
            format!(
                "no file, folder or installed adapter is named {name}; in {dir} there are: {}",
                known()
            )
        };
        let found = found.iter().find(|found| found.name == name).with_context(missing)?;
        Ok(found.path.clone())
    }
}

/// What a package is, for programs.
#[must_use]
pub fn summary(package: &Package) -> Value {
    let manifest = &package.bundle.manifest;
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "summary": manifest.summary,
        "license": manifest.license,
        "generation": package.bundle.generation,
        "trained": package.bundle.weights.is_some(),
        "packed": package.record,
        "files": package.files(),
    })
}

/// The commit that an archive was packed from, for people.
#[must_use]
pub fn commit_line(record: Option<&PackRecord>) -> String {
    match record.map(|record| &record.commit) {
        None => "not recorded".to_owned(),
        Some(None) => "none: not under version control".to_owned(),
        Some(Some(Commit { id, dirty: false })) => id.clone(),
        Some(Some(Commit { id, dirty: true })) => format!("{id}, and changes that are in no commit"),
    }
}

/// One JSON object on standard output.
///
/// # Errors
/// Where nobody takes it.
pub fn print_json(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Writes a file in one step: whoever reads the path finds the old file or the new one, never half of it.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    // A bare file name has an empty parent, which is no folder.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    // Readable like any other file: a temporary file would be its owner's alone.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(parent.unwrap_or(Path::new(".")));
    let mut file = file.with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}
