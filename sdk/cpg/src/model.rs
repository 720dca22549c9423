//! The graph itself.

use crate::names::Names;
use crate::{EdgeKind, NameId, NodeKind};

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

impl Span {
    /// The text of the span, if it lies within `source` and on its character boundaries.
    pub fn text(self, source: &str) -> Option<&str> {
        source.get(self.start as usize..self.end as usize)
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// One node. Its text is `source[span]`, its name is [`Cpg::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where its text stands.
    pub span: Span,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Place among its siblings, from 1; arguments of a call count from 1, its receiver is 0. A control structure's
    /// children carry the role that [`crate::passes`] documents.
    pub order: u32,
    /// Name of what it declares, calls or mentions; empty where there is none.
    pub name: NameId,
}

/// One directed, typed edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it starts.
    pub source: NodeId,
    /// Where it ends.
    pub target: NodeId,
    /// What it says.
    pub kind: EdgeKind,
    /// The variable of a [`EdgeKind::ReachingDef`]; empty for other kinds. Its text is [`Cpg::label`].
    pub label: NameId,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// The graph is right but the reader should know something.
    Note = 0,
    /// Part of the source was not understood: the graph covers the rest.
    Warning = 1,
    /// A limit was hit: the graph is cut.
    Error = 2,
}

impl Severity {
    /// The word for it: `note`, `warning`, `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// The severity with this number, if there is one.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Severity::Note),
            1 => Some(Severity::Warning),
            2 => Some(Severity::Error),
            _ => None,
        }
    }
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

/// The Code Property Graph of one source text: a validated type, so that readers index without checks of their own.
///
/// What holds for every value (and is an [`InvalidCpg`] otherwise):
/// - node 0 is the [`NodeKind::File`]; nodes are in pre-order of the AST edges, which form one tree over all nodes;
/// - every span starts before it ends and ends within the source;
/// - edges name nodes that exist, are unique, and are ordered by kind, source, target, label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpg {
    pub(crate) language: String,
    pub(crate) source_len: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) names: Names,
    /// Derived: where each kind's edges start in `edges`, one entry more than there are kinds.
    kind_starts: [u32; EdgeKind::ALL.len() + 1],
    /// Derived: AST parent of each node; the root is its own.
    parents: Vec<NodeId>,
}

/// Why tables are no [`Cpg`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCpg {
    /// There is no node at all, or node 0 is of another kind.
    #[error("node 0 must be the FILE, found {found:?}")]
    NoRoot {
        /// Kind of node 0, if there is one.
        found: Option<NodeKind>,
    },
    /// A span lies outside the source.
    #[error("{what} {index}: bytes {start}..{end} do not lie within the {source_len} bytes of the source", start = span.start, end = span.end)]
    Span {
        /// `node` or `diagnostic`.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The span found.
        span: Span,
        /// Bytes of the source.
        source_len: u32,
    },
    /// A span cuts a character of the source in two, or the source is not the one the graph was made of.
    #[error("{what} {index}: bytes {start}..{end} are no text of this source ({source_len} bytes)", start = span.start, end = span.end)]
    SpanCutsCharacter {
        /// `node` or `diagnostic`.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The span found.
        span: Span,
        /// Bytes of the source given.
        source_len: usize,
    },
    /// A name or label is not in the string table.
    #[error("{what} {index}: name {name} is not in the table of {names} names")]
    Name {
        /// `node` or `edge`.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The name's index.
        name: u32,
        /// How many names there are.
        names: usize,
    },
    /// An edge names a node that does not exist.
    #[error("edge {index}: {kind} from {source_node} to {target}, but there are {nodes} nodes")]
    EdgeOutOfRange {
        /// Index of the edge.
        index: usize,
        /// Its kind.
        kind: EdgeKind,
        /// Where it starts.
        source_node: NodeId,
        /// Where it ends.
        target: NodeId,
        /// How many nodes there are.
        nodes: usize,
    },
    /// Edges are not strictly ordered by kind, source, target and label.
    #[error("edge {index} is out of order, or the same as the edge before it")]
    EdgeOrder {
        /// Index of the second edge of the pair.
        index: usize,
    },
    /// The AST edges are not one tree in pre-order.
    #[error("node {node}: the AST edges must be one tree with the nodes in pre-order; its parent is {parent:?}")]
    NotATree {
        /// The node at which the order breaks.
        node: NodeId,
        /// Its parent, if an edge names one.
        parent: Option<NodeId>,
    },
}

