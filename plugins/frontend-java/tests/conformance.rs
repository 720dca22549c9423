//! The corpus in `tests/conformance/java`: a snippet a file, and the edges that it must have.
//!
//! After the line `---` comes an edge a line: `cfg c -> r = 1`, also `cdg`, `ddg` (REACHING_DEF, with its variable in
//! brackets), `ref` and `call`. A kind that a case mentions is listed in full (`cdg none` where there are none); others are not
//! looked at. A node is written as its source text, blanks collapsed, a control structure up to its `{`; the second node of a
//! text, in source order, is `text#2`. `ENTRY` and `EXIT` are those of the first method, `ENTRY#2` and `EXIT#2` of the
//! second.
//!
//! `BLESS=1` writes what is found into the files: read the difference before it is committed.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use transducer_frontend::cpg::{Cpg, EdgeKind, NodeId, NodeKind, query};
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

const KINDS: [(&str, EdgeKind); 7] = [
    ("cfg", EdgeKind::Cfg),
    ("cdg", EdgeKind::Cdg),
    ("ddg", EdgeKind::ReachingDef),
    ("ref", EdgeKind::Ref),
    ("call", EdgeKind::Call),
    ("dom", EdgeKind::Dominate),
    ("pdom", EdgeKind::PostDominate),
];

/// How a case writes each node.
fn names(graph: &Cpg, source: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let numbered = |word: &str, number: usize| {
        if number == 1 {
            word.to_owned()
        } else {
            format!("{word}#{number}")
        }
    };
    let methods: Vec<NodeId> = query::nodes_of(graph, NodeKind::Method).collect();
    let number_of = |method| methods.partition_point(|&before| before <= method);
    let named = graph.nodes().iter().zip(0..).map(|(node, id): (_, NodeId)| {
        let code = node.span.text(source).unwrap_or_default();
        let text = match node.kind {
            NodeKind::Method => return numbered("ENTRY", number_of(id)),
            NodeKind::MethodReturn => return numbered("EXIT", number_of(graph.parent(id).unwrap_or(0))),
            NodeKind::ControlStructure => collapse(code.split('{').next().unwrap_or_default()),
            NodeKind::Identifier
            | NodeKind::Literal
            | NodeKind::Call
            | NodeKind::Return
            | NodeKind::JumpTarget
            | NodeKind::MethodParameterIn
            | NodeKind::Local
            | NodeKind::Member
            | NodeKind::FieldIdentifier
            | NodeKind::MethodRef
            | NodeKind::Unknown => collapse(code),
            // A type takes part in the flow as an argument only.
            NodeKind::TypeRef
                if node.order > 0 && graph.nodes()[graph.parent(id).unwrap_or(0) as usize].kind == NodeKind::Call =>
            {
                collapse(code)
            }
            kind => return format!("{kind}@{id}"),
        };
        let count = seen.entry(text.clone()).or_default();
        *count += 1;
        numbered(&text, *count)
    });
    named.collect()
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The edges of the kinds given, as a case writes them, in the order of the graph.
fn found(source: &str, kinds: &BTreeSet<&str>) -> Vec<String> {
    let graph = JavaFrontEnd::parse(source, &ParseLimits::DEFAULT).expect("the cases are text");
    let names = names(&graph, source);
    let mut lines = Vec::new();
    for (word, kind) in KINDS.into_iter().filter(|(word, _)| kinds.contains(word)) {
        let edges = graph.edges_of(kind);
        if edges.is_empty() {
            lines.push(format!("{word} none"));
        }
        lines.extend(edges.iter().map(|edge| {
            let (from, to) = (&names[edge.source as usize], &names[edge.target as usize]);
            let label = graph.label(edge);
            let label = if label.is_empty() {
                String::new()
            } else {
                format!(" [{label}]")
            };
            format!("{word} {from} -> {to}{label}")
        }));
    }
    lines
}

/// Checks one case, or writes it anew.
fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (source, expected) = text.split_once("\n---\n").unwrap_or((text.trim_end(), ""));
    let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
    let mut kinds: BTreeSet<&str> = expected.iter().filter_map(|line| line.split(' ').next()).collect();
    if kinds.is_empty() {
        kinds.extend(["cfg", "ddg"]);
    }
    if let Some(unknown) = kinds.iter().find(|kind| !KINDS.iter().any(|(word, _)| word == *kind)) {
        return Err(format!("{}: no edge kind `{unknown}`", path.display()));
    }
    let found = found(source, &kinds);
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{source}\n---\n{}\n", found.join("\n"));
        return std::fs::write(path, blessed).map_err(|error| format!("{}: {error}", path.display()));
    }
    let (found, expected): (BTreeSet<&str>, BTreeSet<&str>) = (
        found.iter().map(String::as_str).collect(),
        expected.into_iter().collect(),
    );
    if found == expected {
        return Ok(());
    }
    let missing: String = expected
        .difference(&found)
        .map(|line| format!("  - {line}\n"))
        .collect();
    let extra: String = found
        .difference(&expected)
        .map(|line| format!("  + {line}\n"))
        .collect();
    Err(format!("{}\n{source}\n{missing}{extra}", path.display()))
}

#[test]
fn every_case_has_exactly_its_edges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/java");
    let entries = std::fs::read_dir(&folder).expect("the corpus is part of the repository");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    cases.retain(|case| case.extension().is_some_and(|extension| extension == "txt"));
    cases.sort();
    assert!(cases.len() >= 90, "{} cases in {}", cases.len(), folder.display());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
