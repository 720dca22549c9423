//! Who may ask a server: keys, with which adapters, how often.
//!
//! The file holds digests, so that whoever reads it cannot ask in anybody's name:
//!
//! ```toml
//! [[key]]
//! name = "ci"
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! adapters = ["summarize-java"]     # optional: no others, nor the base model unless it is named too
//! requests-per-minute = 60          # optional
//! admin = true                      # optional: may install, remove and roll back adapters
//! ```
//!
//! - [`Gate`] is the door of a server: a key goes in, and a [`Pass`] or a [`Denied`] comes out.
//! - [`KeyFile`] changes the file: keys come and go, and everything else stays as its owner wrote it.

mod entry;
mod error;
mod file;
mod gate;
mod key;

pub use entry::Entry;
pub use error::AccessError;
pub use file::KeyFile;
pub use gate::{Denied, Gate, Pass};
pub use key::Key;
