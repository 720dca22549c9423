//! Input that no one writes on purpose: always a graph with diagnostics, or a named error, in bounded time.

use std::time::{Duration, Instant};

use abi_stable::std_types::RSlice;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_conformance::check_flow;
use transducer_frontend::cpg::{Cpg, EdgeKind, NodeKind, Severity, query};
use transducer_frontend::{FrontEnd as _, ParseError, ParseLimits};
use transducer_frontend_python::PythonFrontEnd;

/// Long enough for a slow, busy machine; what is quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(30);

fn graph(source: &str) -> Cpg {
    let start = Instant::now();
    let limits = ParseLimits {
        max_millis: u32::MAX,
        ..ParseLimits::DEFAULT
    };
    let graph = PythonFrontEnd::parse(source, &limits).unwrap_or_else(|error| panic!("{error}: {source:.100}"));
    assert_eq!(graph.check_source(source), Ok(()), "{source:.100}");
    assert!(start.elapsed() < PATIENCE, "{:?} for {source:.100}", start.elapsed());
    graph
}

#[test]
fn nothing_is_a_graph_of_a_file() {
    for source in ["", " ", "\r\n", "\u{feff}", "# only a comment", "\\\n", "\t\x0c\n"] {
        assert_eq!(graph(source).nodes()[0].kind, NodeKind::File, "{source:?}");
    }
    assert_eq!(graph("").nodes().len(), 1);
}

#[test]
fn what_has_a_token_has_a_node() {
    let fragments = [
        ")",
        "(",
        "]}",
        ":",
        "\"",
        "'''",
        "\\",
        "@",
        "...",
        "def",
        "def f(a",
        "class A(B",
        "for x in",
        "x =",
        "<A>",
        "else",
        "\0",
        "$",
    ];
    for source in fragments {
        assert!(graph(source).nodes().len() > 1, "{source:?}");
    }
}

#[test]
fn strange_characters_are_kept_in_place() {
    let graph = graph("def m(größe):\n    return größe + '\u{0} \u{1F600}' \u{0}\n\u{0}\u{0}");
    assert!(!graph.diagnostics().is_empty(), "the NULs are reported");
    assert_eq!(query::find_methods_named(&graph, "m").len(), 1);
}

#[test]
fn what_is_not_utf_8_is_refused_by_name() {
    let bytes = b"def m(): return '\xe9'";
    let parsed = transducer_frontend::parse::<PythonFrontEnd>(RSlice::from_slice(bytes), ParseLimits::DEFAULT);
    assert_eq!(parsed.into_result(), Err(ParseError::NotUtf8 { valid_up_to: 17 }));
}

/// Kinds and lines of the nodes, and the edges.
fn shape(source: &str) -> (Vec<(NodeKind, u32)>, Vec<transducer_frontend::cpg::Edge>) {
    let graph = graph(source);
    let nodes = graph.nodes().iter().map(|node| (node.kind, node.line)).collect();
    (nodes, graph.edges().to_vec())
}

const SMALL: &str = "def m(a):\n    # why\n    if a > 0:\n        return (a +\n            1)\n    return 0\n";

#[test]
fn line_endings_do_not_matter() {
    assert_eq!(shape(SMALL), shape(&SMALL.replace('\n', "\r\n")));
}

#[test]
fn the_indentation_around_does_not_matter() {
    let indented = |indent: &str| -> String { SMALL.lines().map(|line| format!("{indent}{line}\n")).collect() };
    assert_eq!(shape(SMALL), shape(&indented("    ")));
    assert_eq!(shape(SMALL), shape(&indented("\t")));
    assert_eq!(shape(SMALL), shape(&SMALL.replace("    ", "\t")));
}

