//! Decoding of prompt embeddings: a queue in front of the frozen backbone.
//!
//! A [`Request`] is a prompt as embeddings `[tokens, hidden]`, how to decode, and a sink for the answer's text. The
//! engine does not know who made the embeddings: an invariant of the house is that whoever enriches a prompt changes
//! its input embeddings and nothing else, so that any two requests can share the engine.
//!
//! - [`Engine`] is the door: submit a request, get a [`Ticket`]. [`LocalEngine`] is the one that runs in this process.
//! - [`PromptEmbeddings`] and [`Decoding`] are what passes the door: both are validated when they are made.
//! - [`generate_together`] answers many prompts that wait side by side, for evaluation: nobody reads along.
//! - Text leaves through [`Event`]s: pieces of text as they become certain, then exactly one end.

mod backbone_runner;
mod beam;
mod decoding;
mod engine;
mod error;
mod event;
mod offline;
mod prompt;
mod queue;
mod request;
mod running;
mod sampler;
mod stop;
mod text;

pub use decoding::{
    Decoding, DecodingError, DecodingOptions, MAX_BEAMS, MAX_NEW_TOKENS, MAX_STOP_BYTES, MAX_STOP_STRINGS,
    MAX_TEMPERATURE, Strategy,
};
pub use engine::{
    DEFAULT_CACHE_TOKENS, DEFAULT_MOST_RUNNING, DEFAULT_PREFILL_CHUNK, DEFAULT_QUEUE_BOUND, Engine, EngineOptions,
    LocalEngine, Stats,
};
pub use error::{EngineError, GenerateError, SubmitError};
pub use event::{Completion, Event, FinishReason, Sink, Timings, Usage};
pub use offline::{OfflineRequest, generate_together};
pub use prompt::{PromptEmbeddings, PromptError};
pub use queue::{Queue, Turn};
pub use request::{CancelToken, Request, RequestId, Ticket};
pub use stop::StopFilter;
pub use text::AnswerText;
