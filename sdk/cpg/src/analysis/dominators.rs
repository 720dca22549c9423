//! Dominators and post-dominators.

use super::Graph;

const NONE: u32 = u32::MAX;

/// The tree of immediate dominators from a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DominatorTree {
    root: u32,
    parents: Vec<u32>,
}

impl DominatorTree {
    /// The closest node that every path from the root to `node` passes; `None` for the root and for what it does not reach.
    pub fn immediate(&self, node: u32) -> Option<u32> {
        let parent = self.parents[node as usize];
        (parent != NONE && node != self.root).then_some(parent)
    }

    /// Whether the root reaches the node.
    pub fn reaches(&self, node: u32) -> bool {
        self.parents[node as usize] != NONE
    }
}

/// The dominators of every node reachable from `root`: Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
pub fn dominators(graph: &Graph, root: u32) -> DominatorTree {
    let order = graph.post_order(root);
    let mut rank = vec![0_u32; graph.len()];
    for (&node, place) in order.iter().zip(0..) {
        rank[node as usize] = place;
    }
    let mut parents = vec![NONE; graph.len()];
    parents[root as usize] = root;
    let mut changed = true;
    while changed {
        changed = false;
        for &node in order.iter().rev().skip(1) {
            let mut parent = NONE;
            for &before in graph.predecessors(node) {
                if parents[before as usize] == NONE {
                    continue;
                }
                parent = if parent == NONE {
                    before
                } else {
                    common(&parents, &rank, parent, before)
                };
            }
            if parents[node as usize] != parent {
                parents[node as usize] = parent;
                changed = true;
            }
        }
    }
    DominatorTree { root, parents }
}

/// The closest common ancestor in the tree so far; ancestors rank higher.
fn common(parents: &[u32], rank: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while rank[a as usize] < rank[b as usize] {
            a = parents[a as usize];
        }
        while rank[b as usize] < rank[a as usize] {
            b = parents[b as usize];
        }
    }
    a
}

/// The post-dominators: the dominators of the reversed graph from `exit`.
///
/// Nodes that cannot reach the exit (endless loops) are given a virtual edge to it, one for each such region, from the node of
/// the highest number in it; thus every node has a post-dominator. Returns the tree and the nodes with a virtual edge.
pub fn post_dominators(nodes: usize, edges: &[(u32, u32)], exit: u32) -> (DominatorTree, Vec<u32>) {
    let graph = Graph::new(nodes, edges).reversed();
    let mut reaches = vec![false; nodes];
    let mut mark = |from: u32| {
        let mut stack = vec![from];
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut reaches[node as usize], true) {
                stack.extend(graph.successors(node));
            }
        }
        reaches.iter().rposition(|reaches| !reaches)
    };
    let mut virtual_exits = Vec::new();
    let mut stuck = mark(exit);
    while let Some(node) = stuck {
        virtual_exits.push(node as u32);
        stuck = mark(node as u32);
    }
    if virtual_exits.is_empty() {
        return (dominators(&graph, exit), virtual_exits);
    }
    let all: Vec<_> = edges
        .iter()
        .copied()
        .chain(virtual_exits.iter().map(|&node| (node, exit)))
        .collect();
    (dominators(&Graph::new(nodes, &all).reversed(), exit), virtual_exits)
}