#[test]
fn nesting_is_bounded_by_memory_alone() {
    const DEPTH: usize = 10_000;
    let nested = |open: &str, core: &str, close: &str| {
        format!(
            "def m(a):\n    x = {}{core}{}\n",
            open.repeat(DEPTH),
            close.repeat(DEPTH)
        )
    };
    // Each level one column deeper: as deep as a text of a few megabytes can be.
    let blocks = |head: &str, depth: usize| -> String {
        let lines = (0..depth).map(|depth| format!("{}{head}\n", " ".repeat(depth)));
        lines.chain([format!("{}a()\n", " ".repeat(depth))]).collect()
    };
    let sources = [
        nested("(", "a", ")"),
        nested("[", "a", "]"),
        nested("f(", "a", ")"),
        nested("a + (", "1", ")"),
        nested("lambda: ", "a", ""),
        nested("not ", "a", ""),
        nested("-", "a", ""),
        nested("a if b else ", "a", ""),
        nested("a < ", "a", ""),
        nested("a = ", "a", ""),
        nested("[x for x in ", "a", "]"),
        nested("a and ", "a", ""),
        nested("a ** ", "a", ""),
        blocks("if a:", 1_000),
        blocks("def f():", 1_000),
        blocks("class A:", 1_000),
        blocks("try:", 1_000),
        blocks("for a in a:", 1_000),
        blocks("with a:", 1_000),
        format!("if a:\n  pass\n{}", "elif a:\n  pass\n".repeat(DEPTH)),
        format!("def m():\n  return a{}\n", ".b".repeat(DEPTH)),
        format!("match a:\n  case {}: pass\n", ["1"; DEPTH].join(" | ")),
        format!("match a:\n  case {}x{}: pass\n", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        "(".repeat(DEPTH),
        ")".repeat(DEPTH),
        "([{".repeat(DEPTH),
        "([".repeat(DEPTH) + &")".repeat(DEPTH),
        "'''\"\"\"".repeat(DEPTH),
        "if a\n".repeat(DEPTH),
        "@a\n".repeat(DEPTH),
        "f'{".repeat(DEPTH),
    ];
    for source in sources {
        graph(&source);
    }
}

/// Of such texts the grammar's scanner makes the process end.
#[test]
fn depth_with_strings_is_refused_by_name() {
    let blocks: String = (0..512).map(|depth| format!("{}if a:\n", " ".repeat(depth))).collect();
    for core in ["f(\"a\")\n", &"f'{".repeat(253), "x = '''\n"] {
        let text = format!("{blocks}{}{core}", " ".repeat(512));
        let parsed = PythonFrontEnd::parse(&text, &ParseLimits::DEFAULT);
        let Err(ParseError::Failed { message }) = parsed else {
            panic!("a graph of what cannot be scanned");
        };
        assert!(message.contains("cut the source"), "{message}");
    }
}

#[test]
fn a_long_function_takes_time_in_proportion() {
    let function = |lines: usize| {
        let body: String = (0..lines)
            .map(|i| format!("  if v{} > {i}: v{} = v{} + {i}\n", i % 50, i % 50, (i + 1) % 50))
            .collect();
        format!("def m():\n{body}")
    };
    let time = |source: &str| {
        let start = Instant::now();
        let graph = graph(source);
        assert!(!graph.edges_of(EdgeKind::ReachingDef).is_empty());
        start.elapsed()
    };
    time(&function(100));
    let (short, long) = (time(&function(1_000)), time(&function(10_000)));
    // Ten times the lines. Uses see the definitions of all branches before them, so that the answer itself grows with the
    // square here; what is looked for is a cube.
    assert!(
        long < short * 1000 + Duration::from_secs(1),
        "{short:?} for 1,000 lines, {long:?} for 10,000"
    );
}

#[test]
fn a_long_module_takes_time_in_proportion() {
    // Functions that read and write what the module has, and are called in it.
    let functions: String = (0..4_000)
        .map(|i| {
            format!(
                "def f{i}(a):\n  global n\n  n = n + a + c{}\n  return f{}(n)\nc{i} = f{i}(1)\n",
                i / 2,
                i / 3
            )
        })
        .collect();
    let classes: String = (0..4_000)
        .map(|i| {
            format!("class A{i}:\n  x = 1\n  def f(self):\n    return self.g(x)\n  def g(self, a): return A{i}()\n")
        })
        .collect();
    graph(&functions);
    graph(&classes);
}

#[test]
fn limits_are_said_when_they_are_hit() {
    let source = "def m(a): return a + a + a + a";
    let parse = |limits: ParseLimits| PythonFrontEnd::parse(source, &limits);
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
    let (bytes, limit) = (source.len() as u64, 10);
    assert_eq!(too_long, Err(ParseError::TooLong { bytes, limit }));
}

#[test]
fn time_is_limited() {
    let source = "def m():\n  x = 1\n  x = x + 2\n".repeat(100_000);
    let limits = ParseLimits {
        max_millis: 20,
        ..ParseLimits::DEFAULT
    };
    let start = Instant::now();
    match PythonFrontEnd::parse(&source, &limits) {
        Err(ParseError::TimedOut { limit_millis: 20 }) => {}
        Ok(graph) => assert!(graph.diagnostics().iter().any(|one| one.severity == Severity::Error)),
        Err(other) => panic!("{other}"),
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let source = "class A:\n  def f(self, a=[]):\n    try:\n      return self.g(lambda: a)\n    except (B, C) as e:\n      raise\n";
    let bytes = || transducer_frontend::cpg::wire::encode(&graph(source));
    assert_eq!(bytes(), bytes());
}

#[test]
fn damaged_code_keeps_the_rules() {
    const ROUNDS: usize = 40;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/python");
    let tokens = [
        "(", ")", "[", "]", "{", "}", ":", ",", "\"", "'''", "#", "case", "lambda", "try:", "finally:", "...", "=",
        "é", "class", "\n", "\n    ", "\t", "@", "*", "yield", "\\\n", "async", "f\"{", "\0",
    ];
    let mut random = StdRng::seed_from_u64(3);
    for source in &transducer_conformance::sources(&folder) {
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
