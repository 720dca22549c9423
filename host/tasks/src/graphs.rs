//! The read-only view of graphs that a guest gets. Every answer is bounded.

use std::collections::HashSet;
use std::sync::Arc;

use transducer_cpg::{Cpg, EdgeKind, NodeId, NodeKind, query};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::cpg;
use crate::host::CallState;
use crate::limits::{MAX_QUERY_BYTES, MAX_QUERY_ITEMS, MAX_QUERY_TEXT, cut, thread_time};
use crate::{ParseFailure, ParsedCode};

/// What a guest's handle stands for.
#[expect(unreachable_pub, reason = "the generated bindings re-export it, which wants `pub`")]
pub struct GraphHandle(pub(crate) Arc<ParsedCode>);

/// The kinds of the WIT and of the graph, both ways. The compiler sees that none is missing.
macro_rules! same_kinds {
    ($kind:ident: $to_wit:ident, $from_wit:ident, [$($variant:ident),+ $(,)?]) => {
        const fn $to_wit(kind: $kind) -> cpg::$kind {
            match kind { $($kind::$variant => cpg::$kind::$variant,)+ }
        }
        const fn $from_wit(kind: cpg::$kind) -> $kind {
            match kind { $(cpg::$kind::$variant => $kind::$variant,)+ }
        }
    };
}

same_kinds!(NodeKind: node_kind_to_wit, node_kind_from_wit, [
    File, NamespaceBlock, Import, TypeDecl, Member, Method, MethodParameterIn, MethodReturn, Block, Local, Call,
    Identifier, FieldIdentifier, Literal, ControlStructure, Return, JumpTarget, TypeRef, MethodRef, TypeParameter,
    Modifier, Annotation, Comment, Unknown,
]);

const fn edge_kind_from_wit(kind: cpg::EdgeKind) -> EdgeKind {
    match kind {
        cpg::EdgeKind::Ast => EdgeKind::Ast,
        cpg::EdgeKind::Cfg => EdgeKind::Cfg,
        cpg::EdgeKind::Cdg => EdgeKind::Cdg,
        cpg::EdgeKind::ReachingDef => EdgeKind::ReachingDef,
        cpg::EdgeKind::Ref => EdgeKind::Ref,
        cpg::EdgeKind::Argument => EdgeKind::Argument,
        cpg::EdgeKind::Receiver => EdgeKind::Receiver,
        cpg::EdgeKind::Condition => EdgeKind::Condition,
        cpg::EdgeKind::Call => EdgeKind::Call,
        cpg::EdgeKind::Dominate => EdgeKind::Dominate,
        cpg::EdgeKind::PostDominate => EdgeKind::PostDominate,
        cpg::EdgeKind::NextToken => EdgeKind::NextToken,
    }
}

/// Cuts a list after [`MAX_QUERY_ITEMS`] items or [`MAX_QUERY_BYTES`] bytes of text.
fn bounded<T>(items: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut total = 0;
    let fits = |item: &T| {
        total += bytes(item);
        total <= MAX_QUERY_BYTES
    };
    items.take(MAX_QUERY_ITEMS).take_while(fits).collect()
}

fn short(text: &str) -> String {
    cut(text, MAX_QUERY_TEXT).to_owned()
}

fn node(code: &ParsedCode, id: NodeId) -> Option<cpg::Node> {
    let node = code.cpg.node(id)?;
    Some(cpg::Node {
        id,
        kind: node_kind_to_wit(node.kind),
        start: node.span.start,
        end: node.span.end,
        line: node.line,
        name: short(code.cpg.name(id)),
        text: short(node.span.text(&code.source).unwrap_or_default()),
    })
}

fn signature(code: &ParsedCode) -> Option<cpg::Signature> {
    let signature = query::method_signature(&code.cpg, &code.source, None)?;
    let parameters = signature.parameters.into_iter().map(|parameter| cpg::Parameter {
        name: short(&parameter.name),
        type_name: parameter.type_.as_deref().map(short),
    });
    Some(cpg::Signature {
        name: short(&signature.name),
        parameters: bounded(parameters, |parameter| {
            parameter.name.len() + parameter.type_name.as_ref().map_or(0, String::len)
        }),
        return_type: signature.return_type.as_deref().map(short),
        modifiers: bounded(signature.modifiers.iter().map(|name| short(name)), String::len),
    })
}

/// Names of what is called, each once, no operators.
fn calls(graph: &Cpg) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = query::nodes_of(graph, NodeKind::Call)
        .map(|id| graph.name(id))
        .filter(|name| !name.is_empty() && !name.starts_with('<') && seen.insert(*name));
    bounded(names.map(short), String::len)
}

