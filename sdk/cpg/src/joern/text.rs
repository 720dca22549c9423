//! The graph as text.

use std::fmt::Write as _;

use serde_json::json;

use super::{JoernEdge, JoernGraph};
use crate::EdgeKind;

impl JoernGraph {
    /// One line of JSON: `{"nodes": [{"id", "kind", "name", "code", "line", "column"}], "edges": [{"source", "target", "kind",
    /// "variable"}]}` with the edges of the kinds given.
    pub fn json(&self, kinds: &[EdgeKind]) -> String {
        let nodes = self.nodes.iter().enumerate().map(|(id, node)| {
            json!({"id": id, "kind": node.kind.name(), "name": node.name, "code": node.code, "line": node.line, "column": node.column})
        });
        let edges = self.edges_of(kinds).map(|edge| {
            let JoernEdge {
                kind,
                source,
                target,
                variable,
            } = edge;
            json!({"source": source, "target": target, "kind": kind.name(), "variable": variable})
        });
        json!({"nodes": nodes.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>()}).to_string()
    }

    /// The edges of the kinds given, one a line, their ends by [`JoernGraph::names`].
    pub fn table(&self, kinds: &[EdgeKind]) -> String {
        let names = self.names();
        let mut out = String::new();
        for JoernEdge {
            kind,
            source,
            target,
            variable,
        } in self.edges_of(kinds)
        {
            let label = if variable.is_empty() {
                String::new()
            } else {
                format!("  [{variable}]")
            };
            let (from, to) = (&names[*source], &names[*target]);
            let _ = writeln!(out, "{:<14} `{from}` -> `{to}`{label}", kind.name());
        }
        out
    }

    fn edges_of<'a>(&'a self, kinds: &'a [EdgeKind]) -> impl Iterator<Item = &'a JoernEdge> {
        self.edges.iter().filter(|edge| kinds.contains(&edge.kind))
    }
}
