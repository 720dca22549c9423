//! What methods take from the methods around them.

use std::ops::Range;

use super::references::{NONE, References};
use super::shape::Shape;
use crate::{CpgBuilder, EdgeKind, NodeId, NodeKind};

/// Methods inside one another at which a captured variable is followed, outermost first. Code that a person wrote rarely nests
/// functions more than three deep; broken code may do so thousands of times.
const DEEPEST_CAPTURE: usize = 8;

/// Captured identifiers that a call of their function is known to access. More are in no function that a person wrote; each is
/// an access at each call.
const CAPTURES_AT_CALL: usize = 256;

/// Identifiers inside lambdas, functions and classes that name a variable of a method around them.
///
/// A lambda, a function or an anonymous class reads and writes it, or an element of it, where it is made, from where on it can
/// be called at any time; a function also where it is called by name. A class declared in a block reads it where it is
/// declared: there the variable must have its one value already (Java: definitely assigned and effectively final), so that it
/// does not matter where, how often, or through which subclass objects are made.
pub(super) struct Captures {
    /// The lambda or function, the call that makes an anonymous class, or the declared class, and the identifier inside; sorted.
    uses: Vec<(NodeId, NodeId)>,
    /// Calls, each with the reference that makes the function called; sorted.
    calls: Vec<(NodeId, NodeId)>,
}

impl Captures {
    pub(super) fn new(cpg: &CpgBuilder, shape: &Shape, references: &References) -> Self {
        let (nodes, parents) = (cpg.nodes(), cpg.parents());
        let mut uses = Vec::new();
        // The methods around the present node, innermost last.
        let mut around: Vec<NodeId> = Vec::new();
        for (node, id) in nodes.iter().zip(0 as NodeId..) {
            while around.last().is_some_and(|&method| shape.end(method) <= id) {
                around.pop();
            }
            if node.kind == NodeKind::Method {
                around.push(id);
            }
            let declaration = references[id as usize];
            if declaration == NONE || nodes[declaration as usize].kind == NodeKind::Member {
                continue;
            }
            // Methods begin before what they declare: the inner ones are those that begin after the declaration.
            let first_inner = around.partition_point(|&method| method <= declaration);
            for &inner in around[first_inner..].iter().take(DEEPEST_CAPTURE) {
                let takes = |node: NodeId| match nodes[node as usize].kind {
                    NodeKind::MethodRef | NodeKind::Call => true,
                    NodeKind::TypeDecl => nodes[parents[node as usize] as usize].kind == NodeKind::Block,
                    _ => false,
                };
                let mut at = parents[inner as usize];
                while !takes(at) && nodes[at as usize].kind != NodeKind::Method && at != 0 {
                    at = parents[at as usize];
                }
                if takes(at) {
                    uses.push((at, id));
                }
            }
        }
        uses.sort_unstable();
        let mut calls = Vec::new();
        if !uses.is_empty() {
            let references = cpg
                .ends(EdgeKind::Call)
                .map(|(call, method)| (call, parents[method as usize]));
            calls.extend(references.filter(|&(_, made)| nodes[made as usize].kind == NodeKind::MethodRef));
            calls.sort_unstable();
        }
        Self { uses, calls }
    }

    /// The captured identifiers that are accessed at a node, in no particular order.
    pub(super) fn at(&self, node: NodeId) -> impl Iterator<Item = NodeId> + use<'_> {
        let called = self.calls[range_of(&self.calls, node)].iter();
        let at_calls =
            called.flat_map(|&(_, made)| self.uses[range_of(&self.uses, made)].iter().take(CAPTURES_AT_CALL));
        let made_here = self.uses[range_of(&self.uses, node)].iter();
        made_here.chain(at_calls).map(|&(_, identifier)| identifier)
    }
}

/// The places of the pairs of a first member, in sorted pairs.
fn range_of(pairs: &[(NodeId, NodeId)], first: NodeId) -> Range<usize> {
    let start = pairs.partition_point(|&(at, _)| at < first);
    let count = pairs[start..].partition_point(|&(at, _)| at == first);
    start..start + count
}
