//! Installing archives into an adapters directory, and going back.
//!
//! ```text
//! adapters/
//!   NAME.tadapter                         what a host serves
//!   .store/lock                           one program at a time changes this directory
//!   .store/_staged                        a file on its way, worthless after a crash
//!   .store/signatures/…                   the signature of each archive that had one, by the archive's digest
//!   .store/versions/NAME/000007.tadapter  this version and those before it, in the order of their installation
//! ```
//!
//! Adapters have a folder of their own for their names, since they may be named as what the store needs for itself. Earlier hosts kept
//! the versions in `.store/NAME`: whoever changes an adapter moves them first.
//!
//! What a host serves changes by one rename. A program that dies at any point leaves the old archive or the new one in place,
//! and the next one goes on from there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::read_file;
use crate::disk::Disk;
use crate::signature::{Sealed, kept};
use crate::store_error::StoreError;
use crate::{
    ARCHIVE_EXTENSION, AdapterName, Budget, Bundle, BundleError, Generation, MAX_ARCHIVE_BYTES, Package, Policy,
    PublicKey,
};

/// The hidden folder in an adapters directory.
pub(crate) const STORE: &str = ".store";
/// Versions of an adapter that are kept, the current one among them: enough to find the last good one, a few MB at most.
const KEPT: usize = 5;

/// What an adapter's name stands for now, and stood for before.
#[derive(Debug)]
pub struct Switched {
    /// The adapter.
    pub name: AdapterName,
    /// Before; none if it is new.
    pub before: Option<semver::Version>,
    /// Now.
    pub now: semver::Version,
    /// Now.
    pub generation: Generation,
    /// What one call of its task asks for, now.
    pub budget: Budget,
}

/// What an archive has to be to be installed, and what has to be there.
#[derive(Debug, Default)]
pub struct Asked {
    /// Signed with this key.
    pub key: Option<PublicKey>,
    /// Let in by this policy.
    pub policy: Option<Policy>,
    /// Named so.
    pub name: Option<AdapterName>,
    /// What it replaces.
    pub expected: Option<Expected>,
}

/// What somebody who changes an adapter has seen of it. Two who change one at once would undo each other's work unawares; so the
/// second of them is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// None of that name.
    Absent,
    /// This generation, in hexadecimal digits.
    Generation(String),
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("a name that nothing has"),
            Self::Generation(generation) => write!(f, "generation {generation}"),
        }
    }
}

impl Expected {
    /// Whether it is what is there.
    fn check(&self, name: &AdapterName, current: Option<&Current>) -> Result<(), StoreError> {
        let found = current.and_then(|current| current.package.as_ref());
        let found = found.map(|package| package.bundle.generation);
        let fits = match self {
            Self::Absent => current.is_none(),
            Self::Generation(expected) => found.is_some_and(|found| found.to_string() == *expected),
        };
        if fits {
            return Ok(());
        }
        Err(StoreError::OtherGeneration {
            name: name.clone(),
            expected: self.clone(),
            found: found.map(Box::new),
        })
    }
}

/// An adapters directory that can be changed.
pub struct Store {
    adapters: PathBuf,
    disk: Disk,
}

impl Store {
    /// The store of an adapters directory, which need not exist yet.
    #[must_use]
    pub fn new(adapters: &Path) -> Self {
        Self {
            adapters: adapters.to_owned(),
            disk: Disk::default(),
        }
    }

