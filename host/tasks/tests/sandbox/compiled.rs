//! Compiled tasks that are kept.

use std::fs;
use std::path::{Path, PathBuf};

use transducer_tasks::TaskEngine;

use crate::guest::{Guest, limits};

/// Loads the good task with an engine of its own, as a host that starts does.
fn load(dir: &Path) {
    let engine = TaskEngine::with_cache(limits(), dir).expect("a usable directory");
    engine.compile(&Guest::good().component()).expect("a good task");
}

/// The compiled code in a directory. What lies beside it are statistics of its use.
fn code(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(code(&path));
        } else if path.extension().is_none() {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_task_is_compiled_once() {
    let dir = tempfile::tempdir().expect("a directory");
    load(dir.path());
    let made = code(dir.path());
    assert_eq!(made.len(), 1, "{made:?}");
    let written = || fs::metadata(&made[0]).and_then(|file| file.modified()).expect("a file");
    let first = written();
    load(dir.path());
    assert_eq!(code(dir.path()), made);
    assert_eq!(written(), first);
}

#[test]
fn damaged_code_is_compiled_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    load(dir.path());
    let file = code(dir.path()).pop().expect("compiled code");
    let whole = fs::read(&file).expect("a file");
    for damaged in [&b""[..], b"no code", &whole[..whole.len() / 2]] {
        fs::write(&file, damaged).expect("a writable file");
        load(dir.path());
    }
}
