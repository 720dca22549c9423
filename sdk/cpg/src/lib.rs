//! The Code Property Graph (CPG): what every front end produces and everything else reads.
//!
//! A [`Cpg`] is flat: nodes and edges are plain tables, a node is its index in [`Cpg::nodes`], and text lives in the
//! source that the spans point into. Kinds follow the names of the CPG specification 1.1 (<https://cpg.joern.io>).
//!
//! - [`CpgBuilder`] makes a graph, [`passes`] adds to a syntax tree the edges that need no knowledge of the language
//!   (control flow, dominators, control dependence, data flow, token order);
//! - [`wire`] is the flat form in which a graph crosses a process or library boundary;
//! - [`query`] answers what most readers ask (methods, signatures, calls), [`view`] hands it to petgraph,
//!   [`export`] prints it;
//! - [`analysis`] holds the algorithms themselves, over bare integer graphs.

pub mod analysis;
mod builder;
pub mod export;
pub mod joern;
mod kinds;
mod model;
mod names;
pub mod passes;
pub mod query;
pub mod view;
pub mod wire;

pub use builder::{BuildError, CpgBuilder, NodeSpec};
pub use kinds::{EdgeKind, NodeKind, UnknownKind};
pub use model::{Cpg, Diagnostic, Edge, InvalidCpg, Node, NodeId, Severity, Span};
pub use names::NameId;

/// Version of the graph schema: the kinds and their meaning. It changes when a front end and a host built against
/// different versions could misunderstand each other.
pub const SCHEMA_VERSION: u32 = 1;
