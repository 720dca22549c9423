//! What a model's shape is, wherever it was described.

mod gguf;
mod hf;
mod t5;

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
    /// `StarCoder` 2 (Lozhkov et al., arXiv 2402.19173): norms of mean and variance, a feed-forward layer without gate, and biases
    /// everywhere.
    Starcoder2,
    /// Gemma and `CodeGemma` (arXiv 2403.08295, 2406.11409), not what came after: embeddings are multiplied by the root of their width, and
    /// the gate is a GELU.
    Gemma,
    /// T5 and what follows it (`CodeT5`, `CodeT5+` 220M and 770M, `Flan-T5`): an encoder and a decoder.
    T5,
}

impl Family {
    /// The name in `config.json` and in GGUF metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Starcoder2 => "starcoder2",
            Self::Gemma => "gemma",
            Self::T5 => "t5",
        }
    }

    /// The one of these families that has the name.
    fn from_name(name: &str, families: &[Self], supported: &'static str, path: &Path) -> Result<Self, BackboneError> {
        let known = families.iter().copied().find(|family| family.name() == name);
        known.ok_or_else(|| BackboneError::Unsupported {
            path: path.to_owned(),
            what: "the model family",
            found: format!("{name:?}"),
            supported,
        })
    }

    /// Whether the query, key and value projections have biases.
    pub(crate) fn has_qkv_bias(self) -> bool {
        matches!(self, Self::Qwen2 | Self::Starcoder2)
    }

    /// Whether norms and all other projections have biases, and the feed-forward layer no gate.
    pub(crate) fn is_biased(self) -> bool {
        self == Self::Starcoder2
    }
}

/// Which of the two shapes of model, and what only that one has.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// One stack of layers reads the prompt and its answer; each token sees those before it.
    Decoder {
        /// Rotary position embedding.
        rope: Rope,
    },
    /// An encoder reads the prompt, a decoder the answer so far; it sees all of what the encoder made of the prompt.
    EncoderDecoder(EncoderDecoder),
}

/// What only an encoder with a decoder has. Positions count as distances, as in T5 (Raffel et al., arXiv 1910.10683, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderDecoder {
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// What is between the two projections of a feed-forward layer.
    pub feed_forward: FeedForward,
    /// Kinds of distance between a query and a key that have a bias of their own; half of them for either direction in the encoder.
    pub distance_buckets: usize,
    /// From how many tokens on all distances are of one kind.
    pub max_distance: usize,
    /// What the decoder reads before the first token of the answer.
    pub start_token: u32,
    /// Whether the decoder's hidden states are multiplied by `hidden_size ^ -0.5` before the head.
    pub scaled_head: bool,
}

/// The feed-forward layers of T5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// `wo(relu(wi(x)))`: T5 1.0, `CodeT5+`.
    Relu,
    /// `wo(gelu(wi_0(x)) * wi_1(x))` with the GELU's tanh form (Shazeer, arXiv 2002.05202): T5 1.1.
    GatedGelu,
}

/// The shape of a model. Validated: the numbers are in range and agree with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which forward pass.
    pub family: Family,
    /// Width of an embedding.
    pub hidden_size: usize,
    /// Layers of the decoder.
    pub layers: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; even, where positions are rotary.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub ffn_size: usize,
    /// Rows of the embedding table. May exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// What this shape of model has beside.
    pub shape: Shape,
    /// Epsilon of the norms.
    pub rms_eps: f64,
    /// Tokens that prompt and answer together may have, or with an encoder each of the two.
    pub max_context: usize,
    /// Whether the head is the embedding table.
    pub tied_head: bool,
}

impl ModelConfig {
    /// The most tokens that the answer to a prompt of so many may have; 0 where the prompt itself is too long.
    pub fn room(&self, prompt: usize) -> usize {
        match self.shape {
            Shape::Decoder { .. } => self.max_context.saturating_sub(prompt),
            Shape::EncoderDecoder(_) if prompt <= self.max_context => self.max_context,
            Shape::EncoderDecoder(_) => 0,
        }
    }

    /// The most tokens of a prompt that leaves room for an answer.
    pub fn longest_prompt(&self) -> usize {
        match self.shape {
            Shape::Decoder { .. } => self.max_context - 1,
            Shape::EncoderDecoder(_) => self.max_context,
        }
    }

    /// Whether a prompt is read as a whole: each of its tokens sees those that follow.
    pub fn reads_prompts_whole(&self) -> bool {
        matches!(self.shape, Shape::EncoderDecoder(_))
    }

    /// The most tokens that a cache has room for, prompt and answer.
    pub(crate) fn longest_sequence(&self) -> usize {
        match self.shape {
            Shape::Decoder { .. } => self.max_context,
            Shape::EncoderDecoder(_) => 2 * self.max_context,
        }
    }

    /// What embeddings are multiplied by before the first layer.
    pub(crate) fn embedding_scale(&self) -> Option<f64> {
        (self.family == Family::Gemma).then(|| (self.hidden_size as f64).sqrt())
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
        if !(self.rms_eps > 0.0 && self.rms_eps < 1.0) {
            return fault(
                "the norm's epsilon",
                self.rms_eps.to_string(),
                "between 0 and 1".to_owned(),
            );
        }
        let checked = match &self.shape {
            Shape::Decoder { .. } if !self.head_dim.is_multiple_of(2) => {
                let found = self.head_dim.to_string();
                Err(("the head dimension", found, "an even number".to_owned()))
            }
            Shape::Decoder { rope } => rope
                .check()
                .map_err(|(what, found, expected)| (what, found, expected.to_owned())),
            Shape::EncoderDecoder(shape) => shape.check(self.vocab_size),
        };
        match checked {
            Ok(()) => Ok(self),
            Err((what, found, expected)) => fault(what, found, expected),
        }
    }
}