impl CallState {
    fn code(&self, graph: &Resource<GraphHandle>) -> Result<&Arc<ParsedCode>> {
        Ok(&self.graphs.get(graph)?.0)
    }

    /// Why this source cannot be parsed within the call's budget, if it cannot.
    fn over_parse_budget(&self, source: &str) -> Option<cpg::ParseError> {
        let limits = &self.limits;
        if source.len() > limits.parse_bytes {
            return Some(cpg::ParseError::TooLarge(
                u32::try_from(limits.parse_bytes).unwrap_or(u32::MAX),
            ));
        }
        if self.parsed_calls >= limits.parse_calls {
            let message = format!("one call may parse {} times", limits.parse_calls);
            return Some(cpg::ParseError::Exhausted(message));
        }
        if self.parsed_bytes + source.len() > limits.parse_bytes {
            let message = format!("one call may parse {} bytes", limits.parse_bytes);
            return Some(cpg::ParseError::Exhausted(message));
        }
        None
    }
}

impl cpg::Host for CallState {
    fn parse(
        &mut self,
        language: String,
        source: String,
    ) -> Result<std::result::Result<Resource<GraphHandle>, cpg::ParseError>> {
        if let Some(error) = self.over_parse_budget(&source) {
            return Ok(Err(error));
        }
        self.parsed_calls += 1;
        self.parsed_bytes += source.len();
        let Some(parser) = &self.parser else {
            let message = format!("`{}` has no access to graphs; `prepare` and `score` have", self.call);
            return Ok(Err(cpg::ParseError::Failed(message)));
        };
        let begun = thread_time();
        let parsed = parser.parse(&language, &source);
        self.parsing += thread_time().saturating_sub(begun);
        match parsed {
            Ok(code) => Ok(Ok(self.graphs.push(GraphHandle(code))?)),
            Err(error @ ParseFailure::UnknownLanguage { .. }) => {
                Ok(Err(cpg::ParseError::UnknownLanguage(error.to_string())))
            }
            Err(error @ ParseFailure::Failed { .. }) => Ok(Err(cpg::ParseError::Failed(error.to_string()))),
        }
    }
}

impl cpg::HostGraph for CallState {
    fn node_count(&mut self, graph: Resource<GraphHandle>) -> Result<u32> {
        let nodes = self.code(&graph)?.cpg.nodes().len();
        Ok(u32::try_from(nodes).unwrap_or(u32::MAX))
    }

    fn node(&mut self, graph: Resource<GraphHandle>, id: NodeId) -> Result<Option<cpg::Node>> {
        Ok(node(self.code(&graph)?, id))
    }

    fn nodes(&mut self, graph: Resource<GraphHandle>, kind: cpg::NodeKind) -> Result<Vec<cpg::Node>> {
        let code = self.code(&graph)?;
        let nodes = query::nodes_of(&code.cpg, node_kind_from_wit(kind)).filter_map(|id| node(code, id));
        Ok(bounded(nodes, |node| node.name.len() + node.text.len()))
    }

    fn successors(&mut self, graph: Resource<GraphHandle>, node: NodeId, edge: cpg::EdgeKind) -> Result<Vec<NodeId>> {
        let code = self.code(&graph)?;
        let nodes = query::successors(&code.cpg, node, edge_kind_from_wit(edge));
        Ok(bounded(nodes, |_| size_of::<NodeId>()))
    }

    fn predecessors(&mut self, graph: Resource<GraphHandle>, node: NodeId, edge: cpg::EdgeKind) -> Result<Vec<NodeId>> {
        let edges = self.code(&graph)?.cpg.edges_of(edge_kind_from_wit(edge)).iter();
        let nodes = edges.filter(|edge| edge.target == node).map(|edge| edge.source);
        Ok(bounded(nodes, |_| size_of::<NodeId>()))
    }

    fn method_signature(&mut self, graph: Resource<GraphHandle>) -> Result<Option<cpg::Signature>> {
        Ok(signature(self.code(&graph)?))
    }

    fn calls(&mut self, graph: Resource<GraphHandle>) -> Result<Vec<String>> {
        Ok(calls(&self.code(&graph)?.cpg))
    }

    fn diagnostics(&mut self, graph: Resource<GraphHandle>) -> Result<Vec<cpg::ParseDiagnostic>> {
        let diagnostics = self.code(&graph)?.cpg.diagnostics().iter();
        let diagnostics = diagnostics.map(|diagnostic| cpg::ParseDiagnostic {
            line: diagnostic.line,
            message: short(&diagnostic.message),
        });
        Ok(bounded(diagnostics, |diagnostic| diagnostic.message.len()))
    }

    fn drop(&mut self, graph: Resource<GraphHandle>) -> Result<()> {
        self.graphs.delete(graph)?;
        Ok(())
    }
}
