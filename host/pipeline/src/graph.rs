//! The graph of a piece of code on its own, for those who want to see what a transducer reads.

use transducer_cpg::{Cpg, EdgeKind, export};
use transducer_frontends::{FrontEnds, ParseFailure};

use crate::RequestError;

/// Most bytes of a graph in JSON: a source of some thousand lines with all its edges. Flows grow with the square of a source that is
/// made for it, and the answer would be ten thousand times as long as the question.
const MAX_JSON_BYTES: usize = 32 << 20;

/// A request for a graph.
#[derive(Clone, Debug)]
pub struct GraphRequest<'a> {
    /// The code's language, as front ends name it.
    pub language: &'a str,
    /// A file, or as little as half a line.
    pub code: &'a str,
    /// Edge kinds by their names in the CPG specification; none for those that are usual in the form.
    pub edges: &'a [String],
    /// What is made of it.
    pub form: GraphForm,
}

/// A graph written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphForm {
    /// One JSON object with every node.
    Json,
    /// A picture: statements, and what flows between them.
    Svg,
}

/// Parses, and writes the graph down.
pub(crate) fn draw(front_ends: &FrontEnds, request: &GraphRequest<'_>) -> Result<String, RequestError> {
    let rejected = |message: String| RequestError::Rejected(message);
    let named: Vec<EdgeKind> = request
        .edges
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, transducer_cpg::UnknownKind>>()
        .map_err(|error| rejected(format!("`edges`: {error}")))?;
    let kinds = match (named.as_slice(), request.form) {
        ([], GraphForm::Svg) => &[EdgeKind::Cfg, EdgeKind::Cdg, EdgeKind::ReachingDef],
        ([], GraphForm::Json) => EdgeKind::ALL,
        (named, _) => named,
    };
    let cpg = front_ends
        .parse(request.language, request.code)
        .map_err(|error| match error {
            ParseFailure::UnknownLanguage { .. } => rejected(format!("`language`: {error}")),
            _ => rejected(error.to_string()),
        })?;
    match request.form {
        GraphForm::Json if json_bytes(&cpg, request.code, kinds) > MAX_JSON_BYTES => Err(RequestError::LargeGraph {
            nodes: cpg.nodes().len(),
            most_bytes: MAX_JSON_BYTES,
        }),
        GraphForm::Json => export::json(&cpg, request.code, kinds).map_err(|error| rejected(error.to_string())),
        GraphForm::Svg => export::svg(&cpg, request.code, kinds).map_err(|error| rejected(error.to_string())),
    }
}

/// About how long a graph is in JSON, found out without writing it.
fn json_bytes(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> usize {
    /// The fields of a node and of an edge, with numbers of some digits.
    const NODE_BYTES: usize = 85;
    const EDGE_BYTES: usize = 45;
    /// Of a node's code, as [`export::json`] cuts it.
    const CODE_BYTES: usize = 2000;

    // How long the source is up to each byte, once it is quoted.
    let mut quoted = 0_usize;
    let mut quoted_to = vec![quoted];
    quoted_to.extend(source.bytes().map(|byte| {
        quoted += match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..0x20 => 6,
            _ => 1,
        };
        quoted
    }));
    let to = |byte: usize| quoted_to.get(byte).copied().unwrap_or(quoted);
    let nodes = cpg.nodes().iter().zip(0..).map(|(node, id)| {
        let (start, end) = (node.span.start as usize, node.span.end as usize);
        let code = to(end.min(start + CODE_BYTES)).saturating_sub(to(start));
        NODE_BYTES + node.kind.name().len() + cpg.name(id).len() + code
    });
    let edges = cpg.edges().iter().filter(|edge| kinds.contains(&edge.kind));
    let edges = edges.map(|edge| EDGE_BYTES + edge.kind.name().len() + cpg.label(edge).len());
    nodes.sum::<usize>() + edges.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NodeKind, NodeSpec, Span, export};

    use super::json_bytes;

    /// A flow from every statement to every other.
    fn graph(source: &str, statements: u32) -> Cpg {
        let mut builder = CpgBuilder::new("java", source.len()).unwrap();
        let name = builder.intern("total");
        for order in 1..=statements {
            let (kind, line) = (NodeKind::Identifier, order);
            let span = Span {
                start: 0,
                end: source.len() as u32,
            };
            builder.add(
                0,
                NodeSpec {
                    kind,
                    span,
                    line,
                    order,
                    name,
                },
            );
        }
        for (from, to) in (1..=statements).flat_map(|from| (1..=statements).map(move |to| (from, to))) {
            builder.labelled_edge(EdgeKind::ReachingDef, from, to, name);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn the_length_of_a_graph_is_known_before_it_is_written() {
        let control = "\u{1}".repeat(3000);
        for (source, statements, kinds) in [
            ("total += 1;", 300, EdgeKind::ALL),
            ("total += 1;", 300, &[EdgeKind::Cfg][..]),
            (control.as_str(), 40, EdgeKind::ALL),
        ] {
            let cpg = graph(source, statements);
            let found = json_bytes(&cpg, source, kinds);
            let written = export::json(&cpg, source, kinds).unwrap().len();
            assert!(
                (written * 3 / 4..written * 5 / 4).contains(&found),
                "{found} for {written}"
            );
        }
    }
}
