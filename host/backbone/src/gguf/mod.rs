//! GGUF model files: metadata, tensor directory and quantized tensor data.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little endian.
//! A file is untrusted: every count, length, offset and string in it is checked once, in [`Gguf::open`]; what comes
//! out of there cannot point outside the file.

mod error;
mod header;
mod metadata;
mod quant;
mod tensor;

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

pub use error::{Fault, GgufError, Optional};
pub use metadata::{Array, Value};
pub use quant::QuantType;
pub use tensor::TensorInfo;

use header::Header;

/// A memory-mapped GGUF file whose directory has been validated.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: Mmap,
    header: Header,
}

impl Gguf {
    /// Maps the file at `path` and validates its header, metadata and tensor directory.
    ///
    /// Tensor data is read only when asked for, so opening costs the metadata alone.
    ///
    /// # Errors
    ///
    /// [`GgufError`] names the file, the item and the byte at which it stopped making sense.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let io = |source| GgufError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is read only. As with every mapped file, another process that truncates it while we read
        // would end this process with SIGBUS; a model file is replaced by renaming, never rewritten in place.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let header = Header::parse(&map).map_err(|fault| fault.at(path))?;
        Ok(Self {
            path: path.to_owned(),
            map,
            header,
        })
    }

    /// The file this was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the metadata has an entry named `key`, of whatever type.
    pub fn has(&self, key: &str) -> bool {
        self.header.metadata.contains_key(key)
    }

    /// The metadata entry `key` as it is stored.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`]; use [`Optional::optional`] where absence is fine.
    pub fn value(&self, key: &str) -> Result<&Value, GgufError> {
        self.header.metadata.get(key).ok_or_else(|| GgufError::MissingKey {
            path: self.path.clone(),
            key: key.to_owned(),
        })
    }

    /// The metadata string `key`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is not a string.
    pub fn str(&self, key: &str) -> Result<&str, GgufError> {
        self.typed(key, "string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The metadata number `key`, of any integer type, as `u32`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no integer in `0..=u32::MAX`.
    pub fn u32(&self, key: &str) -> Result<u32, GgufError> {
        self.typed(key, "integer in 0..=4294967295", |value| match value {
            Value::Int(number) => u32::try_from(*number).ok(),
            _ => None,
        })
    }

    /// The metadata number `key`, of any float type, as `f32`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no float.
    pub fn f32(&self, key: &str) -> Result<f32, GgufError> {
        self.typed(key, "float", |value| match value {
            Value::Float(number) => Some(*number as f32),
            _ => None,
        })
    }

    /// The metadata flag `key`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no bool.
    pub fn bool(&self, key: &str) -> Result<bool, GgufError> {
        self.typed(key, "bool", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// The metadata array of strings `key`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no array of strings.
    pub fn strings(&self, key: &str) -> Result<&[String], GgufError> {
        self.typed(key, "array of strings", |value| match value {
            Value::Array(Array::Strings(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// The metadata array of integers `key`, of any integer type.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no array of integers.
    pub fn ints(&self, key: &str) -> Result<&[i64], GgufError> {
        self.typed(key, "array of integers", |value| match value {
            Value::Array(Array::Ints(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// The metadata array of floats `key` (`f64` items are rounded).
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingKey`], or [`GgufError::WrongType`] if the entry is no array of floats.
    pub fn floats(&self, key: &str) -> Result<&[f32], GgufError> {
        self.typed(key, "array of floats", |value| match value {
            Value::Array(Array::Floats(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// The tensor directory, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// The directory entry of the tensor `name`.
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, GgufError> {
        self.header
            .by_name
            .get(name)
            .map(|&index| &self.header.tensors[index])
            .ok_or_else(|| GgufError::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            })
    }

    /// The tensor `name` dequantized to `f32`, row major in the order of [`TensorInfo::shape`].
    ///
    /// # Errors
    ///
    /// [`GgufError::MissingTensor`].
    pub fn dequantize(&self, name: &str) -> Result<Vec<f32>, GgufError> {
        let tensor = self.tensor(name)?;
        let mut values = vec![0.0; tensor.elements()];
        tensor.quant().dequantize(&self.map[tensor.range()], &mut values);
        Ok(values)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, GgufError> {
        let value = self.value(key)?;
        pick(value).ok_or_else(|| GgufError::WrongType {
            path: self.path.clone(),
            key: key.to_owned(),
            expected,
            found: value.describe(),
        })
    }
}
