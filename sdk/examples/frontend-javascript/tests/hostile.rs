//! Input that no one writes on purpose: always a graph with diagnostics, or a named error, in bounded time.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_conformance::check_flow;
use transducer_frontend::cpg::{Cpg, NodeKind, Severity, wire};
use transducer_frontend::{FrontEnd as _, ParseError, ParseLimits};
use transducer_frontend_javascript::JavaScriptFrontEnd;

/// Long enough for a slow, busy machine; what is quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(30);

fn graph(source: &str) -> Cpg {
    let start = Instant::now();
    let limits = ParseLimits {
        max_millis: u32::MAX,
        ..ParseLimits::DEFAULT
    };
    let graph = JavaScriptFrontEnd::parse(source, &limits).unwrap_or_else(|error| panic!("{error}: {source:.100}"));
    assert_eq!(graph.check_source(source), Ok(()), "{source:.100}");
    assert!(start.elapsed() < PATIENCE, "{:?} for {source:.100}", start.elapsed());
    graph
}

#[test]
fn nothing_is_a_graph_of_a_file() {
    for source in ["", " ", "\r\n", "// only a comment", "#!/usr/bin/env node"] {
        assert_eq!(graph(source).nodes()[0].kind, NodeKind::File, "{source:?}");
    }
    assert_eq!(graph("").nodes().len(), 1);
}

#[test]
fn strange_characters_are_kept_in_place() {
    let graph = graph("function m(größe) { return größe + \u{0} '\u{1F600}'; } \u{0}\u{0}");
    assert!(!graph.diagnostics().is_empty(), "the NULs are reported");
}

#[test]
fn nesting_is_bounded_by_memory_alone() {
    const DEPTH: usize = 10_000;
    let nested = |open: &str, core: &str, close: &str| {
        format!(
            "function m(a) {{ x = {}{core}{}; }}",
            open.repeat(DEPTH),
            close.repeat(DEPTH)
        )
    };
    let sources = [
        nested("(", "a", ")"),
        nested("f(", "a", ")"),
        nested("[", "a", "]"),
        nested("a?.[", "0", "]"),
        nested("a => ", "a", ""),
        nested("`${", "a", "}`"),
        nested("!", "a", ""),
        format!("const {}a{} = b;", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("return a{};", "?.b".repeat(DEPTH)),
        format!("{}{}", "{ if (a) ".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("{}{}", "function f() { ".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("{}{}", "class A { m() { ".repeat(DEPTH / 2), "}".repeat(DEPTH)),
        format!("if (a) ; {}", "else if (a) ;".repeat(DEPTH)),
        "(".repeat(DEPTH),
        "{".repeat(DEPTH),
        "}".repeat(DEPTH),
    ];
    for source in sources {
        graph(&source);
    }
}

#[test]
fn limits_are_said_when_they_are_hit() {
    let source = "function m(a) { return a + a + a; }";
    let limits = ParseLimits::DEFAULT;
    let few_nodes = JavaScriptFrontEnd::parse(source, &ParseLimits { max_nodes: 8, ..limits }).unwrap();
    let is_error = |severity| severity == Severity::Error;
    assert_eq!(few_nodes.nodes().len(), 8);
    assert!(few_nodes.diagnostics().iter().any(|one| is_error(one.severity)));
    let too_long = JavaScriptFrontEnd::parse(
        source,
        &ParseLimits {
            max_bytes: 10,
            ..limits
        },
    );
    let bytes = source.len() as u64;
    assert_eq!(too_long, Err(ParseError::TooLong { bytes, limit: 10 }));
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let source = "class A { f(a) { try { return g(a); } catch (e) { throw e; } finally { h(() => a); } } }";
    assert_eq!(wire::encode(&graph(source)), wire::encode(&graph(source)));
}

#[test]
fn damaged_code_keeps_the_rules() {
    const ROUNDS: usize = 40;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/conformance/javascript");
    let tokens = [
        "{", "}", "(", ")", ";", "=>", "?.", "`", "${", "'", "/*", "/", "case", "try", "finally", "...", "=", "é",
        "class", "#x", "@d",
    ];
    let mut random = StdRng::seed_from_u64(3);
    for source in transducer_conformance::sources(&folder) {
        check_flow(&graph(&source), &source);
        for _ in 0..ROUNDS {
            let mut source = source.clone();
            for _ in 0..random.random_range(1..4) {
                let at = source.floor_char_boundary(random.random_range(0..=source.len()));
                let end = source.floor_char_boundary((at + random.random_range(0..12)).min(source.len()));
                let token = tokens[random.random_range(0..tokens.len())];
                match random.random_range(0..3) {
                    0 => source.replace_range(at..end, ""),
                    1 => source.insert_str(at, token),
                    _ => source.replace_range(at..end, token),
                }
            }
            let graph = graph(&source);
            check_flow(&graph, &source);
            assert!(
                graph.nodes().len() > 1 || !source.contains(char::is_alphanumeric),
                "{source}"
            );
        }
    }
}
