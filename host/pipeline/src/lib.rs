//! One request from end to end.
//!
//! ```text
//! request ─▶ task: prepare ─▶ front ends: CPG ─▶ prompt: tokens, embeddings ─▶ transducer: GVE + ABFL
//!                                                                                   │ prompt embeddings
//! answer  ◀─ task: finish  ◀──────────────────────────────────── engine: prefill, decode
//! ```
//!
//! [`Workshop`] has the same stages one by one, for those who make weights and judge them: training and serving go through
//! the same code, and cannot differ.
//!
//! [`Rehearsal`] has those of the task alone, for those who write one.
//!
//! [`Host`] owns the rooms and calls them in this order; nothing calls back up. An adapter is loaded once into an
//! immutable value, named by its bundle's generation, and a request holds on to it from `prepare` to `finish`. When the
//! bundle in the directory changes, the name moves to another such value: see [`Host::reload`]. What adapters hold in memory has
//! a limit: beyond it those that were not asked for longest are on disk until they are asked again, see [`ResidencyOptions`].

mod adapter;
mod adapters;
mod change;
mod error;
mod generate;
mod graph;
mod host;
mod parser;
mod plain;
mod prompt;
mod rehearsal;
mod residents;
mod service;
mod spill;
mod watch;
mod workshop;

pub use adapter::check_bundle;
pub use change::{ChangeError, Changed, Install};
pub use error::{AdapterError, LoadError, RequestError};
pub use graph::{GraphForm, GraphRequest};
pub use host::{Host, HostOptions, Precision, ResidencyOptions};
pub use plain::{Completion, PlainInput, PlainRequest};
pub use prompt::{Code, Prompt, PromptError};
pub use rehearsal::Rehearsal;
pub use service::{
    AdapterInfo, AdapterState, AdapterStatus, Answer, Diagnostic, Event, Events, Example, FinishReason, Load,
    ModelInfo, PolicyStatus, Reloads, Request, Residency, Service, Timings, Usage,
};
pub use transducer_backbone::WeightFormat;
/// What a conversation with the LLM itself is made of.
pub use transducer_backbone::chat::{Message, Role};
pub use transducer_bundle::{BundleError, Expected, MAX_ARCHIVE_BYTES, Policy, Signer, StoreError};
pub use transducer_engine::CancelToken;
pub use transducer_engine::{DecodingOptions, EngineOptions};
/// Servers that have the frozen LLM's layers.
pub use transducer_remote::{
    Address, Addresses, DEFAULT_PATIENCE, DEFAULT_REQUESTS, EndpointState, EndpointStatus, RemoteError, RemoteOptions,
};
/// What a [`Rehearsal`] gives.
pub use transducer_tasks::{Answer as TaskAnswer, Blame, Decoding as TaskDecoding, Prepared, Segment, TaskError};
pub use workshop::{Finished, PreparedPrompt, Workpiece, Workshop, WorkshopOptions};
