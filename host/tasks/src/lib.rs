//! Task plugins: WebAssembly components that turn a request into a prompt and generated text into an answer.
//!
//! A component is not trusted. It is built for the world `transducer:task@1.0.0` (`sdk/wit/1.0.0`), imports nothing but
//! a log and a read-only view of code property graphs, and runs with a budget for everything that it could use up:
//! see [`TaskLimits`]. Whatever it does, the caller gets a [`TaskError`] with a name, and the next call works.
//!
//! ```text
//! TaskEngine ──compile(wasm)──▶ Task ──prepare(request, parser)──▶ Prepared {segments, decoding, state}
//!                                │                                     │ (the host generates)
//!                                └────finish(state, generated)──▶ Answer {text, data, diagnostics}
//! ```
//!
//! - [`engine`](TaskEngine): the compiler, the clock behind the deadlines, and what a component must look like;
//! - [`task`](Task): one loaded component; every call runs in a fresh instance, so nothing leaks between requests;
//! - [`CodeParser`]: how code becomes a graph. The caller brings it, so this crate knows no language;
//! - [`values`](Prepared): what comes out, checked.

mod bindings;
mod component;
mod engine;
mod error;
mod graphs;
mod host;
mod limits;
mod parser;
mod task;
mod values;

pub use engine::TaskEngine;
pub use error::{Blame, Call, TaskError};
pub use limits::{TaskLimits, WORLD};
pub use parser::{CodeParser, ParseFailure, ParsedCode};
pub use task::Task;
pub use values::{Answer, Decoding, Diagnostic, Example, Prepared, Segment, Severity, TaskInfo};
