//! CALL: calls to the methods of the same unit.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::references::{NONE, References};
use super::shape::Shape;
use crate::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind};

/// A method that could be called.
struct Target {
    method: NodeId,
    parameters: usize,
    /// Whether the last parameter takes any number of arguments.
    is_variadic: bool,
    /// Name of the type it belongs to; empty outside of any.
    owner: NameId,
    /// Whether it is a value that a name holds: the name tells which it is, and its parameters may have defaults.
    is_value: bool,
    /// The declaration of that name, if the source has one.
    held_by: NodeId,
}

/// What a call is made on.
enum On {
    /// Nothing, or `this`.
    Own,
    /// The object that the method around has as its first parameter.
    Object,
    /// The function that a name holds, or the type whose objects it makes: the declaration of the name.
    Value(NodeId),
    /// The type of that name.
    Type(NameId),
    /// Anything else: what its type is would take type inference.
    Other,
}

/// Links a call to the methods of its name that take as many arguments, where the call has no receiver, `this`, or the name of
/// the type; where functions are values, to the function of its name, to the method of that name where its receiver is the
/// first parameter of a method beside, and to the `__init__` or `constructor` of the type that it names. Other calls stay open.
pub(super) fn resolve(cpg: &mut CpgBuilder, shape: &Shape, references: &References) {
    let nodes = cpg.nodes();
    let mut targets: HashMap<NameId, Vec<Target>, FxBuildHasher> = HashMap::default();
    for (node, id) in nodes
        .iter()
        .zip(0 as NodeId..)
        .filter(|(node, _)| node.kind == NodeKind::Method)
    {
        if !cpg.text(node.name).starts_with('<') {
            let target = target(cpg, shape, references, id);
            let name = match cpg.text(node.name) {
                "__init__" | "constructor" if target.is_value => target.owner,
                _ => node.name,
            };
            targets.entry(name).or_default().push(target);
        }
    }
    if targets.is_empty() {
        return;
    }
    let instances = instances(cpg);
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
        let mut receiver: Option<NodeId> = None;
        for child in shape.children(id) {
            let node = &nodes[child as usize];
            match node.kind {
                NodeKind::TypeRef | NodeKind::TypeDecl | NodeKind::Comment | NodeKind::FieldIdentifier
                    if node.order == 0 => {}
                _ if node.order == 0 => receiver = Some(child),
                _ => arguments += 1,
            }
        }
        let on = receiver.map_or(On::Own, |receiver| {
            called_on(cpg, shape, references, receiver, &instances)
        });
        for target in candidates {
            let takes = target.parameters == arguments || target.is_variadic && arguments + 1 >= target.parameters;
            let is_meant = match on {
                On::Own => takes,
                On::Object => target.owner == type_around(cpg, id),
                // A name that nothing declares is no method of a type.
                On::Value(NONE) => target.held_by == NONE && target.owner == NameId::EMPTY,
                On::Value(held_by) => target.held_by == held_by,
                On::Type(name) => target.owner == name && (takes || target.is_value),
                On::Other => false,
            };
            if is_meant {
                found.push((id, target.method));
            }
        }
    }
    for (call, method) in found {
        cpg.edge(EdgeKind::Call, call, method);
    }
}

/// Whether each node is the object that a call is made on: an argument of order 0.
fn instances(cpg: &CpgBuilder) -> Vec<bool> {
    let mut instances = vec![false; cpg.nodes().len()];
    for (_, argument) in cpg.ends(EdgeKind::Argument) {
        instances[argument as usize] = cpg.nodes()[argument as usize].order == 0;
    }
    instances
}

fn called_on(cpg: &CpgBuilder, shape: &Shape, references: &References, receiver: NodeId, instances: &[bool]) -> On {
    let nodes = cpg.nodes();
    let node = &nodes[receiver as usize];
    if node.kind != NodeKind::Identifier {
        return On::Other;
    }
    if !instances[receiver as usize] {
        return On::Value(references[receiver as usize]);
    }
    if cpg.text(node.name) == "this" {
        return On::Own;
    }
    let mut method = receiver;
    while method != 0 && nodes[method as usize].kind != NodeKind::Method {
        method = cpg.parents()[method as usize];
    }
    let is_object = matches!(cpg.text(node.name), "self" | "cls")
        && shape
            .child_of(nodes, method, NodeKind::MethodParameterIn)
            .is_some_and(|first| nodes[first as usize].name == node.name);
    if is_object { On::Object } else { On::Type(node.name) }
}

fn target(cpg: &CpgBuilder, shape: &Shape, references: &References, method: NodeId) -> Target {
    let nodes = cpg.nodes();
    let is_parameter = |child: &NodeId| nodes[*child as usize].kind == NodeKind::MethodParameterIn;
    let parameters = shape.children(method).filter(is_parameter);
    let last_type = parameters
        .clone()
        .last()
        .and_then(|last| shape.child_of(nodes, last, NodeKind::TypeRef));
    let parent = cpg.parents()[method as usize];
    let is_value = nodes[parent as usize].kind == NodeKind::MethodRef;
    let owner_id = if is_value { owner_of(cpg, parent) } else { parent };
    let owner = &nodes[owner_id as usize];
    // A function is held by its own name, what makes the objects of a type by the name of the type.
    let makes_objects = matches!(cpg.text(nodes[method as usize].name), "__init__" | "constructor");
    let value = if makes_objects { owner_id } else { parent };
    let held_by = if is_value {
        holder(cpg, shape, references, value)
    } else {
        NONE
    };
    Target {
        method,
        parameters: parameters.count(),
        is_variadic: last_type.is_some_and(|typed| cpg.text(nodes[typed as usize].name).ends_with("...")),
        owner: if owner.kind == NodeKind::TypeDecl {
            owner.name
        } else {
            NameId::EMPTY
        },
        is_value,
        held_by,
    }
}

/// The declaration of the name that a value is assigned to.
fn holder(cpg: &CpgBuilder, shape: &Shape, references: &References, value: NodeId) -> NodeId {
    let assignment = cpg.parents()[value as usize];
    shape
        .child_of(cpg.nodes(), assignment, NodeKind::Identifier)
        .map_or(NONE, |name| references[name as usize])
}

/// The type or the method in whose body a node stands.
fn owner_of(cpg: &CpgBuilder, node: NodeId) -> NodeId {
    let mut owner = node;
    while owner != 0 && !matches!(cpg.nodes()[owner as usize].kind, NodeKind::TypeDecl | NodeKind::Method) {
        owner = cpg.parents()[owner as usize];
    }
    owner
}

/// The name of the innermost type around a node; empty outside of any.
fn type_around(cpg: &CpgBuilder, node: NodeId) -> NameId {
    let mut around = node;
    while around != 0 && cpg.nodes()[around as usize].kind != NodeKind::TypeDecl {
        around = cpg.parents()[around as usize];
    }
    cpg.nodes()[around as usize].name
}
