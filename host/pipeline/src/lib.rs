//! One request from end to end.
//!
//! ```text
//! request ─▶ task: prepare ─▶ front ends: CPG ─▶ prompt: tokens, embeddings ─▶ transducer: GVE + ABFL
//!                                                                                   │ prompt embeddings
//! answer  ◀─ task: finish  ◀──────────────────────────────────── engine: prefill, decode
//! ```
//!
//! [`Host`] owns the rooms and calls them in this order; nothing calls back up. An adapter is loaded once into an
//! immutable value, named by its bundle's generation, and a request holds on to it from `prepare` to `finish`.

mod adapter;
mod error;
mod generate;
mod host;
mod parser;
mod prompt;
mod service;

pub use error::{AdapterError, LoadError, RequestError};
pub use host::{Host, HostOptions, Precision};
pub use prompt::PromptError;
pub use service::{
    AdapterInfo, AdapterState, AdapterStatus, Answer, Cancel, Diagnostic, Event, Events, ModelInfo, Request, Service,
    Timings, Usage,
};