    /// A store on a file system with faults, for tests: before each step `fault` is told what it is, and may let it fail.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(adapters: &Path, fault: impl FnMut(&'static str) -> io::Result<()> + 'static) -> Self {
        Self {
            adapters: adapters.to_owned(),
            disk: Disk::with_fault(Box::new(fault)),
        }
    }

    /// Installs an archive under its adapter's name. The archive that was there is kept for [`Store::rollback`].
    ///
    /// # Errors
    /// [`StoreError`]; what a host finds is the old archive or the new one, and whole.
    pub fn install(&self, archive: &Path, allow_downgrade: bool) -> Result<Switched, StoreError> {
        let bytes = read_archive(archive)?;
        self.install_bytes(&bytes, archive, allow_downgrade, &Asked::default())
    }

    /// As [`Store::install`], if the archive is what is asked for.
    ///
    /// # Errors
    /// [`StoreError`]; what a host finds is the old archive or the new one, and whole.
    pub fn install_asking(&self, archive: &Path, allow_downgrade: bool, asked: &Asked) -> Result<Switched, StoreError> {
        let bytes = read_archive(archive)?;
        if let Some(key) = &asked.key {
            key.check(archive, &bytes)?;
        }
        if let Some(policy) = &asked.policy {
            Package::unpack_under(bytes.clone(), archive, policy)?;
        }
        self.install_bytes(&bytes, archive, allow_downgrade, asked)
    }

    fn install_bytes(
        &self,
        bytes: &[u8],
        archive: &Path,
        allow_downgrade: bool,
        asked: &Asked,
    ) -> Result<Switched, StoreError> {
        let package = Package::unpack(bytes.to_owned(), archive)?;
        check_weights_of(&package)?;
        let name = package.bundle.name().clone();
        if let Some(asked) = asked.name.clone().filter(|asked| *asked != name) {
            let found = name;
            return Err(StoreError::OtherName { name: asked, found });
        }
        let _lock = self.lock(&name)?;
        let current = self.current(&name)?;
        if let Some(expected) = &asked.expected {
            expected.check(&name, current.as_ref())?;
        }
        let before = current.as_ref().and_then(|current| current.package.as_ref());
        if let (Some(installed), false) = (before, allow_downgrade) {
            check_succession(&installed.bundle, &package.bundle)?;
        }
        let switched = Switched {
            before: before.map(|package| package.bundle.manifest.version.clone()),
            now: package.bundle.manifest.version.clone(),
            generation: package.bundle.generation,
            budget: package.bundle.manifest.budget,
            name: name.clone(),
        };
        // Before the archive, so that it is never in place without it. What is no signature is no reason not to install where
        // nobody asks for one.
        if let Ok(Some(sealed)) = Sealed::find(archive, bytes) {
            self.put(sealed.text.as_bytes(), &kept(&self.adapters, bytes))?;
        }
        let current = current.and_then(|current| current.bytes);
        if current.as_ref().is_some_and(|current| current == bytes) {
            return Ok(switched);
        }

        let history = self.history(&name)?;
        let mut last = history.last().map_or(0, |entry| entry.number);
        if let Some(current) = &current {
            // What comes after the current one was rolled back from, or never got into place: it is not what was before.
            let place = history.iter().rposition(|entry| entry.bytes == *current);
            for entry in place.map_or(&[][..], |place| &history[place + 1..]) {
                self.disk.remove(&entry.path)?;
            }
            if place.is_none() {
                last += 1;
                self.put(current, &self.kept(&name, last))?;
            }
        }
        self.put(bytes, &self.kept(&name, last + 1))?;
        self.put(bytes, &self.place(&name))?;
        self.prune(&name, bytes)?;
        Ok(switched)
    }

    /// Puts the archive back that was in place before the current one.
    ///
    /// # Errors
    /// [`StoreError`]; what a host finds is the current archive or the earlier one, and whole.
    pub fn rollback(&self, name: &AdapterName) -> Result<Switched, StoreError> {
        self.rollback_from(name, None)
    }

    /// As [`Store::rollback`], if the current archive is what is expected.
    ///
    /// # Errors
    /// [`StoreError`]; what a host finds is the current archive or the earlier one, and whole.
    pub fn rollback_from(&self, name: &AdapterName, expected: Option<&Expected>) -> Result<Switched, StoreError> {
        let not_installed = || StoreError::NotInstalled {
            name: name.clone(),
            dir: self.adapters.clone(),
        };
        if !is_there(&self.place(name)) {
            self.check_free(name)?;
            return Err(not_installed());
        }
        let _lock = self.lock(name)?;
        let current = self.current(name)?.ok_or_else(not_installed)?;
        if let Some(expected) = expected {
            expected.check(name, Some(&current))?;
        }
        let mut history = self.history(name)?;
        let of_current = |entry: &Kept| current.bytes.as_ref() == Some(&entry.bytes);
        if let Some(place) = history.iter().rposition(of_current) {
            history.truncate(place);
        }
        let before = current.package.map(|package| package.bundle.manifest.version);
        let Some(earlier) = history.pop() else {
            return Err(StoreError::NoEarlier {
                name: name.clone(),
                version: before.unwrap_or(semver::Version::new(0, 0, 0)),
            });
        };
        // It lay on the disk for long: it is checked again.
        let package = Package::unpack(earlier.bytes, &earlier.path)?;
        check_weights_of(&package)?;
        self.put(package.packed.as_deref().unwrap_or_default(), &self.place(name))?;
        Ok(Switched {
            name: name.clone(),
            before,
            now: package.bundle.manifest.version,
            generation: package.bundle.generation,
            budget: package.bundle.manifest.budget,
        })
    }

    /// Removes an adapter's archive, and the earlier ones that were kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn uninstall(&self, name: &AdapterName) -> Result<(), StoreError> {
        self.uninstall_if(name, None)
    }

    /// As [`Store::uninstall`], if the current archive is what is expected.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn uninstall_if(&self, name: &AdapterName, expected: Option<&Expected>) -> Result<(), StoreError> {
        let (place, kept) = (self.place(name), self.versions(name));
        if !is_there(&place) {
            self.check_free(name)?;
            // Where the archive alone is gone, the rest of it is to go, too.
            if !kept.exists() && numbered(&self.versions_before(name))?.is_empty() {
                return Err(StoreError::NotInstalled {
                    name: name.clone(),
                    dir: self.adapters.clone(),
                });
            }
        }
        let _lock = self.lock(name)?;
        if let Some(expected) = expected {
            expected.check(name, self.current(name)?.as_ref())?;
        }
        // What cannot be read has no signature that could be found.
        let history = self.history(name).unwrap_or_default();
        let mut gone: Vec<Vec<u8>> = history.into_iter().map(|entry| entry.bytes).collect();
        if is_there(&place) {
            gone.extend(read_file(&place, MAX_ARCHIVE_BYTES));
            self.disk.remove(&place)?;
        }
        for archive in &gone {
            self.forget_signature(archive)?;
        }
        if kept.exists() {
            self.disk.remove_dir(&kept)?;
        }
        Ok(())
    }

    /// Held while an adapter is changed; the system lets go of it when the program ends, however it ends.
    fn lock(&self, name: &AdapterName) -> Result<File, StoreError> {
        let dir = self.adapters.join(STORE);
        self.disk.create_dir(&dir)?;
        let path = dir.join("lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let locked = locked.map_err(|source| StoreError::Io {
            action: "lock",
            path,
            source,
        })?;
        self.adopt(name)?;
        Ok(locked)
    }

    /// Moves an adapter's archives from where earlier hosts kept them. The folder may also be that of the signatures, and then it
    /// stays; they are told apart by their names.
    fn adopt(&self, name: &AdapterName) -> Result<(), StoreError> {
        let before = self.versions_before(name);
        let found = numbered(&before)?;
        if found.is_empty() {
            return Ok(());
        }
        self.disk.create_dir(&self.versions(name))?;
        for (number, path) in found {
            self.disk.rename(&path, &self.kept(name, number))?;
        }
        // What is left in it is somebody else's.
        let _ = std::fs::remove_dir(before);
        Ok(())
    }

    /// Where a host looks for an adapter that was installed.
    fn place(&self, name: &AdapterName) -> PathBuf {
        self.adapters.join(format!("{name}.{ARCHIVE_EXTENSION}"))
    }

    fn versions(&self, name: &AdapterName) -> PathBuf {
        self.adapters.join(STORE).join("versions").join(name.as_str())
    }

    fn versions_before(&self, name: &AdapterName) -> PathBuf {
        self.adapters.join(STORE).join(name.as_str())
    }

    fn kept(&self, name: &AdapterName, number: u32) -> PathBuf {
        self.versions(name).join(format!("{number:06}.{ARCHIVE_EXTENSION}"))
    }

    /// A file in its place, whole, in one step.
    fn put(&self, bytes: &[u8], to: &Path) -> Result<(), StoreError> {
        if let Some(parent) = to.parent() {
            self.disk.create_dir(parent)?;
        }
        // No adapter's name: what an earlier host kept of one cannot be in the way.
        let staged = self.adapters.join(STORE).join("_staged");
        self.disk.write(&staged, bytes)?;
        self.disk.rename(&staged, to)
    }

    /// Whether nothing else has the name: a folder, or an archive that was copied here.
    fn check_free(&self, name: &AdapterName) -> Result<(), StoreError> {
        let path = self.adapters.join(name.as_str());
        if path.exists() {
            let name = name.clone();
            return Err(StoreError::Occupied { name, path });
        }
        if self.adapters.exists() {
            self.current(name)?;
        }
        Ok(())
    }

    /// The archive in place, good or bad, if there is one and nothing else has the name.
    fn current(&self, name: &AdapterName) -> Result<Option<Current>, StoreError> {
        let place = self.place(name);
        let found = Bundle::open_all(&self.adapters)?;
        if let Some(found) = found.into_iter().find(|found| found.name == name.as_str()) {
            let path = match found.bundle {
                Err(BundleError::Duplicate { paths, .. }) => paths.into_iter().find(|path| *path != place),
                _ => Some(found.path).filter(|path| *path != place),
            };
            if let Some(path) = path {
                let name = name.clone();
                return Err(StoreError::Occupied { name, path });
            }
        }
        if !is_there(&place) {
            return Ok(None);
        }
        let bytes = match read_file(&place, MAX_ARCHIVE_BYTES) {
            // A link goes, and what it points to stays.
            Err(BundleError::NotAFile { .. }) if place.is_symlink() => None,
            bytes => Some(bytes?),
        };
        let package = bytes.clone().and_then(|bytes| Package::unpack(bytes, &place).ok());
        Ok(Some(Current { bytes, package }))
    }

    /// What was installed under a name, oldest first.
    fn history(&self, name: &AdapterName) -> Result<Vec<Kept>, StoreError> {
        let read = |(number, path): (u32, PathBuf)| {
            let bytes = read_file(&path, MAX_ARCHIVE_BYTES)?;
            Ok(Kept { number, path, bytes })
        };
        numbered(&self.versions(name))?.into_iter().map(read).collect()
    }

    /// Drops what is too old to go back to, and earlier copies of what was just installed again.
    fn prune(&self, name: &AdapterName, current: &[u8]) -> Result<(), StoreError> {
        let mut history = self.history(name)?;
        history.pop();
        let (copies, earlier): (Vec<_>, Vec<_>) = history.into_iter().partition(|entry| entry.bytes == current);
        let surplus = earlier.len().saturating_sub(KEPT - 1);
        for entry in copies.iter().chain(&earlier[..surplus]) {
            self.disk.remove(&entry.path)?;
        }
        for entry in &earlier[..surplus] {
            self.forget_signature(&entry.bytes)?;
        }
        Ok(())
    }

    fn forget_signature(&self, archive: &[u8]) -> Result<(), StoreError> {
        let path = kept(&self.adapters, archive);
        if path.exists() {
            self.disk.remove(&path)?;
        }
        Ok(())
    }
}

