//! The few steps on the file system that an installation is made of, so that a test can let any of them fail.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::StoreError;

/// Called before each step with what is about to be done; an error is what the step then fails with.
type Fault = Box<dyn FnMut(&'static str) -> io::Result<()>>;

/// The file system, or one with a fault.
#[derive(Default)]
pub(crate) struct Disk {
    fault: Option<RefCell<Fault>>,
}

impl Disk {
    pub(crate) fn with_fault(fault: Fault) -> Self {
        let fault = Some(RefCell::new(fault));
        Self { fault }
    }

    fn step(&self, action: &'static str, path: &Path, act: impl FnOnce() -> io::Result<()>) -> Result<(), StoreError> {
        let fault = self.fault.as_ref().map_or(Ok(()), |fault| fault.borrow_mut()(action));
        fault.and_then(|()| act()).map_err(|source| StoreError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }

    /// The folder, with those above it.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.step("create", path, || std::fs::create_dir_all(path))
    }

    /// A file with these bytes, on the disk and not only on its way there.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = None;
        self.step("create", path, || {
            file = Some(File::create(path)?);
            Ok(())
        })?;
        let Some(mut file) = file else { return Ok(()) };
        // Two halves, so that a test sees what a program that dies while writing leaves.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.step("write", path, || file.write_all(first))?;
        self.step("write", path, || file.write_all(second))?;
        self.step("write", path, || file.sync_all())
    }

    /// Puts a file in another's place; the folder of the new place is on the disk after it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.step("put in place", to, || std::fs::rename(from, to))?;
        self.sync_parent(to)
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.step("remove", path, || std::fs::remove_file(path))?;
        self.sync_parent(path)
    }

    pub(crate) fn remove_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.step("remove", path, || std::fs::remove_dir_all(path))
    }

    /// A rename is on the disk when its folder is.
    fn sync_parent(&self, path: &Path) -> Result<(), StoreError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        self.step("write", parent, || File::open(parent)?.sync_all())
    }
}
