//! The Joern view against what Joern 2.0.25 draws of the snippets in `tests/conformance/joern/java`: the same control flow
//! and control dependence, edge by edge, and the same data flow but for a few edges in a hundred.

use std::collections::BTreeSet;
use std::path::Path;

use transducer_frontend::cpg::EdgeKind;
use transducer_frontend::cpg::joern;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

const KINDS: [(&str, EdgeKind); 3] = [
    ("cfg", EdgeKind::Cfg),
    ("cdg", EdgeKind::Cdg),
    ("ddg", EdgeKind::ReachingDef),
];

/// The edges of the view, as a case writes them.
fn found(source: &str) -> BTreeSet<String> {
    let graph = JavaFrontEnd::parse(source, &ParseLimits::DEFAULT).expect("the cases are text");
    let view = joern::view(&graph, source).expect("small methods");
    let names = view.names();
    // Joern has no line for the methods of lambdas and of what is declared in a method.
    let first = 0..view.methods.get(1).copied().unwrap_or(view.nodes.len());
    let mut lines = BTreeSet::new();
    for (word, kind) in KINDS {
        let edges = view
            .edges
            .iter()
            .filter(|edge| edge.kind == kind && first.contains(&edge.source));
        let before = lines.len();
        lines.extend(edges.map(|edge| {
            let variable = edge.variable.split_whitespace().collect::<Vec<_>>().join(" ");
            let label = if variable.is_empty() {
                variable
            } else {
                format!(" [{variable}]")
            };
            format!("{word} {} -> {}{label}", names[edge.source], names[edge.target])
        }));
        if lines.len() == before {
            lines.insert(format!("{word} none"));
        }
    }
    lines
}

#[test]
fn the_view_is_what_joern_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/joern/java");
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .expect("the cases are part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 32, "{} cases in {}", cases.len(), folder.display());
    let mut differences = String::new();
    let (mut shared, mut of_joern, mut of_view) = (0, 0, 0);
    for case in cases {
        let text = std::fs::read_to_string(&case).expect("a readable case");
        let (source, expected) = text.split_once("\n---\n").expect("a snippet, `---`, edges");
        let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
        let found = found(source);
        let is_flow = |line: &&String| line.starts_with("ddg");
        shared += found.intersection(&expected).filter(is_flow).count();
        of_joern += expected.iter().filter(is_flow).count();
        of_view += found.iter().filter(is_flow).count();
        for line in found.symmetric_difference(&expected) {
            let sign = if found.contains(line) { '+' } else { '-' };
            let difference = format!("{}: {sign} {line}\n", case.display());
            if is_flow(&line) {
                print!("{difference}");
            } else {
                differences += &difference;
            }
        }
    }
    let f1 = 2.0 * shared as f64 / (of_joern + of_view) as f64;
    println!("data flow: {shared} edges shared, {of_joern} of Joern, {of_view} of the view, F1 {f1:.4}");
    assert!(differences.is_empty(), "control flow and dependence:\n{differences}");
    assert!(f1 >= 0.95, "F1 of the data flow is {f1}");
}
