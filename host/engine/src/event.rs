//! What a request's sink is told.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::EngineError;

/// Takes a request's events, on the engine's thread: it should hand them on and return. `Break` cancels the request,
/// and the sink is not called again.
pub type Sink = Box<dyn FnMut(Event) -> ControlFlow<()> + Send>;

/// One step of an answer. A request's events are any number of `Text`, then one `Done` or `Failed`, then nothing.
#[derive(Debug)]
pub enum Event {
    /// More of the answer, never empty. Put together, the pieces are [`Completion::text`].
    Text(String),
    /// The answer is complete.
    Done(Completion),
    /// There will be no complete answer.
    Failed(EngineError),
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The answer, up to and without the stop string or end token that ended it.
    pub text: String,
    /// The tokens that were generated, without an end token; those of a stop string are among them.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens read and made.
    pub usage: Usage,
    /// Where the time went.
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model ended it with an end token.
    EndToken,
    /// One of the request's stop strings came up.
    StopString,
    /// As many tokens as the request, or the model's context, allows.
    Length,
}

/// Tokens counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Embeddings of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated, an end token included. Of a beam search, those of the beam that won.
    pub completion_tokens: usize,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From submission until the engine began.
    pub queued: Duration,
    /// The prompt's forward pass, up to the logits of the first token.
    pub prefill: Duration,
    /// From there to the end.
    pub decode: Duration,
}
