//! Where compiled tasks are kept.
//!
//! Compiled code is believed: whoever writes it runs what he likes as the host. So it comes from one directory that nobody but the
//! host's own user may write to, never from a bundle.

use std::fs;
use std::path::Path;

use wasmtime::{Cache, CacheConfig};

use crate::TaskError;

/// Opens the directory, or makes it.
pub(crate) fn open(dir: &Path) -> Result<Cache, TaskError> {
    let unusable = |message: String| TaskError::Cache {
        dir: dir.to_owned(),
        message,
    };
    make(dir).map_err(|error| unusable(error.to_string()))?;
    let dir = dir.canonicalize().map_err(|error| unusable(error.to_string()))?;
    if let Some(fault) = others_may_write(&dir).map_err(|error| unusable(error.to_string()))? {
        return Err(unusable(fault));
    }
    let mut config = CacheConfig::new();
    config.with_directory(dir);
    Cache::new(config).map_err(|error| unusable(format!("{error:#}")))
}

#[cfg(unix)]
fn make(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(unix)]
fn others_may_write(dir: &Path) -> std::io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(dir)?;
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    Ok(if owner != user {
        Some(format!("it belongs to user {owner}, not to {user}, who runs this"))
    } else if found.mode() & 0o022 != 0 {
        let mode = found.mode() & 0o777;
        Some(format!(
            "others may write to it (mode {mode:o}): chmod go-w it, or delete it"
        ))
    } else {
        None
    })
}

/// Where there are no modes, the directory of a user's caches is that user's own.
#[cfg(not(unix))]
fn others_may_write(_: &Path) -> std::io::Result<Option<String>> {
    Ok(None)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::open;

    #[test]
    fn a_new_directory_is_the_users_own() {
        let parent = tempfile::tempdir().expect("a directory");
        let dir = parent.path().join("a/b");
        open(&dir).expect("a usable directory");
        let mode = fs::metadata(&dir).expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("it is ours");
        match open(dir.path()) {
            Ok(_) => panic!("it was taken"),
            Err(error) => assert!(error.to_string().contains("mode 777"), "{error}"),
        }
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(open(file.path()).is_err());
    }
}
