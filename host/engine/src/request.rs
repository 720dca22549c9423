use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::{Decoding, EngineError, PromptEmbeddings, Sink};

/// One answer to be generated.
pub struct Request {
    /// What is read.
    pub prompt: PromptEmbeddings,
    /// How it is answered.
    pub decoding: Decoding,
    /// When it is given up.
    pub deadline: Option<Instant>,
    /// The switch that gives it up before.
    pub cancel: CancelToken,
    /// Who is told.
    pub sink: Sink,
    /// The lane that it waits in.
    pub lane: String,
}

impl Request {
    /// A request without a deadline, in the lane without a name.
    pub fn new(prompt: PromptEmbeddings, decoding: Decoding, sink: Sink) -> Self {
        Self {
            prompt,
            decoding,
            deadline: None,
            cancel: CancelToken::default(),
            sink,
            lane: String::new(),
        }
    }

    /// Fails with [`crate::EngineError::DeadlineExceeded`] if not done by then. Looked at between tokens and between
    /// pieces of the prompt's forward pass, waiting time included.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Waits in this lane. Lanes take turns, so that many requests in one do not hold up those in another.
    #[must_use]
    pub fn in_lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = lane.into();
        self
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("prompt_tokens", &self.prompt.tokens())
            .field("decoding", &self.decoding)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Number of a request, in the order of submission to one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A switch that cancels a request; clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the engine to give the request up at the next token.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An accepted request. Dropping the ticket leaves the request running.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Which request this is, in logs.
    pub id: RequestId,
    /// Gives the request up.
    pub cancel: CancelToken,
}

impl Ticket {
    /// Why the request of this ticket is given up, if it is: whoever asked for it has left, or its time is over.
    pub fn given_up(&self, deadline: Option<Instant>, submitted: Instant) -> Option<EngineError> {
        if self.cancel.is_cancelled() {
            return Some(EngineError::Cancelled);
        }
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        is_late.then(|| EngineError::DeadlineExceeded {
            after: submitted.elapsed(),
        })
    }
}
