//! Write tasks for Transducer hosts.
//!
//! A task is a WebAssembly component. It turns a request into a prompt for a frozen code LLM, and what the LLM wrote
//! into an answer. It gets no files, network, clock or randomness: a log, and graphs of the code in the request.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};
//!
//! struct Name;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Request {
//!     code: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Data {
//!     name: String,
//! }
//!
//! impl Task for Name {
//!     type Request = Request;
//!     type State = ();
//!     type Data = Data;
//!
//!     fn describe() -> TaskInfo {
//!         TaskInfo::new("name", "Proposes a name for a method", ["java"])
//!             .request_schema(r#"{"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}"#)
//!             .answer_schema(r#"{"type": "object", "properties": {"name": {"type": "string"}}}"#)
//!             .example("A getter", r#"{"code": "int f() { return size; }"}"#, "getSize")
//!     }
//!
//!     fn prepare(request: Request) -> Result<Prepared<()>, Error> {
//!         let graph = cpg::parse("java", &request.code)?;
//!         let prompt = Prompt::new().text("Name this Java method.\n\n").code(graph).text("\n");
//!         Ok(Prepared::new(prompt, ()).decoding(Decoding::greedy(16).stop("\n")))
//!     }
//!
//!     fn finish(_: (), generated: &str) -> Result<Answer<Data>, Error> {
//!         let name = generated.trim().to_owned();
//!         Ok(Answer::new(name.clone(), Data { name }))
//!     }
//! }
//!
//! transducer_task::export!(Name);
//! ```
//!
//! A task may also judge its answers, for evaluations: see [`Task::metrics`].
//!
//! Build it for `wasm32-unknown-unknown` as a `cdylib` and make a component of the module with
//! `wasm-tools component new`. The module [`testing`] runs a task under plain `cargo test`.

pub mod cpg;
mod export;
pub mod log;
mod prompt;
mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;

#[doc(hidden)]
pub mod bindings {
    //! The world's types and traits, generated from the WIT.
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::undocumented_unsafe_blocks,
        clippy::semicolon_if_nothing_returned,
        clippy::uninlined_format_args,
        reason = "generated code"
    )]

    wit_bindgen::generate!({
        path: "wit",
        world: "measured-task",
        pub_export_macro: true,
        default_bindings_module: "transducer_task::bindings",
    });
}

#[doc(hidden)]
pub use export::Exported;
pub use prompt::{Decoding, Prepared, Prompt};
pub use task::{Answer, Error, Judged, Metric, Task, TaskInfo};
