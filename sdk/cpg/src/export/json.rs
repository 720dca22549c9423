//! JSON: `{"schema", "language", "nodes", "edges", "diagnostics"}`.

use serde::Serialize;

use super::{code, shown};
use crate::{Cpg, EdgeKind, NodeId, SCHEMA_VERSION};

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    language: &'a str,
    nodes: Vec<NodeEntry<'a>>,
    edges: Vec<EdgeEntry<'a>>,
    diagnostics: Vec<DiagnosticEntry<'a>>,
}

#[derive(Serialize)]
struct NodeEntry<'a> {
    id: NodeId,
    kind: &'static str,
    name: &'a str,
    code: &'a str,
    start: u32,
    end: u32,
    line: u32,
    order: u32,
}

#[derive(Serialize)]
struct EdgeEntry<'a> {
    source: NodeId,
    target: NodeId,
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

#[derive(Serialize)]
struct DiagnosticEntry<'a> {
    severity: &'static str,
    start: u32,
    end: u32,
    line: u32,
    message: &'a str,
}

/// The graph as one line of JSON: `{"schema", "language", "nodes": [{"id", "kind", "name", "code", "start", "end",
/// "line", "order"}], "edges": [{"source", "target", "kind", "label"?}], "diagnostics": [{"severity", "start", "end",
/// "line", "message"}]}`; offsets are bytes of the source, and the
/// code of a large node is cut (its offsets are not).
///
/// # Errors
/// None in practice: `serde_json` reports failures of types that this document does not have.
pub fn json(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> Result<String, serde_json::Error> {
    let nodes = cpg.nodes().iter().zip(0..).map(|(node, id)| NodeEntry {
        id,
        kind: node.kind.name(),
        name: cpg.name(id),
        code: code(cpg, source, id),
        start: node.span.start,
        end: node.span.end,
        line: node.line,
        order: node.order,
    });
    let edges = shown(cpg, kinds).map(|edge| EdgeEntry {
        source: edge.source,
        target: edge.target,
        kind: edge.kind.name(),
        label: cpg.label(edge),
    });
    let diagnostics = cpg.diagnostics().iter().map(|diagnostic| DiagnosticEntry {
        severity: diagnostic.severity.name(),
        start: diagnostic.span.start,
        end: diagnostic.span.end,
        line: diagnostic.line,
        message: &diagnostic.message,
    });
    serde_json::to_string(&Document {
        schema: SCHEMA_VERSION,
        language: cpg.language(),
        nodes: nodes.collect(),
        edges: edges.collect(),
        diagnostics: diagnostics.collect(),
    })
}
