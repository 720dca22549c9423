//! What a model's shape is, wherever it was described.

mod gguf;
mod hf;

use std::path::Path;

use crate::BackboneError;
use crate::rope::Rope;

/// Layers: the deepest dense models have 126; ten times that is a damaged file.
const MAX_LAYERS: usize = 1_280;

/// Hidden size, attention width and feed-forward width; the widest dense model has 53,248. Keeps products in range.
const MAX_WIDTH: usize = 1 << 20;

/// Vocabulary: the largest have some 260,000 tokens.
const MAX_VOCABULARY: usize = 1 << 22;

/// Context: the longest claimed are 10,000,000 tokens.
const MAX_CONTEXT: usize = 1 << 24;

/// The model families whose forward pass is implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 1 to 3 and what follows them (`SmolLM`, `CodeLlama`, `DeepSeek-Coder`, ...).
    Llama,
    /// Qwen 2 and 2.5: Llama with biases at the query, key and value projections.
    Qwen2,
}

impl Family {
    /// The name in `config.json` and in GGUF metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }

    /// What error messages list.
    const SUPPORTED: &'static str = "llama, qwen2";

    fn from_name(name: &str, path: &Path) -> Result<Self, BackboneError> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            _ => Err(BackboneError::Unsupported {
                path: path.to_owned(),
                what: "the model family",
                found: format!("{name:?}"),
                supported: Self::SUPPORTED,
            }),
        }
    }

    /// Whether the query, key and value projections have biases.
    pub(crate) fn has_qkv_bias(self) -> bool {
        self == Self::Qwen2
    }
}

/// The shape of a model. Validated: the numbers are in range and agree with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which forward pass.
    pub family: Family,
    /// Width of an embedding.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub ffn_size: usize,
    /// Rows of the embedding table. May exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Epsilon of the RMS norms.
    pub rms_eps: f64,
    /// Tokens a sequence may have.
    pub max_context: usize,
    /// Whether the head is the embedding table.
    pub tied_head: bool,
}

impl ModelConfig {
    /// Query heads that share one key and value head.
    pub fn group_size(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows of the query projection, columns of the output projection.
    pub(crate) fn query_size(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Rows of the key and of the value projection.
    pub(crate) fn kv_size(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// The one door: every description passes here before anything is computed from it.
    fn validated(self, path: &Path) -> Result<Self, BackboneError> {
        let fault = |what, found: String, expected: String| {
            Err(BackboneError::Config {
                path: path.to_owned(),
                what,
                found,
                expected,
            })
        };
        let sizes = [
            ("the hidden size", self.hidden_size, MAX_WIDTH),
            ("the number of layers", self.layers, MAX_LAYERS),
            ("the number of attention heads", self.heads, MAX_WIDTH),
            ("the number of key/value heads", self.kv_heads, MAX_WIDTH),
            ("the head dimension", self.head_dim, MAX_WIDTH),
            ("the feed-forward size", self.ffn_size, MAX_WIDTH),
            ("the vocabulary size", self.vocab_size, MAX_VOCABULARY),
            ("the context length", self.max_context, MAX_CONTEXT),
        ];
        for (what, size, limit) in sizes {
            if size == 0 || size > limit {
                return fault(what, size.to_string(), format!("1 to {limit}"));
            }
        }
        // Below MAX_WIDTH squared each, so that the products cannot overflow.
        if self.heads * self.head_dim > MAX_WIDTH {
            let found = format!("{} heads of {}", self.heads, self.head_dim);
            return fault("the attention width", found, format!("at most {MAX_WIDTH}"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let expected = format!("a divisor of the {} attention heads", self.heads);
            return fault("the number of key/value heads", self.kv_heads.to_string(), expected);
        }
        if !self.head_dim.is_multiple_of(2) {
            return fault(
                "the head dimension",
                self.head_dim.to_string(),
                "an even number".to_owned(),
            );
        }
        if !(self.rms_eps > 0.0 && self.rms_eps < 1.0) {
            return fault(
                "the RMS norm's epsilon",
                self.rms_eps.to_string(),
                "between 0 and 1".to_owned(),
            );
        }
        match self.rope.check() {
            Ok(()) => Ok(self),
            Err((what, found, expected)) => fault(what, found, expected.to_owned()),
        }
    }
}
