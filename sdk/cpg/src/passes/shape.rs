//! The syntax tree, ready to be walked.

use crate::{CpgBuilder, EdgeKind, Node, NodeId, NodeKind};

/// The tree as ranges: a node's children and all below it.
pub(super) struct Shape {
    /// One past the last node below each node.
    ends: Vec<NodeId>,
    /// Whether a CONDITION edge leads to each node.
    is_condition: Vec<bool>,
}

impl Shape {
    pub(super) fn new(cpg: &CpgBuilder) -> Self {
        let parents = cpg.parents();
        let mut ends: Vec<NodeId> = (1..=parents.len() as NodeId).collect();
        for node in (1..parents.len()).rev() {
            let parent = parents[node] as usize;
            ends[parent] = ends[parent].max(ends[node]);
        }
        let mut is_condition = vec![false; parents.len()];
        for (_, condition) in cpg.ends(EdgeKind::Condition) {
            is_condition[condition as usize] = true;
        }
        Self { ends, is_condition }
    }

    /// Whether the node is the condition of another.
    pub(super) fn is_condition(&self, node: NodeId) -> bool {
        self.is_condition[node as usize]
    }

    /// One past the last node below `node`.
    pub(super) fn end(&self, node: NodeId) -> NodeId {
        self.ends[node as usize]
    }

    pub(super) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + Clone + use<'_> {
        let end = self.end(node);
        let inside = move |id: &NodeId| *id < end;
        std::iter::successors(Some(node + 1).filter(inside), move |&child| {
            Some(self.end(child)).filter(inside)
        })
    }

    /// The first child of a kind.
    pub(super) fn child_of(&self, nodes: &[Node], node: NodeId, kind: NodeKind) -> Option<NodeId> {
        self.children(node).find(|&child| nodes[child as usize].kind == kind)
    }
}
