//! Tensor operations that more than one part needs.

use tch::{Device, Tensor};

/// Added to a mean square before its root is taken, so that zeros have a norm: what the LLMs' own RMSNorms add.
pub(crate) const EPSILON: f64 = 1e-6;

/// A vector of indices, `[values]`.
pub(crate) fn indices(values: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_device(device)
}

/// A vector of truth values, `[values]`.
pub(crate) fn mask(values: &[bool], device: Device) -> Tensor {
    Tensor::from_slice(values).to_device(device)
}

/// Root mean square of each row, `[rows, size]` → `[rows, 1]`.
pub(crate) fn rms(rows: &Tensor) -> Tensor {
    let size = rows.size()[1] as f64;
    let length = rows.norm_scalaropt_dim(2, [-1_i64].as_slice(), true);
    (length.square() / size + EPSILON).sqrt()
}

/// RMSNorm without a scale (Zhang & Sennrich, arXiv 1910.07467): each row divided by its root mean square.
pub(crate) fn rms_norm(rows: &Tensor) -> Tensor {
    rows / rms(rows)
}

/// A linear map without bias: `input [rows, from]`, `weight [to, from]` → `[rows, to]`.
pub(crate) fn linear(input: &Tensor, weight: &Tensor) -> Tensor {
    input.linear(weight, None::<&Tensor>)
}

/// Rows in groups: those of one group side by side.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The group of each row, ascending, `[rows]`.
    of_row: Tensor,
    /// How many rows each group has, `[groups]`.
    sizes: Tensor,
}

impl Groups {
    /// `of_row` names the group of each row, in ascending order, each below `groups`.
    pub(crate) fn new(of_row: &[i64], groups: usize, device: Device) -> Self {
        let mut sizes = vec![0_i64; groups];
        for &group in of_row {
            sizes[group as usize] += 1;
        }
        Self {
            of_row: indices(of_row, device),
            sizes: indices(&sizes, device),
        }
    }

    /// For each row, the row of its group: `[groups, …]` → `[rows, …]`.
    pub(crate) fn spread(&self, groups: &Tensor) -> Tensor {
        groups.index_select(0, &self.of_row)
    }

    /// The largest of each component within each group, `[rows, size]` → `[groups, size]`; zeros for a group without rows.
    pub(crate) fn largest(&self, rows: &Tensor) -> Tensor {
        let (none, sizes) = (None::<&Tensor>, Some(&self.sizes));
        let largest = Tensor::segment_reduce(&rows.contiguous(), "max", sizes, none, none, 0, true, f64::NEG_INFINITY);
        largest.masked_fill(&self.sizes.eq(0).unsqueeze(1), 0.0)
    }

    /// Attention pooling: within each group and for each head, `Σ softmax(scores)ᵢ · valuesᵢ`.
    ///
    /// `scores [rows, heads]`, `values [rows, heads, size]` (or `[rows, 1, size]` for values that all heads share) →
    /// `[groups, heads, size]`. A group without rows gets zeros. The softmax is divided out after the sum: one division
    /// a group instead of one a row.
    pub(crate) fn attend(&self, scores: &Tensor, values: &Tensor) -> Tensor {
        let (groups, heads, size) = (self.sizes.size()[0], scores.size()[1], values.size()[2]);
        let options = (scores.kind(), scores.device());
        // The largest score of a group cancels out of the softmax: it only keeps `exp` within range, and has no gradient.
        let shift = tch::no_grad(|| {
            let (none, sizes) = (None::<&Tensor>, Some(&self.sizes));
            let largest = Tensor::segment_reduce(scores, "max", sizes, none, none, 0, true, f64::NEG_INFINITY);
            self.spread(&largest)
        });
        let weights = (scores - shift).exp();
        let weighted = weights.unsqueeze(-1) * values;
        let sums = Tensor::zeros([groups, heads, size], options).index_add(0, &self.of_row, &weighted);
        let totals = Tensor::zeros([groups, heads], options).index_add(0, &self.of_row, &weights);
        // A group's largest score alone contributes 1 to its total: only groups without rows are below.
        sums / totals.clamp_min(1.0).unsqueeze(-1)
    }
}
