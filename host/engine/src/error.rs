use std::time::Duration;

use transducer_backbone::BackboneError;

/// Why a request that was accepted has no completion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Whoever asked no longer wants the answer: the ticket was cancelled, or the sink said `Break`.
    #[error("the request was cancelled")]
    Cancelled,

    /// The time that the request gave itself is over.
    #[error("the request's deadline passed after {after:.1?}")]
    DeadlineExceeded {
        /// From submission until it was noticed.
        after: Duration,
    },

    /// The model gave numbers that no token can be chosen by; the embeddings are at fault, most likely.
    #[error("the model's logits for token {token} of the answer are not finite")]
    NotFinite {
        /// Number of the token, from 0.
        token: usize,
    },

    /// A batch of requests that wait side by side is decoded greedily.
    #[error("this request wants another decoding than the likeliest token, and is answered alone")]
    NotGreedy,

    /// The forward pass failed.
    #[error(transparent)]
    Backbone(#[from] BackboneError),

    /// The forward pass that the request shared with others failed.
    #[error("the step that this request shared with others failed: {message}")]
    Step {
        /// What the first error said.
        message: String,
    },

    /// A bug: the engine goes on with the next request.
    #[error("a bug stopped this request: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },

    /// The engine was stopped while the request waited or ran.
    #[error("the engine is shutting down")]
    ShuttingDown,

    /// This engine cannot do what the request asks for, now or later.
    #[error("{0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),

    /// Whoever this engine has its answers made by does not make them.
    #[error("{0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl From<tch::TchError> for EngineError {
    fn from(error: tch::TchError) -> Self {
        Self::Backbone(error.into())
    }
}

/// Why a request was not accepted. Its sink is never called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many requests wait as may wait.
    #[error("{bound} requests are waiting already; try again later")]
    QueueFull {
        /// How many may wait.
        bound: usize,
    },
    /// The engine takes no more requests.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// Why [`crate::Engine::generate`] has no completion.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The request was refused.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The request failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
