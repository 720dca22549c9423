//! The corpus beside this folder, and input that no one writes on purpose.

use std::path::Path;

use transducer_conformance::{check_flow, check_folder, sources};
use transducer_frontend::cpg::{Cpg, NodeKind, Severity};
use transducer_frontend::{FrontEnd as _, ParseError, ParseLimits};
use transducer_frontend_lua::LuaFrontEnd;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// The graph of a source, held to the rules of every graph. No limit on time: a busy machine is no failure.
fn graph(source: &str) -> Cpg {
    let limits = ParseLimits {
        max_millis: u32::MAX,
        ..ParseLimits::DEFAULT
    };
    let graph = LuaFrontEnd::parse(source, &limits).unwrap_or_else(|error| panic!("{error}: {source:.100}"));
    assert_eq!(graph.check_source(source), Ok(()), "{source:.100}");
    check_flow(&graph, source);
    graph
}

#[test]
fn every_case_has_exactly_its_edges() {
    check_folder::<LuaFrontEnd>(corpus(), 3);
}

#[test]
fn nothing_is_a_module() {
    for source in ["", " ", "\r\n", "-- only a comment"] {
        assert_eq!(graph(source).nodes()[1].kind, NodeKind::Method, "{source:?}");
    }
}

#[test]
fn comments_stand_anywhere() {
    for source in [
        "local --c\n x --c\n = --c\n 1",
        "local --c\n function --c\n f( --c\n a) --c\n end",
        "if --c\n a --c\n then --c\n elseif --c\n b then --c\n else --c\n end",
        "return --c\n f --c\n ( --c\n a, --c\n b)",
    ] {
        graph(source);
    }
}

#[test]
fn code_cut_anywhere_keeps_the_rules() {
    for source in sources(corpus()) {
        for end in (0..source.len()).filter(|&end| source.is_char_boundary(end)) {
            graph(&source[..end]);
            graph(&source[end..]);
        }
    }
}

#[test]
fn nesting_is_bounded_by_memory_alone() {
    const DEPTH: usize = 10_000;
    let nested =
        |open: &str, core: &str, close: &str| format!("x = {}{core}{}", open.repeat(DEPTH), close.repeat(DEPTH));
    let sources = [
        nested("(", "a", ")"),
        nested("f(", "a", ")"),
        nested("not ", "a", ""),
        nested("function() return ", "a", " end"),
        format!("{}{}", "if a then ".repeat(DEPTH), "end ".repeat(DEPTH)),
        format!("if a then b() {} end", "elseif a then b() ".repeat(DEPTH)),
        "(".repeat(DEPTH),
        "end ".repeat(DEPTH),
    ];
    for source in sources {
        let limits = ParseLimits {
            max_millis: u32::MAX,
            ..ParseLimits::DEFAULT
        };
        let graph = LuaFrontEnd::parse(&source, &limits).unwrap_or_else(|error| panic!("{error}: {source:.100}"));
        assert_eq!(graph.check_source(&source), Ok(()), "{source:.100}");
    }
}

#[test]
fn what_is_left_out_is_said() {
    let whole = graph("x = 1");
    assert!(whole.diagnostics().is_empty(), "{:?}", whole.diagnostics());
    let table = graph("x = { 1 }");
    assert_eq!(table.diagnostics()[0].severity, Severity::Note);
    assert_eq!(graph("x = = 1").diagnostics()[0].severity, Severity::Warning);
    let few = ParseLimits {
        max_nodes: 4,
        ..ParseLimits::DEFAULT
    };
    let cut = LuaFrontEnd::parse("return a + b + c", &few).expect("part of a graph");
    assert!(cut.diagnostics().iter().any(|one| one.severity == Severity::Error));
    let short = ParseLimits {
        max_bytes: 4,
        ..ParseLimits::DEFAULT
    };
    assert_eq!(
        LuaFrontEnd::parse("x = 1", &short),
        Err(ParseError::TooLong { bytes: 5, limit: 4 })
    );
}
