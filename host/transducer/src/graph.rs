//! What the transducer takes from a graph: its nodes, its edges, and the node that each code token belongs to.

use crate::TransducerError;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use transducer_cpg::{Cpg, EdgeKind, NodeId, NodeKind};

/// Nodes of one graph that are read at most. A context of 8,192 tokens of code makes about 10,000 nodes; beyond twice
/// that, a graph costs memory (`N × D` features) for text that the LLM cannot be given anyway. Of a larger graph the
/// nodes deepest in the syntax tree are left out, and their tokens belong to the nodes around them.
pub const MAX_NODES: usize = 16_384;

/// One graph and the code tokens of its source, ready to be batched. It depends on no configuration and no weights, so
/// training makes it once for each example.
///
/// It can be stored with serde; what is read back is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Record", try_from = "Record")]
pub struct GraphInput {
    /// Kind of each node, as its number.
    pub(crate) kinds: Vec<i64>,
    /// Edges: kind, source, target.
    pub(crate) edges: Vec<(EdgeKind, u32, u32)>,
    /// The node that each code token belongs to: its leaf.
    pub(crate) leaves: Vec<u32>,
    dropped_nodes: usize,
}

impl GraphInput {
    /// Reads a graph, and gives each code token to a node.
    ///
    /// `offsets` are the bytes that each code token covers in the graph's source, `(first, one past the last)`. A token
    /// belongs to the smallest node that covers its middle byte: tokens of many LLMs carry the space before a word, and
    /// the middle byte is the word's. Of nodes with the very same text it is the deepest in the syntax tree; of nodes that
    /// overlap without nesting, which no sound syntax tree has, the one that starts last. A token that no node covers
    /// belongs to the root. The tokens that belong to a node are thus the tokens of its own text, without
    /// its children's; each token belongs to one node. Time: sorting the nodes and the tokens.
    ///
    /// # Errors
    /// [`TransducerError::Offset`] for a token outside the source.
    pub fn new(graph: &Cpg, offsets: &[(u32, u32)]) -> Result<Self, TransducerError> {
        let source_len = graph.source_len();
        for (token, &(start, end)) in offsets.iter().enumerate() {
            if start > end || end > source_len {
                return Err(TransducerError::Offset {
                    token,
                    start,
                    end,
                    source_len,
                });
            }
        }
        let depths = depths(graph);
        let kept = kept(&depths, MAX_NODES);
        // Where a node stands among the kept ones.
        let mut place = vec![None; depths.len()];
        for (new, &old) in kept.iter().enumerate() {
            place[old as usize] = Some(new as u32);
        }
        let edges = graph
            .edges()
            .iter()
            .filter_map(|edge| Some((edge.kind, place[edge.source as usize]?, place[edge.target as usize]?)));
        Ok(Self {
            kinds: kept
                .iter()
                .map(|&node| graph.nodes()[node as usize].kind as i64)
                .collect(),
            edges: edges.collect(),
            leaves: leaves(graph, &depths, &kept, offsets),
            dropped_nodes: depths.len() - kept.len(),
        })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.kinds.len()
    }

    /// How many code tokens there are.
    pub fn tokens(&self) -> usize {
        self.leaves.len()
    }

    /// The node each code token belongs to: an index among the kept nodes, which keep the graph's order.
    pub fn leaves(&self) -> &[u32] {
        &self.leaves
    }

    /// How many nodes were left out because the graph has more than [`MAX_NODES`].
    pub fn dropped_nodes(&self) -> usize {
        self.dropped_nodes
    }

    /// The same input with other edges between its nodes: kind, source and target of each. For experiments that drop or
    /// shuffle edges.
    ///
    /// # Panics
    /// If an edge names a node that does not exist.
    pub fn with_edges(&self, edges: Vec<(EdgeKind, u32, u32)>) -> Self {
        let nodes = self.nodes() as u32;
        assert!(
            edges
                .iter()
                .all(|&(_, source, target)| source < nodes && target < nodes),
            "an edge outside the graph"
        );
        Self { edges, ..self.clone() }
    }

    /// The edges: kind, source and target of each.
    pub fn edges(&self) -> &[(EdgeKind, u32, u32)] {
        &self.edges
    }
}

