//! How a front end makes a [`Cpg`].

use crate::model::Parts;
use crate::names::Interner;
use crate::{Cpg, Diagnostic, Edge, EdgeKind, InvalidCpg, NameId, Node, NodeId, NodeKind, Severity, Span};

/// A node to be added: everything but its place in the tree.
#[derive(Clone, Copy, Debug)]
pub struct NodeSpec {
    /// What it is.
    pub kind: NodeKind,
    /// Where its text stands.
    pub span: Span,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// See [`Node::order`].
    pub order: u32,
    /// See [`Node::name`].
    pub name: NameId,
}

/// Why no graph came out of a [`CpgBuilder`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The source does not fit the 32-bit offsets of the graph.
    #[error("the source has {bytes} bytes; a graph covers at most {limit}", limit = u32::MAX)]
    SourceTooLong {
        /// Bytes of the source.
        bytes: usize,
    },
    /// The names do not fit the 32-bit offsets of the string table.
    #[error("the names of the graph exceed {limit} bytes", limit = u32::MAX)]
    TooManyNames,
    /// What was built is no graph: a mistake of the front end.
    #[error("the front end built an invalid graph: {0}")]
    Invalid(#[from] InvalidCpg),
}

/// Edge ends of one kind, not yet in order.
type Ends = Vec<(NodeId, NodeId, NameId)>;

/// A graph under construction. Nodes are added in pre-order; everything is validated in [`CpgBuilder::finish`].
#[derive(Debug)]
pub struct CpgBuilder {
    language: String,
    source_len: u32,
    nodes: Vec<Node>,
    /// AST parent of each node; the root is its own.
    parents: Vec<NodeId>,
    edges: [Ends; EdgeKind::ALL.len()],
    diagnostics: Vec<Diagnostic>,
    names: Interner,
    names_full: bool,
}

impl CpgBuilder {
    /// A graph of `source_len` bytes of `language` with its root, the [`NodeKind::File`] over all of the source.
    ///
    /// # Errors
    /// [`BuildError::SourceTooLong`].
    pub fn new(language: &str, source_len: usize) -> Result<Self, BuildError> {
        let len = u32::try_from(source_len).map_err(|_| BuildError::SourceTooLong { bytes: source_len })?;
        // Java methods of real projects have about one node in five bytes.
        let capacity = source_len / 5 + 16;
        let mut nodes = Vec::with_capacity(capacity);
        nodes.push(Node {
            kind: NodeKind::File,
            span: Span { start: 0, end: len },
            line: 1,
            order: 1,
            name: NameId::EMPTY,
        });
        let mut parents = Vec::with_capacity(capacity);
        parents.push(0);
        Ok(Self {
            language: language.to_owned(),
            source_len: len,
            nodes,
            parents,
            edges: Default::default(),
            diagnostics: Vec::new(),
            names: Interner::default(),
            names_full: false,
        })
    }

    /// The index of a name in the graph's string table, the same for the same name.
    pub fn intern(&mut self, name: &str) -> NameId {
        self.names.intern(name).unwrap_or_else(|| {
            self.names_full = true;
            NameId::EMPTY
        })
    }

    /// The index of a name that the string table has already.
    pub fn interned(&self, name: &str) -> Option<NameId> {
        self.names.find(name)
    }

    /// The text of a name.
    pub fn text(&self, name: NameId) -> &str {
        self.names.get(name)
    }

    /// Adds a node below `parent`. Nodes must come in pre-order: `parent` is the node added last, or one of its
    /// ancestors.
    pub fn add(&mut self, parent: NodeId, node: NodeSpec) -> NodeId {
        let id = self.nodes.len() as NodeId;
        let NodeSpec {
            kind,
            span,
            line,
            order,
            name,
        } = node;
        self.nodes.push(Node {
            kind,
            span,
            line,
            order,
            name,
        });
        self.parents.push(parent);
        id
    }

    /// Changes a node that was added before, its place in the tree excepted.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The language of the source.
    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    /// The nodes so far.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The AST parent of each node so far; the root is its own.
    pub fn parents(&self) -> &[NodeId] {
        &self.parents
    }

    /// Adds an edge. AST edges come from [`CpgBuilder::add`] alone; the same edge twice is one edge.
    pub fn edge(&mut self, kind: EdgeKind, source: NodeId, target: NodeId) {
        self.labelled_edge(kind, source, target, NameId::EMPTY);
    }

    /// Adds an edge with a label: the variable of a [`EdgeKind::ReachingDef`].
    pub fn labelled_edge(&mut self, kind: EdgeKind, source: NodeId, target: NodeId, label: NameId) {
        debug_assert!(kind != EdgeKind::Ast, "AST edges follow from the parents");
        self.edges[kind as usize].push((source, target, label));
    }

    /// Source and target of each edge of a kind so far, in the order they were added; none for AST.
    pub fn ends(&self, kind: EdgeKind) -> impl ExactSizeIterator<Item = (NodeId, NodeId)> + '_ {
        self.edges[kind as usize]
            .iter()
            .map(|&(source, target, _)| (source, target))
    }

    /// How many edges there are so far, the AST's included.
    pub fn edge_count(&self) -> usize {
        self.nodes.len() - 1 + self.edges.iter().map(Vec::len).sum::<usize>()
    }

    /// Says something about the source.
    pub fn diagnostic(&mut self, severity: Severity, span: Span, line: u32, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic {
            severity,
            span,
            line,
            message: message.into(),
        });
    }

    /// The graph.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] where what was added breaks a rule of [`Cpg`].
    pub fn finish(mut self) -> Result<Cpg, BuildError> {
        if self.names_full {
            return Err(BuildError::TooManyNames);
        }
        self.edges[EdgeKind::Ast as usize] = self
            .parents
            .iter()
            .zip(0..)
            .skip(1)
            .map(|(&parent, node)| (parent, node, NameId::EMPTY))
            .collect();
        let mut edges = Vec::with_capacity(self.edges.iter().map(Vec::len).sum());
        for (&kind, mut ends) in EdgeKind::ALL.iter().zip(self.edges) {
            ends.sort_unstable();
            ends.dedup();
            edges.extend(ends.into_iter().map(|(source, target, label)| Edge {
                source,
                target,
                kind,
                label,
            }));
        }
        Ok(Cpg::validated(Parts {
            language: self.language,
            source_len: self.source_len,
            nodes: self.nodes,
            edges,
            diagnostics: self.diagnostics,
            names: self.names.finish(),
        })?)
    }
}
