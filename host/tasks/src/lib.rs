//! Task plugins: WebAssembly components that turn a request into a prompt and generated text into an answer.
//!
//! A component is not trusted. It is built for one [`World`] (`sdk/wit`, a folder a version), imports nothing but
//! a log and a read-only view of code property graphs, and runs with a budget for everything that it could use up:
//! see [`TaskLimits`]. Whatever it does, the caller gets a [`TaskError`] with a name, and the next call works.
//!
//! ```text
//! TaskEngine ──compile(wasm)──▶ Task ──prepare(request, parser)──▶ Prepared {segments, decoding, state}
//!                                │                                     │ (the host generates)
//!                                └────finish(state, generated)──▶ Answer {text, data, diagnostics}
//! ```
//!
//! - [`world`](World): which version of the world a component was built for, read before it is compiled;
//! - [`engine`](TaskEngine): the compiler, the clock behind the deadlines, and what a component must look like;
//! - [`task`](Task): one loaded component; every call runs in a fresh instance, so nothing leaks between requests;
//! - [`CodeParser`]: how code becomes a graph. The caller brings it, so this crate knows no language;
//! - [`values`](Prepared): what comes out, checked.

mod bindings;
mod compiled;
mod component;
mod engine;
mod error;
mod graphs;
mod host;
mod limits;
mod linked;
mod parser;
mod slots;
mod task;
mod values;
mod world;

pub use engine::TaskEngine;
pub use error::{Blame, Call, TaskError};
pub use limits::TaskLimits;
pub use parser::{CodeParser, ParseFailure, ParsedCode};
pub use task::Task;
pub use values::{Answer, Decoding, Diagnostic, Example, Metric, Prepared, Segment, Severity, TaskInfo};
pub use world::World;
