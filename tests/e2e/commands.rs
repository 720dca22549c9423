//! `run`, `cpg` and `adapters` on good input.

use serde_json::Value;

use crate::program::{fixture, json, stdout};

/// One adapter's whole answer about one file.
#[track_caller]
fn answer(adapter: &str, file: &str, more: &[&str]) -> Value {
    let file = fixture(file);
    let answer = json(&stdout(
        &[&["run", "--adapter", adapter, &file, "--json"], more].concat(),
    ));
    assert_eq!(answer["adapter"], adapter);
    assert_eq!(answer["generation"].as_str().map(str::len), Some(64));
    for stage in [
        "prepare_ms",
        "cpg_ms",
        "embed_ms",
        "transducer_ms",
        "prefill_ms",
        "decode_ms",
        "finish_ms",
    ] {
        assert!(
            answer["timings"][stage].as_f64().is_some_and(|ms| ms > 0.0),
            "{stage} in {answer}"
        );
    }
    assert!(
        answer["usage"]["completion_tokens"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{answer}"
    );
    answer
}

#[test]
fn summarizes_a_method() {
    let answer = answer("summarize-java", "Fraction.java", &["--method", "gcd"]);
    let text = answer["text"].as_str().unwrap();
    assert!(text.split_whitespace().count() >= 3, "no sentence: {text}");
    assert!(!text.contains("```"), "{text}");
}

#[test]
fn writes_an_assertion() {
    let answer = answer("assert-java", "FractionTest.java", &[]);
    assert!(answer["text"].is_string() && answer["data"].is_object(), "{answer}");
}

#[test]
fn translates_a_method() {
    let answer = answer("translate-java-csharp", "Fraction.java", &["--method", "toString"]);
    let text = answer["text"].as_str().unwrap();
    assert!(text.contains('{') && !text.contains("```"), "{text}");
}

#[test]
fn greedy_answers_repeat() {
    let run = || answer("summarize-java", "Fraction.java", &["--method", "plus#2"])["text"].clone();
    assert_eq!(run(), run());
}

#[test]
fn the_graph_has_five_forms() {
    let file = fixture("Fraction.java");
    let graph = json(&stdout(&["cpg", &file, "--format", "json"]));
    assert_eq!(graph["language"], "java");
    for key in ["schema", "nodes", "edges", "diagnostics"] {
        assert!(graph.get(key).is_some(), "{key}");
    }
    assert!(stdout(&["cpg", &file]).contains("gcd"));
    assert!(stdout(&["cpg", &file, "--format", "dot"]).starts_with("digraph"));
    assert!(stdout(&["cpg", &file, "--format", "graphml"]).contains("<graphml"));
    assert!(stdout(&["cpg", &file, "--format", "svg"]).starts_with("<svg"));
}

#[test]
fn the_graph_as_joern_draws_it() {
    let file = fixture("Fraction.java");
    let graph = json(&stdout(&["cpg", &file, "--view", "joern", "--format", "json"]));
    // Joern makes `this` a parameter of every method, which no Java source writes.
    let nodes = graph["nodes"].as_array().unwrap();
    assert!(
        nodes
            .iter()
            .any(|node| node["kind"] == "METHOD_PARAMETER_IN" && node["name"] == "this"),
        "{graph}"
    );
    let table = stdout(&["cpg", &file, "--view", "joern", "--edges", "cdg"]);
    assert!(
        table.lines().all(|line| line.starts_with("CDG ")) && !table.is_empty(),
        "{table}"
    );
}

/// Loading libtorch takes a hundred times as long as the graph of a method.
#[test]
fn only_what_needs_the_llm_links_it() {
    let links_libtorch = |program: &str| {
        let bytes = std::fs::read(program).expect("cargo built it");
        bytes.windows(15).any(|window| window == b"libtorch_cpu.so")
    };
    assert!(!links_libtorch(env!("CARGO_BIN_EXE_transducer-host")));
    assert!(links_libtorch(env!("CARGO_BIN_EXE_transducer-host-llm")));
}

#[test]
fn a_python_graph() {
    let graph = json(&stdout(&[
        "cpg",
        &fixture("fraction.py"),
        "--method",
        "gcd",
        "--format",
        "json",
    ]));
    assert_eq!(graph["language"], "python");
    let edges = graph["edges"].as_array().unwrap();
    for kind in ["CFG", "CDG", "REACHING_DEF"] {
        assert!(edges.iter().any(|edge| edge["kind"] == kind), "no {kind}");
    }
}

#[test]
fn the_graph_of_one_method_with_chosen_edges() {
    let file = fixture("Fraction.java");
    let graph = json(&stdout(&[
        "cpg", &file, "--method", "gcd", "--edges", "ddg", "--format", "json",
    ]));
    let edges = graph["edges"].as_array().unwrap();
    assert!(edges.iter().all(|edge| edge["kind"] == "REACHING_DEF"), "{edges:?}");
    assert!(!edges.is_empty());
    let names: Vec<_> = graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["kind"] == "METHOD")
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn lists_adapters() {
    let listed = json(&stdout(&["adapters", "--json"]));
    let names: Vec<_> = listed["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|adapter| adapter["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "assert-java",
            "summarize-java",
            "summarize-python",
            "translate-java-csharp"
        ]
    );
    assert!(
        listed["adapters"]
            .as_array()
            .unwrap()
            .iter()
            .all(|adapter| adapter["state"] == "ready"),
        "{listed}"
    );
    assert!(stdout(&["adapters"]).contains("summarize-java"));
}
