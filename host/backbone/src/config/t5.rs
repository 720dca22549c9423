//! T5's shape from the `config.json` of a Hugging Face folder.

use std::path::Path;

use serde::Deserialize;

use super::{EncoderDecoder, Family, FeedForward, MAX_LAYERS, ModelConfig, Shape};
use crate::BackboneError;

/// Buckets and distances: those of published models are 32 and 128.
const MAX_DISTANCE: usize = 1 << 16;

/// The keys that the forward pass depends on, with transformers' defaults.
#[derive(Deserialize)]
struct T5Json {
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: Option<usize>,
    num_heads: usize,
    vocab_size: usize,
    #[serde(default = "feed_forward_proj")]
    feed_forward_proj: String,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "distance")]
    relative_attention_max_distance: usize,
    #[serde(default = "epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default = "tied")]
    tie_word_embeddings: bool,
    /// Since transformers 5, which no longer says by `tie_word_embeddings` whether the head is scaled.
    scale_decoder_outputs: Option<bool>,
    decoder_start_token_id: Option<u32>,
    #[serde(default)]
    pad_token_id: u32,
    /// The length that the model was trained on: distances have no end of their own.
    #[serde(default = "positions")]
    n_positions: usize,
}

fn feed_forward_proj() -> String {
    "relu".to_owned()
}

fn buckets() -> usize {
    32
}

fn distance() -> usize {
    128
}

fn epsilon() -> f64 {
    1e-6
}

fn tied() -> bool {
    true
}

fn positions() -> usize {
    512
}

/// Reads the shape of a T5 from `text`, the `config.json` at `path`.
pub(super) fn parse(text: &[u8], path: &Path) -> Result<ModelConfig, BackboneError> {
    let json: T5Json = serde_json::from_slice(text).map_err(|source| BackboneError::Json {
        path: path.to_owned(),
        source,
    })?;
    let feed_forward = match json.feed_forward_proj.as_str() {
        "relu" => FeedForward::Relu,
        "gated-gelu" => FeedForward::GatedGelu,
        other => {
            return Err(BackboneError::Unsupported {
                path: path.to_owned(),
                what: "feed_forward_proj",
                found: format!("{other:?}"),
                supported: "relu, gated-gelu",
            });
        }
    };
    ModelConfig {
        family: Family::T5,
        hidden_size: json.d_model,
        layers: json.num_decoder_layers.unwrap_or(json.num_layers),
        heads: json.num_heads,
        kv_heads: json.num_heads,
        head_dim: json.d_kv,
        ffn_size: json.d_ff,
        vocab_size: json.vocab_size,
        shape: Shape::EncoderDecoder(EncoderDecoder {
            encoder_layers: json.num_layers,
            feed_forward,
            distance_buckets: json.relative_attention_num_buckets,
            max_distance: json.relative_attention_max_distance,
            start_token: json.decoder_start_token_id.unwrap_or(json.pad_token_id),
            scaled_head: json.scale_decoder_outputs.unwrap_or(json.tie_word_embeddings),
        }),
        rms_eps: json.layer_norm_epsilon,
        max_context: json.n_positions,
        tied_head: json.tie_word_embeddings,
    }
    .validated(path)
}

impl EncoderDecoder {
    /// Checks the numbers, as (what, found, expected).
    pub(super) fn check(&self, vocab_size: usize) -> Result<(), (&'static str, String, String)> {
        let fault = |what, found: usize, expected: String| Err((what, found.to_string(), expected));
        if self.encoder_layers == 0 || self.encoder_layers > MAX_LAYERS {
            let expected = format!("1 to {MAX_LAYERS}");
            return fault("the number of encoder layers", self.encoder_layers, expected);
        }
        // Half of the buckets for either direction, and half of those for one distance each.
        let buckets = self.distance_buckets;
        if !(4..=MAX_DISTANCE).contains(&buckets) || !buckets.is_multiple_of(4) {
            let expected = format!("a multiple of 4 up to {MAX_DISTANCE}");
            return fault("relative_attention_num_buckets", buckets, expected);
        }
        if self.max_distance <= buckets / 2 || self.max_distance > MAX_DISTANCE {
            let expected = format!("above {}, half of the buckets, and at most {MAX_DISTANCE}", buckets / 2);
            return fault("relative_attention_max_distance", self.max_distance, expected);
        }
        if self.start_token as usize >= vocab_size {
            let expected = format!("below {vocab_size}, the vocabulary size");
            return fault("decoder_start_token_id", self.start_token as usize, expected);
        }
        Ok(())
    }
}
