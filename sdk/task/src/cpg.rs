//! Code property graphs: read-only, held by the host.

pub use crate::bindings::transducer::task::cpg::{
    EdgeKind, Node, NodeKind, Parameter, ParseDiagnostic, ParseError, Signature,
};

#[cfg(target_arch = "wasm32")]
use crate::bindings::transducer::task::cpg as imp;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing as imp;

/// A parsed source text. It goes into a prompt with [`Prompt::code`](crate::Prompt::code).
#[derive(Debug)]
pub struct Graph(pub(crate) imp::Graph);

/// Parses a file, a class, a method, or a piece of any of these. Only [`Task::prepare`](crate::Task::prepare) and
/// [`Task::score`](crate::Task::score) may.
///
/// # Errors
/// [`ParseError`]; `?` turns it into an [`Error`](crate::Error). Broken code is no error: see [`Graph::diagnostics`].
pub fn parse(language: &str, source: &str) -> Result<Graph, ParseError> {
    imp::parse(language, source).map(Graph)
}

impl Graph {
    /// How many nodes there are.
    pub fn node_count(&self) -> u32 {
        self.0.node_count()
    }

    /// One node, if there is one of that number.
    pub fn node(&self, id: u32) -> Option<Node> {
        self.0.node(id)
    }

    /// The nodes of one kind, in the order of the source.
    pub fn nodes(&self, kind: NodeKind) -> Vec<Node> {
        self.0.nodes(kind)
    }

    /// Where the edges of one kind lead to from a node.
    pub fn successors(&self, node: u32, edge: EdgeKind) -> Vec<u32> {
        self.0.successors(node, edge)
    }

    /// Where the edges of one kind into a node come from.
    pub fn predecessors(&self, node: u32, edge: EdgeKind) -> Vec<u32> {
        self.0.predecessors(node, edge)
    }

    /// The head of the first method or function.
    pub fn method_signature(&self) -> Option<Signature> {
        self.0.method_signature()
    }

    /// The names of what is called, in the order of the source, each once; no operators.
    pub fn calls(&self) -> Vec<String> {
        self.0.calls()
    }

    /// What the parser has to say.
    pub fn diagnostics(&self) -> Vec<ParseDiagnostic> {
        self.0.diagnostics()
    }
}

impl From<ParseError> for crate::Error {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::UnknownLanguage(message) => crate::Error::InvalidRequest(message),
            ParseError::TooLarge(limit) => {
                crate::Error::InvalidRequest(format!("the code is too long: at most {limit} bytes can be parsed"))
            }
            ParseError::Exhausted(message) | ParseError::Failed(message) => crate::Error::Internal(message),
        }
    }
}
