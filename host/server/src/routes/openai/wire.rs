//! What OpenAI's clients are answered.

use schemars::JsonSchema;
use serde::Serialize;
use transducer_pipeline::{FinishReason, Usage};

/// `GET /v1/models`
#[derive(Serialize, JsonSchema)]
pub(crate) struct ModelList {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<Model>,
}

/// Something that can be asked.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Nobody wrote down when.
    pub(crate) created: u64,
    pub(crate) owned_by: &'static str,
    /// The base model that an adapter is for; none for the base model.
    pub(crate) parent: Option<String>,
    /// Longest prompt and answer together, in tokens.
    pub(crate) max_model_len: usize,
}

/// What all answers, whole or in parts, say of themselves.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Frame<C> {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Counts>,
    /// The generation of the adapter that answered: SHA-256 over its bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_fingerprint: Option<String>,
}

/// Of a completion, whole or a part of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TextChoice {
    pub(crate) index: u32,
    pub(crate) text: String,
    pub(crate) logprobs: Option<()>,
    pub(crate) finish_reason: Option<FinishReason>,
}

/// Of a chat.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChatChoice {
    pub(crate) index: u32,
    pub(crate) message: Said,
    pub(crate) logprobs: Option<()>,
    pub(crate) finish_reason: Option<FinishReason>,
}

/// The assistant's message.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Said {
    pub(crate) role: &'static str,
    pub(crate) content: String,
}

/// Of a part of a chat.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChunkChoice {
    pub(crate) index: u32,
    pub(crate) delta: Delta,
    pub(crate) logprobs: Option<()>,
    pub(crate) finish_reason: Option<FinishReason>,
}

/// What a part adds.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
}

/// Counts of tokens.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Counts {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Self {
        let Usage {
            prompt_tokens,
            completion_tokens,
        } = usage;
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        }
    }
}
