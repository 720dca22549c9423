//! One entry of the tensor directory.

use std::ops::Range;

use super::quant::QuantType;

/// A tensor of a GGUF file; its range has been checked against the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) quant: QuantType,
    pub(super) range: Range<usize>,
}

impl TensorInfo {
    /// The name, `blk.0.attn_q.weight` for instance.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape, outermost dimension first (the reverse of the file's order): `[out, in]` for a projection.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How the data is stored.
    pub fn quant(&self) -> QuantType {
        self.quant
    }

    /// Number of values.
    pub fn elements(&self) -> usize {
        // Cannot overflow: the directory check multiplied the same dimensions with care.
        self.shape.iter().product()
    }

    /// Where in the file the data lies.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}
