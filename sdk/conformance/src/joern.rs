//! The Joern view against facts about Joern.

use std::collections::BTreeSet;
use std::path::Path;

use transducer_frontend::cpg::EdgeKind;
use transducer_frontend::cpg::joern::{self, JoernGraph};
use transducer_frontend::{FrontEnd, ParseLimits};

const KINDS: [(&str, EdgeKind); 3] = [
    ("cfg", EdgeKind::Cfg),
    ("cdg", EdgeKind::Cdg),
    ("ddg", EdgeKind::ReachingDef),
];

/// Share of Joern's data flow that a view must have, as F1.
const LEAST_FLOW: f64 = 0.95;

/// Holds the Joern view of a front end's graphs to the cases of a folder: the same CFG and CDG edge by edge, and the same
/// data flow but for a few edges in a hundred, which are printed.
///
/// A case is a snippet, `---`, and the edges that Joern draws for its first method, one a line: `cfg ENTRY -> LITERAL:1`, also
/// `cdg`, and `ddg` with what flows in brackets. Nodes are written as [`JoernGraph::names`] does.
///
/// # Panics
/// Where an edge is missing or one too many, where too much of the data flow differs, and where there are fewer cases than `least`.
pub fn check_joern_folder<F: FrontEnd>(folder: &Path, least: usize) {
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= least, "{} cases in {}", cases.len(), folder.display());
    let mut differences = String::new();
    let (mut shared, mut of_joern, mut of_view) = (0, 0, 0);
    for case in cases {
        let name = case.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&case).expect("a readable case");
        let (source, expected) = text.split_once("\n---\n").expect("a snippet, `---`, edges");
        let graph = F::parse(source, &ParseLimits::DEFAULT).expect("the cases are text");
        let found = lines(&joern::view(&graph, source).expect("the methods are small"));
        let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
        let is_flow = |line: &&String| line.starts_with("ddg");
        shared += found.intersection(&expected).filter(is_flow).count();
        of_joern += expected.iter().filter(is_flow).count();
        of_view += found.iter().filter(is_flow).count();
        for line in found.symmetric_difference(&expected) {
            let sign = if found.contains(line) { '+' } else { '-' };
            let difference = format!("{name}: {sign} {line}\n");
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
    assert!(f1 >= LEAST_FLOW, "F1 of the data flow is {f1}");
}

/// The edges of the first method, as a case writes them.
fn lines(view: &JoernGraph) -> BTreeSet<String> {
    let names = view.names();
    let end = view.methods.get(1).copied().unwrap_or(view.nodes.len());
    let mut lines = BTreeSet::new();
    for (word, kind) in KINDS {
        let edges = view.edges.iter().filter(|edge| edge.kind == kind && edge.source < end);
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
