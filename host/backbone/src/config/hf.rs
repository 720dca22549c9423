//! The model's shape from the `config.json` of a Hugging Face folder.

use std::path::Path;

use serde::Deserialize;

use super::{Family, ModelConfig, Shape, t5};
use crate::BackboneError;
use crate::rope::{Llama3, Rope, RopeScaling, Yarn};

/// `rope_theta` where the file has none: transformers' default for both families.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// The key that says what the others are.
#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

/// The keys of a decoder's `config.json` that the forward pass depends on. The others describe training and generation.
#[derive(Deserialize)]
struct ConfigJson {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    /// By the name that `StarCoder` 2 has for it.
    #[serde(alias = "norm_epsilon")]
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    /// `StarCoder` 2: how far back a token sees.
    sliding_window: Option<usize>,
    use_bias: Option<bool>,
    /// Gemma: whether a token sees those after it.
    use_bidirectional_attention: Option<bool>,
    rope_theta: Option<f64>,
    /// Until transformers 4.
    rope_scaling: Option<RopeJson>,
    /// Since transformers 5: the same, with `rope_theta` inside.
    rope_parameters: Option<RopeJson>,
}

#[derive(Deserialize, Default, Clone)]
struct RopeJson {
    rope_type: Option<String>,
    /// What older files call `rope_type`; some have both.
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    truncate: Option<bool>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
}

