//! The files of a run: all of them, or none.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::OutputError;
use crate::row::Split;
use crate::run::Mined;

/// A folder that can be written to.
#[derive(Debug)]
pub struct Output {
    dir: PathBuf,
}

impl Output {
    /// Makes the folder where it is missing, and tries whether it can be written to: before the work, not after it.
    ///
    /// # Errors
    /// [`OutputError::Write`].
    pub fn create(dir: &Path) -> Result<Self, OutputError> {
        std::fs::create_dir_all(dir).map_err(|error| OutputError::Write {
            path: dir.to_owned(),
            error,
        })?;
        let output = Self { dir: dir.to_owned() };
        output.temporary(dir)?;
        Ok(output)
    }

    /// Writes `train.jsonl`, `valid.jsonl`, `test.jsonl` and `report.json`. Files of a run before are replaced, each at once, and
    /// only after all new ones are whole and on the disk; on an error nothing new is left.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn write(&self, mined: &Mined) -> Result<(), OutputError> {
        let mut whole = Vec::new();
        for split in Split::ALL {
            let path = self.dir.join(format!("{}.jsonl", split.name()));
            let rows = mined.rows(split).map(serde_json::to_vec);
            whole.push((self.fill(&path, rows)?, path));
        }
        let path = self.dir.join("report.json");
        let report = serde_json::to_vec_pretty(&mined.report);
        whole.push((self.fill(&path, std::iter::once(report))?, path));
        for (file, path) in whole {
            file.persist(&path).map_err(|error| OutputError::Write {
                path,
                error: error.error,
            })?;
        }
        Ok(())
    }

    /// A temporary file with these lines, to become `path`.
    fn fill(
        &self,
        path: &Path,
        lines: impl Iterator<Item = serde_json::Result<Vec<u8>>>,
    ) -> Result<NamedTempFile, OutputError> {
        let cannot_write = |error| OutputError::Write {
            path: path.to_owned(),
            error,
        };
        let mut file = BufWriter::new(self.temporary(path)?);
        for line in lines {
            let mut line = line.map_err(|error| OutputError::Json {
                path: path.to_owned(),
                error,
            })?;
            line.push(b'\n');
            file.write_all(&line).map_err(cannot_write)?;
        }
        let file = file.into_inner().map_err(|error| cannot_write(error.into_error()))?;
        file.as_file().sync_all().map_err(cannot_write)?;
        Ok(file)
    }

    /// Removed when it is dropped.
    fn temporary(&self, path: &Path) -> Result<NamedTempFile, OutputError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mine-");
        // As any other new file has it; a temporary one is private otherwise, and so would be what it becomes.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.dir).map_err(|error| OutputError::Write {
            path: path.to_owned(),
            error,
        })
    }
}