struct Current {
    /// None where it is a link.
    bytes: Option<Vec<u8>>,
    /// None where the archive cannot be used, and may be replaced by anything.
    package: Option<Package>,
}

struct Kept {
    number: u32,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Whether something has this path, be it a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The archives `NUMBER.tadapter` of a folder by their numbers; none where there is no folder.
fn numbered(dir: &Path) -> Result<Vec<(u32, PathBuf)>, StoreError> {
    let context = |source| StoreError::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    };
    let none = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let entries = match std::fs::read_dir(dir) {
        Err(error) if none(&error) => return Ok(Vec::new()),
        entries => entries.map_err(context)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(context)?.path();
        let archive = path.extension().is_some_and(|extension| extension == ARCHIVE_EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| archive) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn read_archive(path: &Path) -> Result<Vec<u8>, StoreError> {
    if path.is_dir() {
        return Err(StoreError::NotPacked { path: path.to_owned() });
    }
    Ok(read_file(path, MAX_ARCHIVE_BYTES)?)
}

fn check_weights_of(package: &Package) -> Result<(), StoreError> {
    package.weights().map(drop).map_err(|source| StoreError::Weights {
        name: package.bundle.name().clone(),
        source,
    })
}

/// Whether one bundle may follow another.
fn check_succession(installed: &Bundle, offered: &Bundle) -> Result<(), StoreError> {
    let name = offered.name().clone();
    let (old, new) = (&installed.manifest.version, &offered.manifest.version);
    if new < old {
        return Err(StoreError::Downgrade {
            name,
            installed: old.clone(),
            offered: new.clone(),
        });
    }
    if new == old && installed.generation != offered.generation {
        return Err(StoreError::SameVersion {
            name,
            version: new.clone(),
            installed: Box::new(installed.generation),
            offered: Box::new(offered.generation),
        });
    }
    Ok(())
}
