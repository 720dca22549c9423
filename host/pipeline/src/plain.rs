//! The frozen LLM by itself: a prompt or a conversation, without an adapter.

use std::time::{Duration, Instant};

use serde::Serialize;
use transducer_backbone::chat::{ChatError, Message};
use transducer_engine::{Decoding, DecodingOptions, MAX_NEW_TOKENS};

use crate::generate::TimeLimit;
use crate::prompt::PromptError;
use crate::service::ms;
use crate::{CancelToken, Events, FinishReason, Host, RequestError, Timings, Usage};

/// The lane of those who ask without an adapter.
const LANE: &str = "";

/// What the LLM reads.
#[derive(Clone, Copy, Debug)]
pub enum PlainInput<'a> {
    /// A text as it stands; names of special tokens in it are those tokens.
    Prompt {
        /// The text.
        text: &'a str,
        /// Whether it begins with the model's beginning-of-sequence token, where the model has one.
        special: bool,
    },
    /// A conversation, which the model's own chat template writes. No name of a special token in it becomes one.
    Chat {
        /// The turns.
        messages: &'a [Message],
        /// Whether the assistant's next turn is opened.
        opened: bool,
    },
}

/// A request to the frozen LLM itself.
#[derive(Clone, Debug)]
pub struct PlainRequest<'a> {
    /// What it reads.
    pub input: PlainInput<'a>,
    /// Most tokens of the answer; none for as many as there is room for.
    pub most_tokens: Option<usize>,
    /// How tokens are chosen; its own number of tokens is not looked at.
    pub decoding: DecodingOptions,
    /// Stops the work from another thread.
    pub cancel: CancelToken,
    /// How long the answer may take, from now; none for as long as it takes.
    pub time_limit: Option<Duration>,
}

/// What the frozen LLM wrote.
#[derive(Clone, Debug, Serialize)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Why it wrote no further.
    pub finish_reason: FinishReason,
    /// Tokens.
    pub usage: Usage,
    /// Where the time went. Nothing of it is a task's.
    pub timings: Timings,
}

impl Host {
    pub(crate) fn write(
        &self,
        request: &PlainRequest<'_>,
        events: &mut Events<'_>,
    ) -> Result<Completion, RequestError> {
        let begun = Instant::now();
        let ids = self.ids(&request.input)?;
        if ids.is_empty() {
            return Err(RequestError::Rejected("the prompt is empty".to_owned()));
        }
        let context = self.model.context;
        let room = self.embedder.config().room(ids.len());
        let answer = request.most_tokens.unwrap_or(room.clamp(1, MAX_NEW_TOKENS));
        if answer > room {
            return Err(RequestError::TooLong {
                prompt: ids.len(),
                answer,
                context,
            });
        }
        let decoding = Decoding::new(DecodingOptions {
            max_new_tokens: answer,
            ..request.decoding.clone()
        })
        .map_err(|error| RequestError::Rejected(error.to_string()))?;
        let embeddings = tch::no_grad(|| self.embedder.embed(&ids))?;
        let mut timings = Timings {
            embed_ms: ms(begun.elapsed()),
            ..Timings::default()
        };
        if request.cancel.is_cancelled() {
            return Err(RequestError::Cancelled);
        }
        let time = request.time_limit.and_then(|limit| TimeLimit::since(begun, limit));
        let generated = self
            .generator
            .generate(LANE, &embeddings, decoding, &request.cancel, time, events)?;
        timings.queue_ms = ms(generated.timings.queued);
        timings.prefill_ms = ms(generated.timings.prefill);
        timings.decode_ms = ms(generated.timings.decode);
        timings.total_ms = ms(begun.elapsed());
        Ok(Completion {
            text: generated.text,
            finish_reason: generated.finish_reason.into(),
            usage: Usage {
                prompt_tokens: ids.len(),
                completion_tokens: generated.usage.completion_tokens,
            },
            timings,
        })
    }

    /// Its tokens, as the LLM reads them.
    pub(crate) fn ids(&self, input: &PlainInput<'_>) -> Result<Vec<u32>, RequestError> {
        let tokenizer = self.embedder.tokenizer();
        let (encoding, special) = match *input {
            PlainInput::Prompt { text, special } => (tokenizer.encode_template(text), special),
            PlainInput::Chat { messages, opened } => {
                let chat = self.embedder.chat();
                let pieces = chat.pieces(messages, opened).map_err(refused)?;
                // A template writes the first token itself.
                (tokenizer.encode_pieces(&pieces), chat.is_plain())
            }
        };
        let encoding = encoding.map_err(|error| RequestError::Rejected(error.to_string()))?;
        let (bos, end) = if special {
            self.embedder.around_prompt()
        } else {
            (None, None)
        };
        Ok(bos.into_iter().chain(encoding.ids).chain(end).collect())
    }

    /// The text of tokens, special ones by their names.
    pub(crate) fn text(&self, ids: &[u32]) -> Result<String, RequestError> {
        let tokenizer = self.embedder.tokenizer();
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend(tokenizer.token_bytes(id).ok_or_else(|| {
                let size = tokenizer.vocab_size();
                RequestError::Rejected(format!("token {id} is none: the vocabulary has {size}, from 0 on"))
            })?);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A template that cannot write this conversation is the conversation's trouble, unless it cannot write any.
fn refused(error: ChatError) -> RequestError {
    match error {
        ChatError::Syntax { .. } => RequestError::Prompt(PromptError::Chat(error)),
        error => RequestError::Rejected(error.to_string()),
    }
}
