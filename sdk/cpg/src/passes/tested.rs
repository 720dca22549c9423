//! The scope of a variable that a test binds, as in `o instanceof String s`.
//!
//! It is in sight where the test is known to have held (JLS 6.3): in the statement that it stands in; and behind that
//! statement to the end of the block, where only those get there for whom it held (`if (!(o instanceof String s)) return;`).

use super::shape::Shape;
use crate::{CpgBuilder, NodeId, NodeKind};

/// One past the last node at which a variable bound by a test is in sight; `None` for other variables, and for those that are
/// in sight to the end of their block.
pub(super) fn scope_end(cpg: &CpgBuilder, shape: &Shape, local: NodeId) -> Option<NodeId> {
    let (nodes, parents) = (cpg.nodes(), cpg.parents());
    let name = |node: NodeId| cpg.text(nodes[node as usize].name);
    let mut at = parents[local as usize];
    if nodes[at as usize].kind != NodeKind::Call || name(at) != "<operator>.instanceOf" {
        return None;
    }
    let mut holds = true;
    loop {
        let parent = parents[at as usize];
        match nodes[parent as usize].kind {
            NodeKind::Call => holds ^= name(parent) == "<operator>.logicalNot",
            NodeKind::Return | NodeKind::MethodRef => {}
            // The guard of a case: to the end of the switch.
            NodeKind::JumpTarget => return None,
            NodeKind::ControlStructure if shape.is_condition(at) => {
                let goes_on = !holds && only_those_pass(cpg, shape, parent);
                return (!goes_on).then(|| shape.end(parent));
            }
            _ => return Some(shape.end(at)),
        }
        at = parent;
    }
}

/// Whether what comes behind a control structure is reached only when its condition is false.
fn only_those_pass(cpg: &CpgBuilder, shape: &Shape, control: NodeId) -> bool {
    let nodes = cpg.nodes();
    let name = |node: NodeId| cpg.text(nodes[node as usize].name);
    let role = |order: u32| {
        shape
            .children(control)
            .find(|&child| nodes[child as usize].order == order)
    };
    match name(control) {
        "IF" => role(3).is_none() && role(2).is_some_and(|branch| never_ends(cpg, shape, branch)),
        "WHILE" | "DO" => {
            let is_break =
                |node: NodeId| nodes[node as usize].kind == NodeKind::ControlStructure && name(node) == "BREAK";
            !(control..shape.end(control)).any(is_break)
        }
        _ => false,
    }
}

/// Whether a statement cannot end but by a jump, as far as its last statements show.
fn never_ends(cpg: &CpgBuilder, shape: &Shape, statement: NodeId) -> bool {
    let nodes = cpg.nodes();
    let mut left = vec![statement];
    while let Some(statement) = left.pop() {
        let children = shape
            .children(statement)
            .filter(|&child| nodes[child as usize].kind != NodeKind::Comment);
        match nodes[statement as usize].kind {
            NodeKind::Return => {}
            NodeKind::Block => match children.last() {
                Some(last) => left.push(last),
                None => return false,
            },
            NodeKind::ControlStructure => match cpg.text(nodes[statement as usize].name) {
                "THROW" | "BREAK" | "CONTINUE" | "YIELD" => {}
                "IF" => {
                    let branches = children.filter(|&child| matches!(nodes[child as usize].order, 2 | 3));
                    let before = left.len();
                    left.extend(branches);
                    if left.len() != before + 2 {
                        return false;
                    }
                }
                _ => return false,
            },
            _ => return false,
        }
    }
    true
}
