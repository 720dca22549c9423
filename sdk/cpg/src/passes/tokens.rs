//! Token order.

use crate::{CpgBuilder, EdgeKind, NodeId};

/// Links each leaf of the syntax tree to the next one in the source. Leaves without text (an absent return type) are no
/// tokens; where several leaves share their text (the two sides of `x++`), all are in the chain, in order of their nodes.
pub(super) fn next_tokens(cpg: &mut CpgBuilder) {
    let nodes = cpg.nodes();
    // In pre-order a node is a leaf when the next node is not its child.
    let is_leaf = |id: usize| cpg.parents().get(id + 1).is_none_or(|&parent| parent as usize != id);
    let mut leaves: Vec<(u32, NodeId)> = (1..nodes.len())
        .filter(|&id| !nodes[id].span.is_empty() && is_leaf(id))
        .map(|id| (nodes[id].span.start, id as NodeId))
        .collect();
    leaves.sort_unstable();
    for pair in leaves.windows(2) {
        cpg.edge(EdgeKind::NextToken, pair[0].1, pair[1].1);
    }
}
