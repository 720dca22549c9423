//! The engine where the frozen LLM's layers are elsewhere: in servers that take prompt embeddings through OpenAI's completions, as
//! vLLM does (`--enable-prompt-embeds`).
//!
//! This host keeps the tokenizer, the table of input embeddings and the transducers; what it sends is `[tokens, hidden]` numbers,
//! and what comes back are token ids. They are decoded, and cut at stop strings, by the code that does it for the engine of this
//! process, so that an answer does not depend on how another program turns tokens into text.
//!
//! - [`RemoteEngine`] is an [`transducer_engine::Engine`] over one or more [`Address`]es: the one with the least to do gets the next
//!   request, and what an endpoint loses another goes on with, from the last token that came.
//! - [`wire`] is the form of the embeddings: a file as `torch.save` writes it. It is written here and never read.

mod address;
mod answer;
mod ask;
mod body;
mod client;
mod endpoint;
mod engine;
mod error;
mod probe;
mod retry;
mod sse;
pub mod wire;

pub use address::{Address, AddressError, Addresses};
pub use body::PromptBody;
pub use endpoint::{EndpointState, EndpointStatus};
pub use engine::{DEFAULT_PATIENCE, DEFAULT_REQUESTS, RemoteEngine, RemoteOptions};
pub use error::{EndpointError, RemoteError};
