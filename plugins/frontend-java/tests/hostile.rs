//! Input that no one writes on purpose: always a graph with diagnostics, or a named error, in bounded time.

use std::time::{Duration, Instant};

use abi_stable::std_types::RSlice;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_conformance::check_flow;
use transducer_frontend::cpg::{Cpg, EdgeKind, NodeKind, Severity, query};
use transducer_frontend::{FrontEnd as _, ParseError, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

/// Long enough for a slow, busy machine; what is quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(30);

fn graph(source: &str) -> Cpg {
    let start = Instant::now();
    let limits = ParseLimits {
        max_millis: u32::MAX,
        ..ParseLimits::DEFAULT
    };
    let graph = JavaFrontEnd::parse(source, &limits).unwrap_or_else(|error| panic!("{error}: {source:.100}"));
    assert_eq!(graph.check_source(source), Ok(()), "{source:.100}");
    assert!(start.elapsed() < PATIENCE, "{:?} for {source:.100}", start.elapsed());
    graph
}

#[test]
fn nothing_is_a_graph_of_a_file() {
    for source in ["", " ", "\r\n", "\u{feff}", "// only a comment"] {
        assert_eq!(graph(source).nodes()[0].kind, NodeKind::File, "{source:?}");
    }
    assert_eq!(graph("").nodes().len(), 1);
}

#[test]
fn something_is_left_of_any_code() {
    let sources = [
        "|||||||void m(int a) { use(a); } } void n() { b(); }",
        "======= void m(int a) { use(a);",
        "```java void m() {",
        "# void m() {",
    ];
    for source in sources {
        assert!(graph(source).nodes().len() > 1, "{source}");
    }
}

#[test]
fn strange_characters_are_kept_in_place() {
    let graph = graph("int m(int größe) { return größe + \u{0} '\u{1F600}'; } \u{0}\u{0}");
    assert!(!graph.diagnostics().is_empty(), "the NULs are reported");
    assert_eq!(query::find_methods_named(&graph, "m").len(), 1);
}

#[test]
fn what_is_not_utf_8_is_refused_by_name() {
    let bytes = b"int m() { return '\xe9'; }";
    let parsed = transducer_frontend::parse::<JavaFrontEnd>(RSlice::from_slice(bytes), ParseLimits::DEFAULT);
    assert_eq!(parsed.into_result(), Err(ParseError::NotUtf8 { valid_up_to: 18 }));
}

#[test]
fn line_endings_do_not_matter() {
    let source = "int m(int a) {\n  // why\n  if (a > 0)\n    return a;\n  return 0;\n}\n";
    let shape = |source: &str| {
        let graph = graph(source);
        let nodes: Vec<_> = graph.nodes().iter().map(|node| (node.kind, node.line)).collect();
        (nodes, graph.edges().to_vec())
    };
    assert_eq!(shape(source), shape(&source.replace('\n', "\r\n")));
}

#[test]
fn nesting_is_bounded_by_memory_alone() {
    const DEPTH: usize = 10_000;
    let nested = |open: &str, core: &str, close: &str| {
        format!(
            "void m(int a) {{ x = {}{core}{}; }}",
            open.repeat(DEPTH),
            close.repeat(DEPTH)
        )
    };
    let sources = [
        nested("(", "a", ")"),
        nested("f(", "a", ")"),
        nested("a + (", "1", ")"),
        nested("x -> ", "a", ""),
        nested("-", "a", ""),
        format!("void m(int a) {}{}", "{ if (a > 0) ".repeat(DEPTH), "}".repeat(DEPTH)),
        format!(
            "void m(int a) {{ {} a(); {} }}",
            "while (a > 0) { ".repeat(DEPTH),
            "}".repeat(DEPTH)
        ),
        format!("void m(int a) {{ {} a(); }}", "if (a > 0) ; else ".repeat(DEPTH)),
        format!("{}{}", "class A { ".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("int m() {{ return a{}; }}", ".b".repeat(DEPTH)),
        "(".repeat(DEPTH),
        "{".repeat(DEPTH),
        "}".repeat(DEPTH),
    ];
    for source in sources {
        graph(&source);
    }
}

#[test]
fn a_long_method_takes_time_in_proportion() {
    let method = |lines: usize| {
        let body: String = (0..lines)
            .map(|i| format!("  if (v{} > {i}) v{} = v{} + {i};\n", i % 50, i % 50, (i + 1) % 50))
            .collect();
        format!("void m() {{\n{body}}}\n")
    };
    let time = |source: &str| {
        let start = Instant::now();
        let graph = graph(source);
        assert!(!graph.edges_of(EdgeKind::ReachingDef).is_empty());
        start.elapsed()
    };
    time(&method(100));
    let (short, long) = (time(&method(1_000)), time(&method(10_000)));
    // Ten times the lines. Uses see the definitions of all branches before them, so that the answer itself grows with
    // the square here; what is looked for is a cube.
    assert!(
        long < short * 1000 + Duration::from_secs(1),
        "{short:?} for 1,000 lines, {long:?} for 10,000"
    );
}

#[test]
fn limits_are_said_when_they_are_hit() {
    let source = "int m(int a) { return a + a + a + a; }";
    let parse = |limits: ParseLimits| JavaFrontEnd::parse(source, &limits);
    let errors = |graph: &Cpg| {
        graph
            .diagnostics()
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .count()
    };

    let few_nodes = parse(ParseLimits {
        max_nodes: 8,
        ..ParseLimits::DEFAULT
    })
    .unwrap();
    assert_eq!((few_nodes.nodes().len(), errors(&few_nodes)), (8, 1));
    let few_edges = parse(ParseLimits {
        max_edges: 40,
        ..ParseLimits::DEFAULT
    })
    .unwrap();
    assert!(
        errors(&few_edges) == 1 && few_edges.edges_of(EdgeKind::Cfg).is_empty(),
        "{:?}",
        few_edges.diagnostics()
    );
    let too_long = parse(ParseLimits {
        max_bytes: 10,
        ..ParseLimits::DEFAULT
    });
    assert_eq!(
        too_long,
        Err(ParseError::TooLong {
            bytes: source.len() as u64,
            limit: 10
        })
    );
}

#[test]
fn time_is_limited() {
    let source = "void m() { int x = 1; x = x + 2; }\n".repeat(100_000);
    let limits = ParseLimits {
        max_millis: 20,
        ..ParseLimits::DEFAULT
    };
    let start = Instant::now();
    match JavaFrontEnd::parse(&source, &limits) {
        Err(ParseError::TimedOut { limit_millis: 20 }) => {}
        Ok(graph) => assert!(graph.diagnostics().iter().any(|one| one.severity == Severity::Error)),
        Err(other) => panic!("{other}"),
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let source =
        "class A { int f(int a) { try { return g(a); } catch (B | C e) { throw e; } finally { h(() -> a); } } }";
    let bytes = || transducer_frontend::cpg::wire::encode(&graph(source));
    assert_eq!(bytes(), bytes());
}

#[test]
fn damaged_code_keeps_the_rules() {
    const ROUNDS: usize = 40;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/java");
    let sources = transducer_conformance::sources(&folder);
    let tokens = [
        "{", "}", "(", ")", ";", "<", ">", "\"", "'", "/*", "//", "case", "->", "try", "finally", "...", "=", "é",
        "class",
    ];
    let mut random = StdRng::seed_from_u64(3);
    for source in &sources {
        check_flow(&graph(source), source);
        for _ in 0..ROUNDS {
            let mut source = source.to_owned();
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
            check_flow(&graph(&source), &source);
        }
    }
}