/// The tables of a graph before they are validated.
pub(crate) struct Parts {
    pub(crate) language: String,
    pub(crate) source_len: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) names: Names,
}

impl Cpg {
    /// The one door: tables in, a graph or the first rule that they break.
    pub(crate) fn validated(parts: Parts) -> Result<Self, InvalidCpg> {
        let Parts {
            language,
            source_len,
            nodes,
            edges,
            diagnostics,
            names,
        } = parts;
        if nodes.first().map(|root| root.kind) != Some(NodeKind::File) {
            return Err(InvalidCpg::NoRoot {
                found: nodes.first().map(|root| root.kind),
            });
        }
        let span_ok = |span: Span| span.start <= span.end && span.end <= source_len;
        for (index, node) in nodes.iter().enumerate() {
            if !span_ok(node.span) {
                return Err(InvalidCpg::Span {
                    what: "node",
                    index,
                    span: node.span,
                    source_len,
                });
            }
            if node.name.0 as usize >= names.len() {
                return Err(InvalidCpg::Name {
                    what: "node",
                    index,
                    name: node.name.0,
                    names: names.len(),
                });
            }
        }
        for (index, diagnostic) in diagnostics.iter().enumerate() {
            if !span_ok(diagnostic.span) {
                return Err(InvalidCpg::Span {
                    what: "diagnostic",
                    index,
                    span: diagnostic.span,
                    source_len,
                });
            }
        }
        let kind_starts = check_edges(&edges, nodes.len(), names.len())?;
        let ast = &edges[..kind_starts[EdgeKind::Ast as usize + 1] as usize];
        let parents = check_tree(ast, nodes.len())?;
        Ok(Self {
            language,
            source_len,
            nodes,
            edges,
            diagnostics,
            names,
            kind_starts,
            parents,
        })
    }

    /// The language, as a front end names it: `java`.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Bytes of the source that the graph was made of.
    pub fn source_len(&self) -> u32 {
        self.source_len
    }

    /// Nodes in pre-order of the syntax tree: node 0 is the [`NodeKind::File`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Edges, ordered by kind, then source, then target.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// What the front end has to say.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The node, if there is one of that index.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// Name of what the node declares, calls or mentions; empty where it has none.
    pub fn name(&self, id: NodeId) -> &str {
        self.node(id)
            .and_then(|node| self.names.get(node.name))
            .unwrap_or_default()
    }

    /// The variable of a [`EdgeKind::ReachingDef`]; empty for other kinds.
    pub fn label(&self, edge: &Edge) -> &str {
        self.names.get(edge.label).unwrap_or_default()
    }

    /// All edges of one kind, ordered by source, then target.
    pub fn edges_of(&self, kind: EdgeKind) -> &[Edge] {
        let kind = kind as usize;
        &self.edges[self.kind_starts[kind] as usize..self.kind_starts[kind + 1] as usize]
    }

    /// The edges of one kind that start at a node, ordered by target.
    pub fn outgoing(&self, node: NodeId, kind: EdgeKind) -> &[Edge] {
        let edges = self.edges_of(kind);
        let start = edges.partition_point(|edge| edge.source < node);
        let len = edges[start..].partition_point(|edge| edge.source == node);
        &edges[start..start + len]
    }

    /// AST children, in order.
    pub fn children(&self, node: NodeId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.outgoing(node, EdgeKind::Ast).iter().map(|edge| edge.target)
    }

