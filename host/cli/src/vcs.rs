//! From which commit a bundle's folder is.

use std::path::Path;
use std::process::Command;

use transducer_bundle::Commit;

/// The commit that is checked out where `dir` lies, and whether one of `files` there is not as it is in the commit. `None` where
/// the folder is not under Git's control, or there is no Git.
pub fn commit(dir: &Path, files: &[&str]) -> Option<Commit> {
    // A folder that Git only happens to lie above has no history of its own.
    git(dir, &[&["ls-files", "--error-unmatch", "--"], files.get(..1)?].concat())?;
    let id = git(dir, &["rev-parse", "--verify", "HEAD"])?.trim().to_owned();
    let changed = git(dir, &[&["status", "--porcelain", "--"], files].concat())?;
    Some(Commit {
        id,
        dirty: !changed.is_empty(),
    })
}

fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        // A hook of Git's that calls this program sets these for another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
