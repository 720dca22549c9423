//! What can be wrong with a GGUF file.

use std::path::{Path, PathBuf};

/// Why a GGUF file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The header, metadata or tensor directory is damaged, hostile or of a kind that is not supported.
    #[error("{}: not a usable GGUF file: {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// A metadata entry that is needed is absent.
    #[error("{}: the metadata has no entry `{key}`", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
    },
    /// A metadata entry has another type or range than its meaning asks for.
    #[error("{}: metadata entry `{key}` should be {expected}, found {found}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A tensor that is needed is absent.
    #[error("{}: no tensor `{tensor}`", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
}

/// One fault found while the header of a GGUF file was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file does not begin with `GGUF`.
    #[error("it begins with {found:02x?}, not with \"GGUF\"")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// A version of the format that is not supported.
    #[error("format version {found} is not supported (2 and 3 are, little endian); convert the model anew")]
    Version {
        /// The version stored.
        found: u32,
    },
    /// The file ends inside an item.
    #[error("{what} at byte {offset} needs {needed} bytes, {left} are left; the file may be cut off")]
    Truncated {
        /// The item.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// Its size, saturated.
        needed: u64,
        /// Bytes between `offset` and the end of the file.
        left: usize,
    },
    /// A count that is larger than any real model's.
    #[error("{what} at byte {offset} is {found}, the limit is {limit}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// Where the count stands.
        offset: usize,
        /// The count.
        found: u64,
        /// The largest accepted count.
        limit: u64,
    },
    /// A string that is not UTF-8.
    #[error("{what} at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// The item.
        what: &'static str,
        /// Where its bytes begin.
        offset: usize,
    },
    /// A metadata value whose type code is unknown, or an array of arrays.
    #[error("metadata entry `{key}` has the type code {code}, which is not supported here")]
    ValueType {
        /// The entry.
        key: String,
        /// The code.
        code: u32,
    },
    /// A bool that is neither 0 nor 1, or an unsigned number above `i64::MAX`.
    #[error("metadata entry `{key}` holds {found}, which is no valid {expected}")]
    Value {
        /// The entry.
        key: String,
        /// The value.
        found: u64,
        /// The type it should have.
        expected: &'static str,
    },
    /// Two metadata entries or two tensors of one name.
    #[error("{what} `{name}` occurs twice")]
    Duplicate {
        /// What occurs twice.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// `general.alignment` is no power of two within bounds.
    #[error("general.alignment is {found}, expected a power of two from 8 to {limit}")]
    Alignment {
        /// The value.
        found: i64,
        /// The largest accepted value.
        limit: i64,
    },
    /// A quantization that is not supported.
    #[error("tensor `{tensor}` has the type {name} (code {code}); supported are {supported}", name = crate::gguf::quant::name_of(*code), supported = crate::gguf::quant::SUPPORTED)]
    TensorType {
        /// The tensor.
        tensor: String,
        /// GGML's number of the type.
        code: u32,
    },
    /// A tensor whose shape is empty, too large, or does not fill whole quantization blocks.
    #[error("tensor `{tensor}` has the shape {shape:?} (innermost first): {reason}")]
    TensorShape {
        /// The tensor.
        tensor: String,
        /// Its dimensions as stored, innermost first.
        shape: Vec<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A tensor whose data lies outside the file, off the alignment, or over another tensor's.
    #[error("tensor `{tensor}`: {size} bytes of data at offset {offset} of the {section}-byte data section: {reason}")]
    TensorRange {
        /// The tensor.
        tensor: String,
        /// Offset of its data in the data section.
        offset: u64,
        /// Size of its data.
        size: u64,
        /// Size of the data section.
        section: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> GgufError {
        GgufError::Malformed {
            path: path.to_owned(),
            fault: self,
        }
    }
}

/// Turns the absence of a metadata entry or a tensor into `None`, and keeps every other error.
pub trait Optional<T> {
    /// `Ok(None)` for [`GgufError::MissingKey`] and [`GgufError::MissingTensor`].
    ///
    /// # Errors
    ///
    /// Every other error, unchanged.
    fn optional(self) -> Result<Option<T>, GgufError>;
}

impl<T> Optional<T> for Result<T, GgufError> {
    fn optional(self) -> Result<Option<T>, GgufError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(GgufError::MissingKey { .. } | GgufError::MissingTensor { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