    /// AST parent; `None` for the root and for nodes that do not exist.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents
            .get(node as usize)
            .copied()
            .filter(|&parent| parent != node)
    }

    /// One past the last node of the AST below `node`: with nodes in pre-order, a subtree is a range.
    pub fn subtree_end(&self, node: NodeId) -> NodeId {
        let mut last = node;
        while let Some(edge) = self.outgoing(last, EdgeKind::Ast).last() {
            last = edge.target;
        }
        last.saturating_add(1).min(self.nodes.len() as NodeId)
    }

    /// Checks the graph against the source it is said to be made of: same length, every span on character boundaries.
    ///
    /// # Errors
    /// [`InvalidCpg::SpanCutsCharacter`] for the first span that is no text of `source`.
    pub fn check_source(&self, source: &str) -> Result<(), InvalidCpg> {
        let fits = |span: Span| source.len() == self.source_len as usize && span.text(source).is_some();
        let cut = |what, index, span| {
            Err(InvalidCpg::SpanCutsCharacter {
                what,
                index,
                span,
                source_len: source.len(),
            })
        };
        if let Some((index, node)) = self.nodes.iter().enumerate().find(|(_, node)| !fits(node.span)) {
            return cut("node", index, node.span);
        }
        match self
            .diagnostics
            .iter()
            .enumerate()
            .find(|(_, diagnostic)| !fits(diagnostic.span))
        {
            Some((index, diagnostic)) => cut("diagnostic", index, diagnostic.span),
            None => Ok(()),
        }
    }
}

fn check_edges(edges: &[Edge], nodes: usize, names: usize) -> Result<[u32; EdgeKind::ALL.len() + 1], InvalidCpg> {
    let mut kind_starts = [0; EdgeKind::ALL.len() + 1];
    let mut before: Option<&Edge> = None;
    for (index, edge) in edges.iter().enumerate() {
        if edge.source as usize >= nodes || edge.target as usize >= nodes {
            let Edge {
                source: source_node,
                target,
                kind,
                ..
            } = *edge;
            return Err(InvalidCpg::EdgeOutOfRange {
                index,
                kind,
                source_node,
                target,
                nodes,
            });
        }
        if edge.label.0 as usize >= names {
            return Err(InvalidCpg::Name {
                what: "edge",
                index,
                name: edge.label.0,
                names,
            });
        }
        let key = |edge: &Edge| (edge.kind, edge.source, edge.target, edge.label);
        if before.is_some_and(|before| key(before) >= key(edge)) {
            return Err(InvalidCpg::EdgeOrder { index });
        }
        kind_starts[edge.kind as usize + 1] += 1;
        before = Some(edge);
    }
    for kind in 1..kind_starts.len() {
        kind_starts[kind] += kind_starts[kind - 1];
    }
    Ok(kind_starts)
}

/// Parents by AST edges, the root its own; an error unless the nodes are in pre-order of one tree.
fn check_tree(ast: &[Edge], nodes: usize) -> Result<Vec<NodeId>, InvalidCpg> {
    const NONE: NodeId = NodeId::MAX;
    let mut parents = vec![NONE; nodes];
    parents[0] = 0;
    for edge in ast {
        let parent = &mut parents[edge.target as usize];
        if *parent != NONE || edge.source >= edge.target {
            return Err(InvalidCpg::NotATree {
                node: edge.target,
                parent: Some(edge.source),
            });
        }
        *parent = edge.source;
    }
    // In pre-order a node's parent is the node before it or one of that node's ancestors.
    for node in 1..nodes as NodeId {
        let parent = parents[node as usize];
        if parent == NONE {
            return Err(InvalidCpg::NotATree { node, parent: None });
        }
        let mut ancestor = node - 1;
        while ancestor != parent {
            if ancestor == 0 || ancestor < parent {
                return Err(InvalidCpg::NotATree {
                    node,
                    parent: Some(parent),
                });
            }
            ancestor = parents[ancestor as usize];
        }
    }
    Ok(parents)
}
