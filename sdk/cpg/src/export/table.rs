//! A table for people: one line a node, one line an edge.

use std::fmt::Write as _;

use super::{short_code, shown};
use crate::{Cpg, EdgeKind, NodeId};

/// The graph as a table: nodes indented by their depth, then the edges other than AST (which the indentation shows), then what the
/// front end had to say.
pub fn table(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> String {
    let mut out = String::new();
    let mut depths = vec![0_usize; cpg.nodes().len()];
    // Indentation beyond this would push the code out of any terminal.
    const DEEPEST_INDENT: usize = 24;
    let _ = writeln!(out, "{:>5} {:>5}  node", "id", "line");
    for (node, id) in cpg.nodes().iter().zip(0 as NodeId..) {
        let depth = cpg.parent(id).map_or(0, |parent| depths[parent as usize] + 1);
        depths[id as usize] = depth;
        let indent = 2 * depth.min(DEEPEST_INDENT);
        let name = Some(cpg.name(id))
            .filter(|name| !name.is_empty())
            .map(|name| format!(" {}", name.escape_debug()));
        let (name, code) = (name.unwrap_or_default(), short_code(cpg, source, id));
        let _ = writeln!(
            out,
            "{id:>5} {line:>5}  {:indent$}{kind}{name}  `{code}`",
            "",
            line = node.line,
            kind = node.kind
        );
    }
    let mut edges = shown(cpg, kinds).filter(|edge| edge.kind != EdgeKind::Ast).peekable();
    if edges.peek().is_some() {
        let _ = writeln!(out, "\n{:<14} {:>5}    {:<5}  source -> target", "edge", "from", "to");
    }
    for edge in edges {
        let (kind, source_id, target_id) = (edge.kind.name(), edge.source, edge.target);
        let (from, to) = (short_code(cpg, source, source_id), short_code(cpg, source, target_id));
        let label = Some(cpg.label(edge))
            .filter(|label| !label.is_empty())
            .map(|label| format!("  [{label}]"));
        let label = label.unwrap_or_default();
        let _ = writeln!(
            out,
            "{kind:<14} {source_id:>5} -> {target_id:<5}  `{from}` -> `{to}`{label}"
        );
    }
    if !cpg.diagnostics().is_empty() {
        out.push('\n');
    }
    for diagnostic in cpg.diagnostics() {
        let (severity, line) = (diagnostic.severity.name(), diagnostic.line);
        let _ = writeln!(out, "{severity}: line {line}: {}", diagnostic.message);
    }
    out
}
