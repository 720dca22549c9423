//! The model's shape from GGUF metadata.

use super::{Family, ModelConfig, Shape};
use crate::BackboneError;
use crate::gguf::{Gguf, Optional};
use crate::rope::{Rope, RopeScaling, Yarn};

/// `rope.freq_base` where the metadata has none: llama.cpp's default, RoPE's original.
const DEFAULT_ROPE_THETA: f32 = 10_000.0;

impl ModelConfig {
    /// Reads the shape of the model in `gguf` from its metadata.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] names the entry that is missing, out of range or not supported.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, BackboneError> {
        let path = gguf.path();
        let family = Family::from_name(
            gguf.str("general.architecture")?,
            &[Family::Llama, Family::Qwen2],
            "llama, qwen2",
            path,
        )?;
        let key = |name: &str| format!("{}.{name}", family.name());
        let size = |name: &str| gguf.u32(&key(name)).map(|number| number as usize);
        let hidden_size = size("embedding_length")?;
        let heads = size("attention.head_count")?;
        let head_dim = match size("attention.key_length").optional()? {
            Some(length) => length,
            None => hidden_size.checked_div(heads).unwrap_or(0),
        };
        let max_context = size("context_length")?;
        let theta = gguf
            .f32(&key("rope.freq_base"))
            .optional()?
            .unwrap_or(DEFAULT_ROPE_THETA);
        let equal_to_head_dim = [
            ("the rotary dimension", "rope.dimension_count"),
            ("the value head", "attention.value_length"),
        ];
        for (what, name) in equal_to_head_dim {
            let found = size(name).optional()?.unwrap_or(head_dim);
            if found != head_dim {
                let (path, found) = (path.to_owned(), found.to_string());
                return Err(BackboneError::Config {
                    path,
                    what,
                    found,
                    expected: format!("{head_dim}, the head dimension"),
                });
            }
        }
        let scaling = scaling(gguf, &key, max_context, head_dim)?;
        let extended = match scaling {
            RopeScaling::Yarn(ref yarn) => yarn.context(),
            _ => 0,
        };
        Self {
            family,
            hidden_size,
            layers: size("block_count")?,
            heads,
            kv_heads: size("attention.head_count_kv").optional()?.unwrap_or(heads),
            head_dim,
            ffn_size: size("feed_forward_length")?,
            vocab_size: gguf.tensor("token_embd.weight")?.shape()[0],
            shape: Shape::Decoder {
                rope: Rope {
                    theta: theta.into(),
                    scaling,
                },
            },
            rms_eps: gguf.f32(&key("attention.layer_norm_rms_epsilon"))?.into(),
            max_context: max_context.max(extended),
            tied_head: gguf.tensor("output.weight").optional()?.is_none(),
        }
        .validated(path)
    }
}

fn scaling(
    gguf: &Gguf,
    key: &impl Fn(&str) -> String,
    max_context: usize,
    head_dim: usize,
) -> Result<RopeScaling, BackboneError> {
    // Converters store Llama 3's scaling not as numbers but as the divisor of every frequency.
    if let Some(tensor) = gguf.tensor("rope_freqs.weight").optional()? {
        if tensor.shape() != [head_dim / 2] {
            return Err(BackboneError::TensorShape {
                path: gguf.path().to_owned(),
                tensor: tensor.name().to_owned(),
                expected: vec![head_dim / 2],
                found: tensor.shape().to_vec(),
            });
        }
        let divisors = gguf.dequantize(tensor.name())?;
        return Ok(RopeScaling::Divisors(divisors.into_iter().map(f64::from).collect()));
    }
    let number = |name: &str| gguf.f32(&key(name)).map(f64::from);
    let kind = gguf.str(&key("rope.scaling.type")).optional()?;
    match kind {
        None | Some("none") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear {
            factor: number("rope.scaling.factor")?,
        }),
        Some("yarn") => {
            let original = gguf.u32(&key("rope.scaling.original_context_length")).optional()?;
            Ok(RopeScaling::Yarn(Yarn {
                original_context: original.map_or(max_context, |length| length as usize),
                attention_factor: number("rope.scaling.attn_factor").optional()?,
                ..Yarn::with_factor(number("rope.scaling.factor")?)
            }))
        }
        Some(other) => Err(BackboneError::Unsupported {
            path: gguf.path().to_owned(),
            what: "the RoPE scaling",
            found: format!("{other:?}"),
            supported: "none, linear, yarn, and Llama 3's (rope_freqs.weight)",
        }),
    }
}
