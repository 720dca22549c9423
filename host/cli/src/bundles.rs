//! Bundles on the command line: which one is meant, and what is told of it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use atomic_write_file::AtomicWriteFile;
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

/// Writes a file in one step: whoever reads the path finds the old file or the new one, never half of it. Of a link it is the file that it
/// leads to; what is no file, such as /dev/stdout, is written to as it is.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let put = || {
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&whole).is_ok_and(|there| !there.is_file()) {
            return fs::OpenOptions::new().write(true).open(&whole)?.write_all(bytes);
        }
        let mut file = AtomicWriteFile::open(&whole)?;
        file.write_all(bytes)?;
        file.commit()
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::write_whole;

    #[test]
    fn a_file_is_anybodys_to_read_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_whole(&file, b"one").unwrap();
        // What the usual umask leaves; a stricter one takes more away.
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o600, 0o600);
        let usual = folder.path().join("usual");
        fs::write(&usual, b"").unwrap();
        assert_eq!(mode, fs::metadata(&usual).unwrap().permissions().mode());

        symlink(&file, &link).unwrap();
        write_whole(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn what_is_no_file_is_written_to_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_whole(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert!(write_whole(folder.path(), b"").is_err(), "a folder is none either");
    }
}
