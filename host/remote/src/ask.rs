//! A request for a completion, as the server reads it, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use transducer_engine::Strategy;

/// All of a request but its prompt. Whatever the server would take from the model's folder otherwise is said, so that an answer
/// depends on the request alone.
#[derive(Debug, Serialize)]
pub(crate) struct Ask<'a> {
    model: &'a str,
    stream: bool,
    max_tokens: usize,
    stop: &'a [String],
    stop_token_ids: &'a [u32],
    temperature: f64,
    top_p: f64,
    /// 0 for all.
    top_k: usize,
    min_p: f64,
    repetition_penalty: f64,
    presence_penalty: f64,
    frequency_penalty: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    return_token_ids: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(
        model: &'a str,
        strategy: Strategy,
        max_tokens: usize,
        stop: &'a [String],
        end_tokens: &'a [u32],
    ) -> Self {
        let (temperature, top_k, top_p, seed) = match strategy {
            Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed,
            } => (temperature, top_k, top_p, Some(seed)),
            Strategy::Greedy | Strategy::Beam { .. } => (0.0, 0, 1.0, None),
        };
        Self {
            model,
            stream: true,
            max_tokens,
            stop,
            stop_token_ids: end_tokens,
            temperature,
            top_p,
            top_k,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            // The API's seeds have a sign.
            seed: seed.map(u64::cast_signed),
            return_token_ids: true,
        }
    }

    /// For the likeliest tokens, in one piece.
    pub(crate) fn whole(model: &'a str, max_tokens: usize) -> Self {
        Self {
            stream: false,
            ..Self::new(model, Strategy::Greedy, max_tokens, &[], &[])
        }
    }
}

/// A piece of an answer, or all of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Piece {
    #[serde(default)]
    pub(crate) choices: Vec<Choice>,
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    pub(crate) token_ids: Option<Vec<u32>>,
    pub(crate) finish_reason: Option<String>,
    /// A stop string, an end token's id, or nothing.
    pub(crate) stop_reason: Option<Value>,
}

/// `GET /v1/models`
#[derive(Debug, Deserialize)]
pub(crate) struct Models {
    pub(crate) data: Vec<Model>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) id: String,
    /// Longest prompt and answer together, in tokens.
    pub(crate) max_model_len: Option<usize>,
    /// The model that it is an adapter of, as servers of LoRA adapters list them.
    pub(crate) parent: Option<String>,
}

/// What an error says, in OpenAI's envelope or another.
pub(crate) fn message(value: &Value) -> String {
    let text = [&value["error"]["message"], &value["message"], &value["error"], value]
        .into_iter()
        .find_map(Value::as_str);
    text.map_or_else(|| value.to_string(), str::to_owned)
}
