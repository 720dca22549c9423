//! The folder of a run, which one training has at a time.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::TrainError;

/// Where a run keeps what it makes, inside the bundle's folder. Hidden: no part of the bundle.
pub const RUN_FOLDER: &str = ".train";
/// The run's log: a JSON object a line.
pub const LOG_FILE: &str = "log.jsonl";
/// The run's last checkpoint.
pub const CHECKPOINT_FILE: &str = "last.checkpoint";
/// The weights with the lowest validation loss.
pub const BEST_FILE: &str = "best.safetensors";
/// The curve of the loss.
pub const CURVE_FILE: &str = "curve.svg";
/// Locked by the training that is at work. It stays behind, empty: to remove it would let two in.
pub const LOCK_FILE: &str = "lock";

/// The run's folder of a bundle. Nobody else trains there as long as it lives, and nobody else writes the bundle's settings and weights.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The system takes the lock back when the file is closed, however the process ends.
    _lock: File,
}

impl RunFolder {
    /// That of the bundle in `dir`; made where it is missing.
    ///
    /// # Errors
    /// [`TrainError::Busy`] while another training is at work there.
    pub fn take(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(RUN_FOLDER);
        std::fs::create_dir_all(&path).map_err(TrainError::file(&path))?;
        let file = path.join(LOCK_FILE);
        let lock = File::options().create(true).append(true).open(&file);
        let lock = lock.map_err(TrainError::file(&file))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(TrainError::Busy { path }),
            // Some network file systems have no locks, and one trains there all the same.
            Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
                return Err(TrainError::file(&file)(error));
            }
            _ => {}
        }
        Ok(Self { path, _lock: lock })
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Forgets an earlier run.
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn forget(&self) -> Result<(), TrainError> {
        for name in [CHECKPOINT_FILE, BEST_FILE, LOG_FILE] {
            let file = self.file(name);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(TrainError::file(&file)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}
