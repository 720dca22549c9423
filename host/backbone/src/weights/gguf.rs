//! Weights of a GGUF file.

use std::path::Path;

use super::{LayerWeight, Weight, WeightSource};
use crate::BackboneError;
use crate::config::{Family, ModelConfig};
use crate::gguf::Gguf;

/// The weights in a GGUF file, by llama.cpp's names.
pub(crate) struct GgufWeights<'a>(pub(crate) &'a Gguf);

impl WeightSource for GgufWeights<'_> {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn name(&self, weight: Weight) -> String {
        let (layer, name) = match weight {
            Weight::Embedding => return "token_embd.weight".to_owned(),
            Weight::FinalNorm => return "output_norm.weight".to_owned(),
            Weight::FinalNormBias => return "output_norm.bias".to_owned(),
            Weight::Head => return "output.weight".to_owned(),
            Weight::Layer(layer, weight) => (layer, weight),
        };
        let name = match name {
            LayerWeight::AttentionNorm => "attn_norm.weight",
            LayerWeight::Query => "attn_q.weight",
            LayerWeight::Key => "attn_k.weight",
            LayerWeight::Value => "attn_v.weight",
            LayerWeight::QueryBias => "attn_q.bias",
            LayerWeight::KeyBias => "attn_k.bias",
            LayerWeight::ValueBias => "attn_v.bias",
            LayerWeight::Output => "attn_output.weight",
            LayerWeight::FfnNorm => "ffn_norm.weight",
            LayerWeight::Gate => "ffn_gate.weight",
            LayerWeight::Up => "ffn_up.weight",
            LayerWeight::Down => "ffn_down.weight",
            LayerWeight::AttentionNormBias => "attn_norm.bias",
            LayerWeight::OutputBias => "attn_output.bias",
            LayerWeight::FfnNormBias => "ffn_norm.bias",
            LayerWeight::Fc => "ffn_up.weight",
            LayerWeight::FcBias => "ffn_up.bias",
            LayerWeight::Proj => "ffn_down.weight",
            LayerWeight::ProjBias => "ffn_down.bias",
        };
        format!("blk.{layer}.{name}")
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.tensor(name).ok().map(|tensor| tensor.shape().to_vec())
    }

    fn names(&self) -> Vec<&str> {
        self.0.tensors().iter().map(|tensor| tensor.name()).collect()
    }

    fn is_redundant(&self, name: &str, _: &ModelConfig) -> bool {
        // The configuration has taken it in as the RoPE scaling.
        name == "rope_freqs.weight"
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, BackboneError> {
        Ok(self.0.dequantize(name)?)
    }

    fn read(&self, weight: Weight, config: &ModelConfig) -> Result<Vec<f32>, BackboneError> {
        let values = self.values(&self.name(weight))?;
        // llama.cpp turns neighbouring places in Llama models, and its converter orders the rows for that.
        let paired_rows =
            config.family == Family::Llama && matches!(weight, Weight::Layer(_, LayerWeight::Query | LayerWeight::Key));
        Ok(if paired_rows {
            halves_from_pairs(&values, config.head_dim, config.hidden_size)
        } else {
            values
        })
    }
}

/// Reorders the rows of each head from `0, d/2, 1, d/2 + 1, ...` to `0, 1, 2, ...`.
fn halves_from_pairs(values: &[f32], head_dim: usize, columns: usize) -> Vec<f32> {
    let row = |head: &[f32], index: usize| head[index * columns..(index + 1) * columns].to_vec();
    values
        .chunks_exact(head_dim * columns)
        .flat_map(|head| {
            let halves = (0..head_dim).step_by(2).chain((1..head_dim).step_by(2));
            halves.flat_map(move |index| row(head, index))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::halves_from_pairs;

    #[test]
    fn interleaved_rows_come_out_in_halves() {
        // Two heads of width 4, two columns: rows are written as llama.cpp's converter orders them.
        let stored = [0, 2, 1, 3, 10, 12, 11, 13]
            .map(|row: u8| [f32::from(row), f32::from(row) + 0.5])
            .concat();
        let expected = [0, 1, 2, 3, 10, 11, 12, 13]
            .map(|row: u8| [f32::from(row), f32::from(row) + 0.5])
            .concat();
        assert_eq!(halves_from_pairs(&stored, 4, 2), expected);
    }
}
