//! The graph a statement at a time: what a picture of a whole method has room for.

use crate::{Cpg, Edge, EdgeKind, NodeId, NodeKind};

/// The statements of a graph that control flow passes, and the edges between them.
pub(super) struct Statements {
    /// A node for each: the statement itself, or the condition (or other part) of a control structure. In order of the source.
    pub(super) nodes: Vec<NodeId>,
    /// Edges between two of them, by their places in `nodes`; one for each kind and label.
    pub(super) edges: Vec<Edge>,
}

impl Statements {
    /// Groups the nodes of the control flow by statement. Edges of `kinds` are kept where both ends belong to one.
    pub(super) fn new(cpg: &Cpg, kinds: &[EdgeKind]) -> Self {
        let flow = cpg.edges_of(EdgeKind::Cfg);
        let mut of: Vec<Option<NodeId>> = vec![None; cpg.nodes().len()];
        for node in flow.iter().flat_map(|edge| [edge.source, edge.target]) {
            of[node as usize] = Some(statement(cpg, node));
        }
        let mut nodes: Vec<NodeId> = of.iter().flatten().copied().collect();
        nodes.sort_unstable();
        nodes.dedup();
        let place = |statement: NodeId| nodes.partition_point(|&node| node < statement) as NodeId;
        let is_entered: Vec<bool> = entered(cpg, &of);
        let mut edges: Vec<Edge> = cpg
            .edges()
            .iter()
            .filter(|edge| kinds.contains(&edge.kind))
            .filter_map(|edge| {
                // What is no part of the flow (a parameter, a local) belongs to the statement that holds it.
                let end = |node: NodeId| of[node as usize].or_else(|| holder(cpg, &of, node));
                let (source, target) = (end(edge.source)?, end(edge.target)?);
                // A statement comes before itself only where a loop leads from its end to its start.
                let is_loop = edge.kind == EdgeKind::Cfg && is_entered[edge.target as usize];
                (source != target || is_loop).then(|| Edge {
                    source: place(source),
                    target: place(target),
                    ..*edge
                })
            })
            .collect();
        edges.sort_unstable_by_key(|edge| (edge.kind, edge.source, edge.target, edge.label.0));
        edges.dedup();
        Self { nodes, edges }
    }
}

/// Whether control comes to a node from another statement.
fn entered(cpg: &Cpg, of: &[Option<NodeId>]) -> Vec<bool> {
    let mut entered = vec![false; of.len()];
    for edge in cpg.edges_of(EdgeKind::Cfg) {
        entered[edge.target as usize] |= of[edge.source as usize] != of[edge.target as usize];
    }
    entered
}

/// The statement around a node: the closest ancestor that is a statement of its own.
fn statement(cpg: &Cpg, node: NodeId) -> NodeId {
    let mut inner = node;
    while let Some(parent) = cpg.parent(inner) {
        // The flow of a lambda is its own, wherever the lambda stands.
        if cpg.nodes()[inner as usize].kind == NodeKind::Method {
            break;
        }
        match cpg.nodes()[parent as usize].kind {
            // What is thrown, yielded or asserted is told with the word before it.
            NodeKind::ControlStructure if matches!(cpg.name(parent), "THROW" | "YIELD" | "ASSERT") => inner = parent,
            NodeKind::Block | NodeKind::ControlStructure | NodeKind::Method | NodeKind::File => break,
            _ => inner = parent,
        }
    }
    inner
}

/// The statement that a node outside of the flow stands in.
fn holder(cpg: &Cpg, of: &[Option<NodeId>], node: NodeId) -> Option<NodeId> {
    let mut around = cpg.parent(node);
    while let Some(node) = around {
        if let Some(statement) = of[node as usize] {
            return Some(statement);
        }
        around = cpg.parent(node);
    }
    None
}
