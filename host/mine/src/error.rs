//! What can go wrong.

use std::path::PathBuf;

/// An option's value that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// The ratios are something else than three whole numbers with a sum above zero.
    #[error("`{text}` are no ratios: give three whole numbers for train, valid and test, such as 80,10,10")]
    Ratios {
        /// What was given.
        text: String,
    },
    /// The threshold for near-duplicates lies outside its range.
    #[error("`{text}` is no threshold for near-duplicates: give a number from {low} to 1")]
    Similarity {
        /// What was given.
        text: String,
        /// The lowest that is taken.
        low: f64,
    },
    /// No target has that many words.
    #[error("no target has at least {min} and at most {max} words: give a minimum that is not above the maximum")]
    TargetWords {
        /// Lower end.
        min: usize,
        /// Upper end.
        max: usize,
    },
}

/// Why a tree gives no rows.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// An option makes no sense.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The tree cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The tree.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The tree is a file.
    #[error("{path} is no folder: give the folder that holds the sources")]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// A language that cannot be mined was asked for.
    #[error("cannot mine `{language}`; can mine: {known}")]
    Language {
        /// What was asked for.
        language: String,
        /// The languages that have both a front end here and rules of this crate, or `none`.
        known: String,
    },
    /// The tree holds no source file of a language that can be mined.
    #[error("{path} holds no source file ({wanted}) that can be read{skipped}")]
    NoSources {
        /// The tree.
        path: PathBuf,
        /// The file endings looked for.
        wanted: String,
        /// What was skipped, as `: 3 not UTF-8`; empty where nothing was.
        skipped: String,
    },
    /// There are source files, but none gave a row.
    #[error("{path}: no row from {files} source files with {methods} methods{dropped}")]
    NothingMined {
        /// The tree.
        path: PathBuf,
        /// Source files that were read.
        files: usize,
        /// Methods in them.
        methods: usize,
        /// Why not, the most frequent reason first, as `: 12 no comment, 3 too short`.
        dropped: String,
    },
    /// The caller asked to stop.
    #[error("stopped; nothing was written")]
    Stopped,
    /// The threads cannot be started.
    #[error("cannot start {jobs} threads: {reason}")]
    Threads {
        /// How many were asked for.
        jobs: usize,
        /// What was said.
        reason: String,
    },
}

/// Why the files cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The system refused.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A row has no JSON form.
    #[error("cannot write a row of {path} as JSON: {error}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        error: serde_json::Error,
    },
}
