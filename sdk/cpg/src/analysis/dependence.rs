//! Control dependence.

use super::{DominatorTree, Graph, TooLarge};

/// Which nodes decide whether which others run: Ferrante, Ottenstein and Warren, "The Program Dependence Graph and Its Use
/// in Optimization" (1987), from the post-dominator tree. Pairs of decider and decided.
///
/// # Errors
/// [`TooLarge`], where there are more than `limit` pairs.
pub fn control_dependence(
    graph: &Graph,
    post_dominators: &DominatorTree,
    limit: usize,
) -> Result<Vec<(u32, u32)>, TooLarge> {
    let mut pairs = Vec::new();
    for decider in 0..graph.len() as u32 {
        let branches = graph.successors(decider);
        if branches.len() < 2 {
            continue;
        }
        let stop = post_dominators.immediate(decider);
        for &branch in branches {
            let mut decided = Some(branch);
            while let Some(node) = decided.filter(|&node| Some(node) != stop) {
                // The root of the tree runs whatever was decided.
                let Some(next) = post_dominators.immediate(node) else {
                    break;
                };
                pairs.push((decider, node));
                decided = Some(next);
            }
        }
        if pairs.len() > limit {
            return Err(TooLarge {
                what: "control dependences",
                limit,
            });
        }
    }
    Ok(pairs)
}
