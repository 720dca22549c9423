//! Runs a task natively, under plain `cargo test`: the JSON of requests, states and answers is real, the graphs are
//! made up by the test.
//!
//! ```
//! # use transducer_task::testing;
//! testing::graphs(|_language, _source| Ok(testing::FakeGraph::new().signature("size", &["int index"], Some("int"))));
//! ```

use std::cell::RefCell;

use crate::bindings::transducer::task::types;
use crate::cpg::{EdgeKind, Node, NodeKind, Parameter, ParseDiagnostic, ParseError, Signature};
use crate::export::parse_request;
use crate::prompt::Piece;
use crate::{Answer, Error, Judged, Metric, Prepared, Task};

type Parse = dyn Fn(&str, &str) -> Result<FakeGraph, ParseError>;

thread_local! {
    static PARSE: RefCell<Option<Box<Parse>>> = const { RefCell::new(None) };
}

/// From now on, `cpg::parse` on this thread gives what `parse` gives. Before, every source has an empty graph.
pub fn graphs(parse: impl Fn(&str, &str) -> Result<FakeGraph, ParseError> + 'static) {
    PARSE.set(Some(Box::new(parse)));
}

/// What a made-up graph answers.
#[derive(Clone, Debug, Default)]
pub struct FakeGraph {
    signature: Option<Signature>,
    calls: Vec<String>,
    diagnostics: Vec<ParseDiagnostic>,
    nodes: Vec<Node>,
    edges: Vec<(u32, EdgeKind, u32)>,
}

impl FakeGraph {
    /// A graph of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The head of the method. A parameter is `type name`, or a bare name.
    #[must_use]
    pub fn signature(mut self, name: &str, parameters: &[&str], return_type: Option<&str>) -> Self {
        let parameter = |text: &&str| match text.rsplit_once(' ') {
            Some((type_name, name)) => Parameter {
                name: name.to_owned(),
                type_name: Some(type_name.to_owned()),
            },
            None => Parameter {
                name: (*text).to_owned(),
                type_name: None,
            },
        };
        self.signature = Some(Signature {
            name: name.to_owned(),
            parameters: parameters.iter().map(parameter).collect(),
            return_type: return_type.map(str::to_owned),
            modifiers: Vec::new(),
        });
        self
    }