impl ModelConfig {
    /// Reads the shape of a model from `config.json` at `path`.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] names the key that is missing, out of range or not supported.
    pub fn from_config_json(path: &Path) -> Result<Self, BackboneError> {
        let text = std::fs::read(path).map_err(|source| BackboneError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, BackboneError> {
        let malformed = |source| BackboneError::Json {
            path: path.to_owned(),
            source,
        };
        let ModelType { model_type } = serde_json::from_slice(text).map_err(malformed)?;
        let families = [
            Family::Llama,
            Family::Qwen2,
            Family::Starcoder2,
            Family::Gemma,
            Family::T5,
        ];
        let family = Family::from_name(&model_type, &families, "llama, qwen2, starcoder2, gemma, t5", path)?;
        if family == Family::T5 {
            return t5::parse(text, path);
        }
        let json: ConfigJson = serde_json::from_slice(text).map_err(malformed)?;
        json.refuse_unsupported(family, path)?;
        let heads = json.num_attention_heads;
        let scaling = json.scaling(path)?;
        let max_context = match scaling {
            // These two say how far they stretch a context that `max_position_embeddings` need not include.
            RopeScaling::Yarn(ref yarn) => json.max_position_embeddings.max(yarn.context()),
            RopeScaling::Dynamic {
                factor,
                original_context,
            } => stretched(original_context, factor),
            _ => json.max_position_embeddings,
        };
        // Within its window a token sees all before it; further than that no sequence goes.
        let window = json.sliding_window.filter(|_| family == Family::Starcoder2);
        let max_context = window.map_or(max_context, |window| max_context.min(window));
        let theta = json.rope().rope_theta.or(json.rope_theta).unwrap_or(DEFAULT_ROPE_THETA);
        Self {
            family,
            hidden_size: json.hidden_size,
            layers: json.num_hidden_layers,
            heads,
            kv_heads: json.num_key_value_heads.unwrap_or(heads),
            head_dim: json
                .head_dim
                .unwrap_or_else(|| json.hidden_size.checked_div(heads).unwrap_or(0)),
            ffn_size: json.intermediate_size,
            vocab_size: json.vocab_size,
            shape: Shape::Decoder {
                rope: Rope { theta, scaling },
            },
            rms_eps: json.rms_norm_eps,
            max_context,
            // Transformers' defaults.
            tied_head: json
                .tie_word_embeddings
                .unwrap_or(matches!(family, Family::Starcoder2 | Family::Gemma)),
        }
        .validated(path)
    }
}

/// `context × factor` tokens.
pub(super) fn stretched(context: usize, factor: f64) -> usize {
    (context as f64 * factor) as usize
}

impl ConfigJson {
    /// The RoPE settings, whichever of the two keys holds them.
    fn rope(&self) -> RopeJson {
        self.rope_parameters
            .as_ref()
            .or(self.rope_scaling.as_ref())
            .cloned()
            .unwrap_or_default()
    }

    fn refuse_unsupported(&self, family: Family, path: &Path) -> Result<(), BackboneError> {
        let refuse = |what, found: String, supported| {
            Err(BackboneError::Unsupported {
                path: path.to_owned(),
                what,
                found,
                supported,
            })
        };
        // The first is what transformers says; Gemma's own files say "gelu" and mean the same.
        let activations = match family {
            Family::Starcoder2 => &["gelu_pytorch_tanh"][..],
            Family::Gemma => &["gelu_pytorch_tanh", "gelu"],
            _ => &["silu"],
        };
        if let Some(found) = &self.hidden_act
            && !activations.contains(&found.as_str())
        {
            return refuse("hidden_act", format!("{found:?}"), activations[0]);
        }
        if family == Family::Starcoder2 && self.use_bias == Some(false) {
            return refuse("use_bias", "false".to_owned(), "true");
        }
        let partial = self.rope().partial_rotary_factor.unwrap_or(1.0);
        if partial != 1.0 {
            return refuse("partial_rotary_factor", partial.to_string(), "1.0");
        }
        let flags = [
            ("attention_bias", self.attention_bias),
            ("mlp_bias", self.mlp_bias),
            ("use_sliding_window", self.use_sliding_window),
            (
                "use_bidirectional_attention",
                self.use_bidirectional_attention == Some(true),
            ),
        ];
        for (what, flag) in flags {
            if flag {
                return refuse(what, "true".to_owned(), "false");
            }
        }
        Ok(())
    }

    fn scaling(&self, path: &Path) -> Result<RopeScaling, BackboneError> {
        let rope = self.rope();
        let name = rope
            .rope_type
            .as_deref()
            .or(rope.old_type.as_deref())
            .unwrap_or("default");
        let need = |what, value: Option<f64>| {
            value.ok_or_else(|| BackboneError::Config {
                path: path.to_owned(),
                what,
                found: "absent".to_owned(),
                expected: format!("a number, as the RoPE scaling {name:?} needs it"),
            })
        };
        let factor = || need("the RoPE scaling's factor", rope.factor);
        let original_context = rope
            .original_max_position_embeddings
            .unwrap_or(self.max_position_embeddings);
        let refuse = |what, found: &str, supported| {
            Err(BackboneError::Unsupported {
                path: path.to_owned(),
                what,
                found: format!("{found:?}"),
                supported,
            })
        };
        match name {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: factor()? }),
            "dynamic" => Ok(RopeScaling::Dynamic {
                factor: factor()?,
                original_context: self.max_position_embeddings,
            }),
            "llama3" => Ok(RopeScaling::Llama3(Llama3 {
                factor: factor()?,
                low_freq_factor: need("the RoPE scaling's low_freq_factor", rope.low_freq_factor)?,
                high_freq_factor: need("the RoPE scaling's high_freq_factor", rope.high_freq_factor)?,
                original_context,
            })),
            "yarn" if rope.mscale.is_some() || rope.mscale_all_dim.is_some() => refuse(
                "the RoPE scaling",
                "yarn with mscale",
                "yarn with attention_factor or without",
            ),
            "yarn" => {
                let yarn = Yarn::with_factor(factor()?);
                Ok(RopeScaling::Yarn(Yarn {
                    original_context,
                    attention_factor: rope.attention_factor,
                    beta_fast: rope.beta_fast.unwrap_or(yarn.beta_fast),
                    beta_slow: rope.beta_slow.unwrap_or(yarn.beta_slow),
                    truncate: rope.truncate.unwrap_or(yarn.truncate),
                    ..yarn
                }))
            }
            other => refuse("the RoPE scaling", other, "default, linear, dynamic, llama3, yarn"),
        }
    }
}
