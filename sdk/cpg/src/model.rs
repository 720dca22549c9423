//! The graph itself.

use crate::{EdgeKind, NodeKind};

/// A node's index in [`Cpg::nodes`].
pub type NodeId = u32;

/// A half-open range of bytes in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One node. Its text is `source[span]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where its text stands.
    pub span: Span,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Place among its siblings, from 1; arguments of a call count from 1, its receiver is 0.
    pub order: u32,
    /// Name of what it declares, calls or mentions; empty where there is none.
    pub name: String,
}

/// One directed, typed edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it starts.
    pub source: NodeId,
    /// Where it ends.
    pub target: NodeId,
    /// What it says.
    pub kind: EdgeKind,
    /// The variable of a [`EdgeKind::ReachingDef`]; empty for other kinds.
    pub label: String,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// The graph is right but the reader should know something.
    Note = 0,
    /// Part of the source was not understood: the graph covers the rest.
    Warning = 1,
    /// A limit was hit: the graph is cut.
    Error = 2,
}

/// Something a front end has to say about the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// What, in words.
    pub message: String,
}

/// The Code Property Graph of one source text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpg {
    /// The language, as a front end names it: `java`.
    pub language: String,
    /// Nodes in pre-order of the syntax tree: node 0 is the [`NodeKind::File`].
    pub nodes: Vec<Node>,
    /// Edges, ordered by kind, then source, then target.
    pub edges: Vec<Edge>,
    /// What the front end has to say.
    pub diagnostics: Vec<Diagnostic>,
}