/// A [`GraphInput`] as it is stored: kinds as their numbers.
#[derive(Serialize, Deserialize)]
struct Record {
    kinds: Vec<u8>,
    edges: Vec<(u8, u32, u32)>,
    leaves: Vec<u32>,
    dropped_nodes: usize,
}

impl From<GraphInput> for Record {
    fn from(input: GraphInput) -> Self {
        let edges = input.edges.into_iter();
        Self {
            // There are far fewer kinds than a byte can tell apart.
            kinds: input.kinds.into_iter().map(|kind| kind as u8).collect(),
            edges: edges
                .map(|(kind, source, target)| (kind as u8, source, target))
                .collect(),
            leaves: input.leaves,
            dropped_nodes: input.dropped_nodes,
        }
    }
}

impl TryFrom<Record> for GraphInput {
    type Error = &'static str;

    fn try_from(record: Record) -> Result<Self, Self::Error> {
        let nodes = record.kinds.len();
        let is_node = |&node: &u32| (node as usize) < nodes;
        if nodes == 0
            || record
                .kinds
                .iter()
                .any(|&kind| usize::from(kind) >= NodeKind::ALL.len())
        {
            return Err("a stored graph has no nodes, or one of an unknown kind");
        }
        let edge = |(kind, source, target): (u8, u32, u32)| {
            let kind = *EdgeKind::ALL.get(usize::from(kind))?;
            (is_node(&source) && is_node(&target)).then_some((kind, source, target))
        };
        let edges = record.edges.into_iter().map(edge).collect::<Option<Vec<_>>>();
        let edges = edges.ok_or("a stored graph has an edge of an unknown kind or to a node that is not there")?;
        if !record.leaves.iter().all(is_node) {
            return Err("a stored graph has a token of a node that is not there");
        }
        Ok(Self {
            kinds: record.kinds.into_iter().map(i64::from).collect(),
            edges,
            leaves: record.leaves,
            dropped_nodes: record.dropped_nodes,
        })
    }
}

/// Depth of each node in the syntax tree. Parents come before their children.
fn depths(graph: &Cpg) -> Vec<u32> {
    let mut depths = Vec::with_capacity(graph.nodes().len());
    for node in 0..graph.nodes().len() as NodeId {
        depths.push(graph.parent(node).map_or(0, |parent| depths[parent as usize] + 1));
    }
    depths
}

/// The nodes that are read, in the graph's order: all, or the `most` that are least deep.
fn kept(depths: &[u32], most: usize) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = (0..depths.len() as NodeId).collect();
    if nodes.len() > most {
        nodes.sort_by_key(|&node| depths[node as usize]);
        nodes.truncate(most);
        nodes.sort_unstable();
    }
    nodes
}

/// For each token, the place in `kept` of the node that it belongs to.
fn leaves(graph: &Cpg, depths: &[u32], kept: &[NodeId], offsets: &[(u32, u32)]) -> Vec<u32> {
    let node = |place: u32| &graph.nodes()[kept[place as usize] as usize];
    // Outer nodes before the nodes inside them; the end of the key only makes the order independent of numbering.
    let mut opening: Vec<u32> = (0..kept.len() as u32).collect();
    opening.sort_by_key(|&place| {
        let span = node(place).span;
        (
            span.start,
            Reverse(span.end),
            depths[kept[place as usize] as usize],
            node(place).kind,
        )
    });
    let middle = |token: usize| offsets[token].0 + (offsets[token].1 - offsets[token].0) / 2;
    let mut tokens: Vec<usize> = (0..offsets.len()).collect();
    tokens.sort_by_key(|&token| middle(token));

    let mut leaves = vec![0; offsets.len()];
    let mut opening = opening.into_iter().peekable();
    // The nodes that are open at the current byte; the smallest is on top.
    let mut open: Vec<u32> = Vec::new();
    for token in tokens {
        let at = middle(token);
        while let Some(place) = opening.next_if(|&place| node(place).span.start <= at) {
            open.push(place);
        }
        while open.pop_if(|place| node(*place).span.end <= at).is_some() {}
        leaves[token] = open.last().copied().unwrap_or(0);
    }
    leaves
}
