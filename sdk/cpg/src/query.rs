//! What most readers of a graph ask: methods, signatures, calls, neighbours.

use serde::Serialize;

use crate::{Cpg, EdgeKind, NodeId, NodeKind};

/// How a method is called from outside, as written in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The type it returns; `None` where the source names none, as for a constructor.
    pub return_type: Option<String>,
    /// `public`, `static` and the like, in order.
    pub modifiers: Vec<String>,
}

/// One formal parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type as written; `None` where the source names none, as for a lambda's.
    #[serde(rename = "type")]
    pub type_: Option<String>,
}

/// The nodes of a kind, in source order.
pub fn nodes_of(cpg: &Cpg, kind: NodeKind) -> impl Iterator<Item = NodeId> + '_ {
    cpg.nodes()
        .iter()
        .zip(0..)
        .filter(move |(node, _)| node.kind == kind)
        .map(|(_, id)| id)
}

/// Where the edges of a kind lead from a node, ascending.
pub fn successors(cpg: &Cpg, node: NodeId, kind: EdgeKind) -> impl Iterator<Item = NodeId> + '_ {
    cpg.outgoing(node, kind).iter().map(|edge| edge.target)
}

/// The methods that the source declares by name, in source order: no lambdas, initialisers or loose statements (their
/// names start with `<`).
pub fn find_methods(cpg: &Cpg) -> Vec<NodeId> {
    let declared = |method: &NodeId| !cpg.name(*method).is_empty() && !cpg.name(*method).starts_with('<');
    nodes_of(cpg, NodeKind::Method).filter(declared).collect()
}

/// The methods of a name, overloads in source order. A method's [`Node::span`](crate::Node) cuts its text.
pub fn find_methods_named(cpg: &Cpg, name: &str) -> Vec<NodeId> {
    nodes_of(cpg, NodeKind::Method)
        .filter(|&method| cpg.name(method) == name)
        .collect()
}

/// The signature of `method`, or of the first method that the source declares; `None` where there is none.
pub fn method_signature(cpg: &Cpg, source: &str, method: Option<NodeId>) -> Option<Signature> {
    let method = match method {
        Some(method) => method,
        None => *find_methods(cpg).first()?,
    };
    if cpg.node(method)?.kind != NodeKind::Method {
        return None;
    }
    let mut signature = Signature {
        name: cpg.name(method).to_owned(),
        parameters: Vec::new(),
        return_type: None,
        modifiers: Vec::new(),
    };
    let written = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    for child in cpg.children(method) {
        match cpg.nodes()[child as usize].kind {
            NodeKind::MethodParameterIn => signature.parameters.push(Parameter {
                name: cpg.name(child).to_owned(),
                type_: type_of(cpg, source, child),
            }),
            NodeKind::Modifier => signature.modifiers.push(cpg.name(child).to_owned()),
            NodeKind::MethodReturn => signature.return_type = written(cpg.name(child)),
            _ => {}
        }
    }
    Some(signature)
}

/// The names of the methods that `method` calls, in source order, each as often as it is called; operators and the
/// methods declared inside it are left out.
pub fn calls(cpg: &Cpg, method: NodeId) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut node, end) = (method.saturating_add(1), cpg.subtree_end(method));
    while node < end {
        match cpg.nodes()[node as usize].kind {
            NodeKind::Method => node = cpg.subtree_end(node),
            kind => {
                let name = cpg.name(node);
                if kind == NodeKind::Call && !name.starts_with("<operator>") {
                    names.push(name);
                }
                node += 1;
            }
        }
    }
    names
}

/// The type that a declaration is written with.
fn type_of(cpg: &Cpg, source: &str, declaration: NodeId) -> Option<String> {
    let type_ref = cpg
        .children(declaration)
        .find(|&child| cpg.nodes()[child as usize].kind == NodeKind::TypeRef)?;
    let name = cpg.name(type_ref);
    let written = if name.is_empty() {
        cpg.nodes()[type_ref as usize].span.text(source)?
    } else {
        name
    };
    Some(written.to_owned()).filter(|written| !written.is_empty())
}