    /// What is called.
    #[must_use]
    pub fn calls(mut self, names: &[&str]) -> Self {
        self.calls = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// A remark of the parser.
    #[must_use]
    pub fn diagnostic(mut self, line: u32, message: &str) -> Self {
        self.diagnostics.push(ParseDiagnostic {
            line,
            message: message.to_owned(),
        });
        self
    }

    /// A node; its number is its place.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// An edge between two nodes.
    #[must_use]
    pub fn edge(mut self, source: u32, kind: EdgeKind, target: u32) -> Self {
        self.edges.push((source, kind, target));
        self
    }
}

/// What [`crate::cpg::Graph`] holds outside of WebAssembly.
#[derive(Debug)]
pub(crate) struct Graph {
    source: String,
    fake: FakeGraph,
}

pub(crate) fn parse(language: &str, source: &str) -> Result<Graph, ParseError> {
    let fake = PARSE.with_borrow(|parse| match parse {
        Some(parse) => parse(language, source),
        None => Ok(FakeGraph::new()),
    })?;
    Ok(Graph {
        source: source.to_owned(),
        fake,
    })
}

impl Graph {
    pub(crate) fn node_count(&self) -> u32 {
        u32::try_from(self.fake.nodes.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn node(&self, id: u32) -> Option<Node> {
        self.fake.nodes.get(id as usize).cloned()
    }

    pub(crate) fn nodes(&self, kind: NodeKind) -> Vec<Node> {
        self.fake
            .nodes
            .iter()
            .filter(|node| node.kind == kind)
            .cloned()
            .collect()
    }

    pub(crate) fn successors(&self, node: u32, edge: EdgeKind) -> Vec<u32> {
        let edges = self.fake.edges.iter();
        edges
            .filter(|(from, kind, _)| (*from, *kind) == (node, edge))
            .map(|(_, _, to)| *to)
            .collect()
    }

    pub(crate) fn predecessors(&self, node: u32, edge: EdgeKind) -> Vec<u32> {
        let edges = self.fake.edges.iter();
        edges
            .filter(|(_, kind, to)| (*to, *kind) == (node, edge))
            .map(|(from, _, _)| *from)
            .collect()
    }

    pub(crate) fn method_signature(&self) -> Option<Signature> {
        self.fake.signature.clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.fake.calls.clone()
    }

    pub(crate) fn diagnostics(&self) -> Vec<ParseDiagnostic> {
        self.fake.diagnostics.clone()
    }
}

/// A prompt as a test looks at it.
#[derive(Clone, Debug)]
pub struct TestPrompt {
    /// The system turn.
    pub system: Option<String>,
    /// The user's turn as one text.
    pub user: String,
    /// The sources of the code segments, in order.
    pub code: Vec<String>,
    /// How the reply begins.
    pub reply_start: Option<String>,
    /// After how many tokens the reply is cut.
    pub max_new_tokens: u32,
    /// Before which strings the reply ends.
    pub stop: Vec<String>,
}

/// Calls `prepare` with a request, a JSON text.
///
/// # Errors
/// As the task's: also for JSON that is no request of it.
pub fn prepare<T: Task>(request: &str) -> Result<TestPrompt, Error> {
    let Prepared {
        system,
        prompt,
        reply_start,
        decoding,
        ..
    } = T::prepare(parse_request::<T>(request)?)?;
    let types::Decoding {
        max_new_tokens, stop, ..
    } = decoding.0;
    let (mut user, mut code) = (String::new(), Vec::new());
    for piece in prompt.segments {
        match piece {
            Piece::Text(text) => user.push_str(&text),
            Piece::Code(graph) => {
                user.push_str(&graph.0.source);
                code.push(graph.0.source);
            }
        }
    }
    Ok(TestPrompt {
        system,
        user,
        code,
        reply_start,
        max_new_tokens,
        stop,
    })
}

/// Calls `prepare` with a request, and `finish` with the state that it gave and a reply that the test makes up.
///
/// # Errors
/// As the task's.
pub fn answer<T: Task>(request: &str, generated: &str) -> Result<Answer<T::Data>, Error> {
    T::finish(read_state::<T>(&state::<T>(request)?)?, generated)
}

/// Calls `prepare` with a request, `finish` with a reply that the test makes up, and `score` with the answer and a reference:
/// the score by each metric's name.
///
/// # Errors
/// As the task's; and where the scores are not what a host takes.
pub fn score<T: Task>(request: &str, generated: &str, reference: &str) -> Result<Vec<(String, f64)>, Error> {
    let state = state::<T>(request)?;
    let answer = T::finish(read_state::<T>(&state)?, generated)?;
    let codes = answer.codes().into_iter().map(str::to_owned).collect();
    let data = serde_json::to_string(&answer.data);
    let judged = Judged {
        data: data.map_err(|error| Error::Internal(format!("cannot write the data: {error}")))?,
        codes,
        answer: answer.text,
        reference: reference.to_owned(),
    };
    let scores = T::score(read_state::<T>(&state)?, &judged)?;
    let metrics = T::metrics();
    if scores.len() != metrics.len() || !scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        let message = format!("the scores are {scores:?}: expected {} from 0 to 1", metrics.len());
        return Err(Error::Internal(message));
    }
    Ok(metrics
        .into_iter()
        .map(|Metric { name, .. }| name)
        .zip(scores)
        .collect())
}

/// What `prepare` hands on, as it crosses to the host and back.
fn state<T: Task>(request: &str) -> Result<Vec<u8>, Error> {
    let prepared = T::prepare(parse_request::<T>(request)?)?;
    serde_json::to_vec(&prepared.state).map_err(|error| Error::Internal(format!("the state: {error}")))
}

fn read_state<T: Task>(state: &[u8]) -> Result<T::State, Error> {
    serde_json::from_slice(state).map_err(|error| Error::Internal(format!("the state: {error}")))
}

/// Checks what the task says about itself: that the schemas are JSON objects, and that it accepts its own examples.
///
/// # Errors
/// What is wrong, in words.
pub fn check_description<T: Task>() -> Result<(), String> {
    let info = T::describe();
    for (what, schema) in [("request", &info.request_schema), ("answer", &info.answer_schema)] {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema)
            .map_err(|error| format!("the {what} schema is no JSON object: {error}"))?;
    }
    for (title, request, _) in &info.examples {
        prepare::<T>(request).map_err(|error| format!("example {title:?} is refused: {error}"))?;
    }
    Ok(())
}
