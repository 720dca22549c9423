//! REF: identifiers to what they name, by block scope.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::shape::Shape;
use super::tested;
use crate::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind};

/// What each identifier names; [`NONE`] for other nodes and for names declared elsewhere.
pub(super) type References = Vec<NodeId>;

/// No declaration.
pub(super) const NONE: NodeId = NodeId::MAX;

/// Resolves names: a local is visible from its declaration to the end of its block (one that a test binds, to the end of
/// [`tested::scope_end`]), a parameter in its method, a member in all of its type. A member of a block that makes a type is
/// visible in that block, and neither in the methods nor in the blocks of other types inside it.
pub(super) fn resolve(cpg: &mut CpgBuilder, shape: &Shape) -> References {
    let nodes = cpg.nodes();
    let mut references = vec![NONE; nodes.len()];
    let mut scopes = Scopes::default();
    let mut found = Vec::new();
    for (node, id) in nodes.iter().zip(0 as NodeId..) {
        scopes.leave_before(id);
        match node.kind {
            NodeKind::Block if nodes[cpg.parents()[id as usize] as usize].kind == NodeKind::TypeDecl => {
                scopes.enter_without_members(id, shape.end(id));
            }
            NodeKind::Block => scopes.enter(shape.end(id)),
            NodeKind::Method => scopes.enter_without_members(id, shape.end(id)),
            // The variables of a loop's head and of a handler end with it, resources with the block that is protected; those
            // of other conditions live on.
            NodeKind::ControlStructure => match cpg.text(node.name) {
                "FOR" | "FOREACH" | "CATCH" => scopes.enter(shape.end(id)),
                "TRY" => {
                    let protected = shape.child_of(nodes, id, NodeKind::Block).unwrap_or(id);
                    scopes.enter(shape.end(protected));
                }
                _ => {}
            },
            NodeKind::TypeDecl => {
                scopes.enter(shape.end(id));
                for member in shape
                    .children(id)
                    .filter(|&child| nodes[child as usize].kind == NodeKind::Member)
                {
                    scopes.declare(nodes[member as usize].name, member);
                }
            }
            NodeKind::Local | NodeKind::MethodParameterIn => {
                if let Some(end) = tested::scope_end(cpg, shape, id) {
                    scopes.enter(end);
                }
                scopes.declare(node.name, id);
            }
            NodeKind::Member if nodes[cpg.parents()[id as usize] as usize].kind == NodeKind::Block => {
                scopes.declare_in_type(node.name, id);
            }
            NodeKind::Identifier => {
                let declaration = scopes.find(node.name);
                references[id as usize] = declaration;
                if declaration != NONE {
                    found.push((id, declaration));
                }
            }
            _ => {}
        }
    }
    for (identifier, declaration) in found {
        cpg.edge(EdgeKind::Ref, identifier, declaration);
    }
    references
}

/// The declarations in sight.
#[derive(Default)]
struct Scopes {
    /// For each name, its innermost declaration.
    visible: Vec<NodeId>,
    /// What was visible before each declaration, to be restored.
    hidden: Vec<(NameId, NodeId)>,
    /// Where each open scope ends, and how much was hidden when it began.
    open: Vec<(NodeId, usize)>,
    /// The methods and the blocks that make a type around the present node, innermost last, and where each ends.
    memberless: Vec<(NodeId, NodeId)>,
    /// Members of blocks that make a type, and what was visible before each.
    members: HashMap<NodeId, NodeId, FxBuildHasher>,
}

impl Scopes {
    fn enter(&mut self, end: NodeId) {
        self.open.push((end, self.hidden.len()));
    }

    /// Opens a scope that does not see the members of the blocks around it that make a type.
    fn enter_without_members(&mut self, node: NodeId, end: NodeId) {
        self.enter(end);
        self.memberless.push((node, end));
    }

    /// Closes the scopes that end before a node.
    fn leave_before(&mut self, node: NodeId) {
        while self.memberless.pop_if(|(_, end)| *end <= node).is_some() {}
        while let Some(&(end, hidden)) = self.open.last().filter(|(end, _)| *end <= node) {
            debug_assert!(end <= node);
            self.open.pop();
            while self.hidden.len() > hidden {
                if let Some((name, before)) = self.hidden.pop() {
                    self.visible[name.0 as usize] = before;
                }
            }
        }
    }

    fn declare(&mut self, name: NameId, declaration: NodeId) {
        let index = name.0 as usize;
        if name == NameId::EMPTY {
            return;
        }
        if index >= self.visible.len() {
            self.visible.resize(index + 1, NONE);
        }
        self.hidden
            .push((name, std::mem::replace(&mut self.visible[index], declaration)));
    }

    fn declare_in_type(&mut self, name: NameId, member: NodeId) {
        self.members.insert(member, self.find(name));
        self.declare(name, member);
    }

    fn find(&self, name: NameId) -> NodeId {
        let mut found = self.visible.get(name.0 as usize).copied().unwrap_or(NONE);
        let innermost = self.memberless.last().map_or(0, |&(node, _)| node);
        while found < innermost
            && let Some(&before) = self.members.get(&found)
        {
            found = before;
        }
        found
    }
}
