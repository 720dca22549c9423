//! What fuzzers hold a front end to, and the doors of the host.

pub mod doors;
#[cfg(feature = "sandbox")]
pub mod requests;

use std::time::{Duration, Instant};

use transducer_frontend::{FrontEnd, ParseError, ParseLimits};

/// What an input of the size that fuzzers try may take, instrumented and on a busy machine. What is quadratic takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Parses an input and checks the rules of every graph.
///
/// # Panics
/// Where one does not hold.
pub fn check<F: FrontEnd>(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // The cases of the corpus are seeds: what they expect is no code.
    let source = text.split("\n---\n").next().unwrap_or_default();
    let start = Instant::now();
    let graph = match F::parse(source, &ParseLimits::DEFAULT) {
        Ok(graph) => graph,
        Err(ParseError::TimedOut { limit_millis }) => panic!("took longer than {limit_millis} ms"),
        Err(error) => panic!("{error}"),
    };
    assert!(start.elapsed() < PATIENCE, "took {:?}", start.elapsed());
    assert_eq!(graph.check_source(source), Ok(()));
    transducer_conformance::check_flow(&graph, source);
    let has_token = source.contains(char::is_alphanumeric);
    assert!(!has_token || graph.nodes().len() > 1, "an empty graph of some code");
}
