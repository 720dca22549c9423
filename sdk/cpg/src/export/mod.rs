//! The graph as text: [`table`] for people, [`json`] for programs, [`dot`] for Graphviz, [`graphml`] for graph tools, and with
//! the feature `svg` a picture, `svg`.
//!
//! Each takes the source that the graph was made of and the edge kinds to show ([`EdgeKind::ALL`] for every one).

mod dot;
mod graphml;
mod json;
#[cfg(feature = "svg")]
mod svg;
mod table;

pub use dot::dot;
pub use graphml::graphml;
pub use json::json;
#[cfg(feature = "svg")]
pub use svg::{MAX_BOXES, SvgError, svg};
pub use table::table;

use crate::{Cpg, Edge, EdgeKind, NodeId};

/// Characters of a node's code that a picture or a table shows: about what fits beside the other columns on one line.
const CODE_SHOWN: usize = 60;

/// Bytes of a node's code in JSON and GraphML. Ancestors repeat the code of what they contain: without a limit, deep nesting
/// makes the output quadratic in the source.
const CODE_BYTES: usize = 2000;

/// A node's code on one line, cut after [`CODE_SHOWN`] characters.
fn short_code(cpg: &Cpg, source: &str, node: NodeId) -> String {
    let code = cpg
        .node(node)
        .and_then(|node| node.span.text(source))
        .unwrap_or_default();
    on_one_line(code)
}

/// Text on one line, cut after [`CODE_SHOWN`] characters.
fn on_one_line(code: &str) -> String {
    // No line of words needs more than its characters and the blanks between them: look no further.
    let mut words = code.split_whitespace();
    let mut line = String::new();
    for word in words.by_ref() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(CODE_SHOWN) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

/// A node's code for programs, cut after [`CODE_BYTES`] bytes at most; its span tells the whole.
fn code<'a>(cpg: &Cpg, source: &'a str, node: NodeId) -> &'a str {
    let code = cpg
        .node(node)
        .and_then(|node| node.span.text(source))
        .unwrap_or_default();
    &code[..code.floor_char_boundary(CODE_BYTES)]
}

fn shown<'a>(cpg: &'a Cpg, kinds: &'a [EdgeKind]) -> impl Iterator<Item = &'a Edge> {
    cpg.edges().iter().filter(|edge| kinds.contains(&edge.kind))
}

/// Text as XML character data. Carriage returns as references, so that a reader does not normalize them away.
fn escaped_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

/// Distinguishable on white, also with the common colour-vision deficiencies: the palette of Okabe and Ito where it reaches.
const fn colour(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Ast => "#999999",
        EdgeKind::Cfg => "#0072b2",
        EdgeKind::Cdg => "#d55e00",
        EdgeKind::ReachingDef => "#009e73",
        EdgeKind::Ref => "#cc79a7",
        EdgeKind::Argument => "#56b4e9",
        EdgeKind::Receiver => "#7b5ea7",
        EdgeKind::Condition => "#e69f00",
        EdgeKind::Call => "#000000",
        EdgeKind::Dominate => "#8c6d31",
        EdgeKind::PostDominate => "#637939",
        EdgeKind::NextToken => "#bbbbbb",
    }
}
