use std::path::PathBuf;

/// A file of keys that cannot be used, or a change of it that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("cannot read the keys {path}: {source}; `transducer-host access new` makes the first one")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the keys {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or not of this form.
    #[error("the keys {path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the reader says, with line and column.
        message: String,
    },
    /// A digest that is none.
    #[error("the keys {path}: the digest of {name:?} is {found:?}, expected SHA-256 in 64 hexadecimal digits")]
    Digest {
        /// The file.
        path: PathBuf,
        /// Whose.
        name: String,
        /// What stands there.
        found: String,
    },
    /// Names tell keys apart in logs and in `revoke`.
    #[error("the keys {path}: two keys are named {name:?}, or have its digest")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A name that would not be one in a log.
    #[error("{name:?} is no name for a key: give 1 to 64 letters, digits, `-`, `_`, `.` or `@`")]
    Name {
        /// The name.
        name: String,
    },
    /// There is a key of that name.
    #[error("{path} has a key named {name:?} already: revoke it, or take another name")]
    Taken {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("{path} has no key named {name:?}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
}
