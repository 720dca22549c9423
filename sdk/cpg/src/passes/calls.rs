//! CALL: calls to the methods of the same unit.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::shape::Shape;
use crate::{CpgBuilder, EdgeKind, NameId, Node, NodeId, NodeKind};

/// A method that could be called.
struct Target {
    method: NodeId,
    parameters: usize,
    /// Whether the last parameter takes any number of arguments.
    is_variadic: bool,
    /// Name of the type it belongs to; empty outside of any.
    owner: NameId,
}

/// Links a call to the methods of its name that take as many arguments, where the call has no receiver, `this`, or the name of
/// the type. What another receiver's type is would take type inference; its calls stay open.
pub(super) fn resolve(cpg: &mut CpgBuilder, shape: &Shape) {
    let nodes = cpg.nodes();
    let mut targets: HashMap<NameId, Vec<Target>, FxBuildHasher> = HashMap::default();
    for (node, id) in nodes
        .iter()
        .zip(0 as NodeId..)
        .filter(|(node, _)| node.kind == NodeKind::Method)
    {
        if !cpg.text(node.name).starts_with('<') {
            targets.entry(node.name).or_default().push(target(cpg, shape, id));
        }
    }
    if targets.is_empty() {
        return;
    }
    let mut found = Vec::new();
    for (node, id) in nodes
        .iter()
        .zip(0 as NodeId..)
        .filter(|(node, _)| node.kind == NodeKind::Call)
    {
        // `this(…)` calls a constructor, which goes by the name of its type.
        let name = if cpg.text(node.name) == "this" {
            type_around(cpg, id)
        } else {
            node.name
        };
        let Some(candidates) = targets.get(&name) else { continue };
        let mut arguments = 0;
        let mut receiver: Option<&Node> = None;
        for child in shape.children(id).map(|child| &nodes[child as usize]) {
            match child.kind {
                NodeKind::TypeRef | NodeKind::TypeDecl | NodeKind::Comment if child.order == 0 => {}
                _ if child.order == 0 => receiver = Some(child),
                _ => arguments += 1,
            }
        }
        let receiver_type = match receiver {
            None => NameId::EMPTY,
            Some(node) if node.kind == NodeKind::Identifier && cpg.text(node.name) == "this" => NameId::EMPTY,
            Some(node) if node.kind == NodeKind::Identifier => node.name,
            Some(_) => continue,
        };
        for target in candidates {
            let takes = target.parameters == arguments || target.is_variadic && arguments + 1 >= target.parameters;
            if takes && (receiver_type == NameId::EMPTY || receiver_type == target.owner) {
                found.push((id, target.method));
            }
        }
    }
    for (call, method) in found {
        cpg.edge(EdgeKind::Call, call, method);
    }
}

fn target(cpg: &CpgBuilder, shape: &Shape, method: NodeId) -> Target {
    let nodes = cpg.nodes();
    let is_parameter = |child: &NodeId| nodes[*child as usize].kind == NodeKind::MethodParameterIn;
    let parameters = shape.children(method).filter(is_parameter);
    let last_type = parameters
        .clone()
        .last()
        .and_then(|last| shape.child_of(nodes, last, NodeKind::TypeRef));
    let owner = &nodes[cpg.parents()[method as usize] as usize];
    Target {
        method,
        parameters: parameters.count(),
        is_variadic: last_type.is_some_and(|typed| cpg.text(nodes[typed as usize].name).ends_with("...")),
        owner: if owner.kind == NodeKind::TypeDecl {
            owner.name
        } else {
            NameId::EMPTY
        },
    }
}

/// The name of the innermost type around a node; empty outside of any.
fn type_around(cpg: &CpgBuilder, node: NodeId) -> NameId {
    let mut around = node;
    while around != 0 && cpg.nodes()[around as usize].kind != NodeKind::TypeDecl {
        around = cpg.parents()[around as usize];
    }
    cpg.nodes()[around as usize].name
}
