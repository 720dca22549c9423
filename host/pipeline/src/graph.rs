//! The graph of a piece of code on its own, for those who want to see what a transducer reads.

use transducer_cpg::{EdgeKind, export};
use transducer_frontends::{FrontEnds, ParseFailure};

use crate::RequestError;

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
        GraphForm::Json => export::json(&cpg, request.code, kinds).map_err(|error| rejected(error.to_string())),
        GraphForm::Svg => export::svg(&cpg, request.code, kinds).map_err(|error| rejected(error.to_string())),
    }
}
