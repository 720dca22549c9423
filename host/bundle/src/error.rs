//! What can be wrong with a bundle.

use std::path::PathBuf;

use crate::{AdapterName, ArchiveError, Refusal};

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of the bundle cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A link, a device, a folder: bundles hold plain files only.
    #[error("{path} is not a plain file: a bundle holds plain files only, no links")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than any real one of its kind.
    #[error("{path} has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The manifest is not TOML, or not of the manifest's form.
    #[error("{path}: {message}")]
    Syntax {
        /// The manifest.
        path: PathBuf,
        /// What the reader says, with line and column.
        message: String,
    },
    /// A value of the manifest is out of range.
    #[error("{path}: {source}")]
    Invalid {
        /// The manifest.
        path: PathBuf,
        /// Which value and why.
        source: Invalid,
    },
    /// The bundle is for other versions of the host.
    #[error(
        "{path}: {name} needs transducer-host {requires}, and this is {host}: use such a host, or another version of the bundle"
    )]
    OtherHost {
        /// The manifest.
        path: PathBuf,
        /// The adapter.
        name: AdapterName,
        /// The versions that it asks for.
        requires: semver::VersionReq,
        /// The version of this host.
        host: &'static str,
    },
    /// An archive that cannot be unpacked.
    #[error("{path}: {source}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: ArchiveError,
    },
    /// A bundle that the host's policy does not let in.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// More than one bundle of a name.
    #[error("more than one bundle is named \"{name}\": {}; keep one of them", list(paths))]
    Duplicate {
        /// The name.
        name: String,
        /// Where they are.
        paths: Vec<PathBuf>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// A value that the manifest may not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found}, expected {expected}")]
pub struct Invalid {
    /// The key, as in `adapter.name`.
    pub key: &'static str,
    /// The value found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl Invalid {
    pub(crate) fn new(key: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self {
            key,
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

/// A reader's words about what somebody else wrote, which they may quote: lines of a bounded length, and nothing that a terminal
/// obeys.
pub(crate) fn readable(words: &str) -> String {
    // What lists all the keys of `[train]` is not cut.
    const SHOWN: usize = 600;
    let line = |line: &str| {
        let mut shown = String::new();
        for (index, char) in line.chars().enumerate() {
            if index == SHOWN {
                shown.push('…');
                break;
            }
            if char.is_control() {
                shown.extend(char.escape_default());
            } else {
                shown.push(char);
            }
        }
        shown
    };
    words.lines().map(line).collect::<Vec<_>>().join("\n")
}
