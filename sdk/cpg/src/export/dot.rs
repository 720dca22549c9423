//! Graphviz DOT.

use std::fmt::Write as _;

use super::{colour, short_code, shown};
use crate::{Cpg, EdgeKind, NodeId};

/// The graph in the DOT language, every edge kind in a colour of its own.
pub fn dot(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> String {
    let mut out = String::from("digraph cpg {\n  node [shape=box, fontname=\"monospace\"];\n");
    for (node, id) in cpg.nodes().iter().zip(0 as NodeId..) {
        let (kind, name) = (node.kind.name(), quoted(cpg.name(id)));
        let code = quoted(&short_code(cpg, source, id));
        let _ = writeln!(
            out,
            "  n{id} [label=\"{kind} {name}\\n{code}\\nline {line}\"];",
            line = node.line
        );
    }
    for edge in shown(cpg, kinds) {
        let (source_id, target_id, kind) = (edge.source, edge.target, edge.kind.name());
        let (colour, label) = (colour(edge.kind), quoted(cpg.label(edge)));
        let text = if label.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}: {label}")
        };
        let _ = writeln!(
            out,
            "  n{source_id} -> n{target_id} [label=\"{text}\", color=\"{colour}\", fontcolor=\"{colour}\"];"
        );
    }
    out.push_str("}\n");
    out
}

/// Text that is safe between the quotes of a DOT string: quotes and backslashes escaped, control characters dropped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}
