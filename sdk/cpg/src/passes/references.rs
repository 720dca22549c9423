//! REF: identifiers to what they name, by block scope.

use super::shape::Shape;
use super::tested;
use crate::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind};

/// What each identifier names; [`NONE`] for other nodes and for names declared elsewhere.
pub(super) type References = Vec<NodeId>;

/// No declaration.
pub(super) const NONE: NodeId = NodeId::MAX;

/// Resolves names: a local is visible from its declaration to the end of its block (one that a test binds, to the end of
/// [`tested::scope_end`]), a parameter in its method, a member in all of its type.
pub(super) fn resolve(cpg: &mut CpgBuilder, shape: &Shape) -> References {
    let nodes = cpg.nodes();
    let mut references = vec![NONE; nodes.len()];
    let mut scopes = Scopes::default();
    let mut found = Vec::new();
    for (node, id) in nodes.iter().zip(0 as NodeId..) {
        scopes.leave_before(id);
        match node.kind {
            NodeKind::Method | NodeKind::Block => scopes.enter(shape.end(id)),
            // The variables of a loop's head and of a handler end with it; those of other conditions live on.
            NodeKind::ControlStructure if matches!(cpg.text(node.name), "FOR" | "FOREACH" | "CATCH" | "TRY") => {
                scopes.enter(shape.end(id));
            }
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
}

impl Scopes {
    fn enter(&mut self, end: NodeId) {
        self.open.push((end, self.hidden.len()));
    }

    /// Closes the scopes that end before a node.
    fn leave_before(&mut self, node: NodeId) {
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

    fn find(&self, name: NameId) -> NodeId {
        self.visible.get(name.0 as usize).copied().unwrap_or(NONE)
    }
}
