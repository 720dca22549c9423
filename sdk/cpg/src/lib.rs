//! The Code Property Graph (CPG): what every front end produces and everything else reads.
//!
//! A [`Cpg`] is flat: nodes and edges are plain tables, a node is its index in [`Cpg::nodes`], and text lives in the
//! source that the spans point into. Kinds follow the names of the CPG specification 1.1 (<https://cpg.joern.io>).

mod kinds;
mod model;

pub use kinds::{EdgeKind, NodeKind};
pub use model::{Cpg, Diagnostic, Edge, Node, NodeId, Severity, Span};

/// Version of the graph schema: the kinds and their meaning. It changes when a front end and a host built against
/// different versions could misunderstand each other.
pub const SCHEMA_VERSION: u32 = 1;
