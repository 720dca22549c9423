//! A corpus of small cases: a snippet a file, and the edges that it must have.
//!
//! After the line `---` comes an edge a line: `cfg c -> r = 1`, also `cdg`, `ddg` (REACHING_DEF, with its variable in
//! brackets), `ref`, `call`, `dom` and `pdom`. A kind that a case mentions is listed in full (`cdg none` where there are none); others are not
//! looked at. A node is written as its source text, blanks collapsed; a control structure, a type and what declares a method
//! up to their `{` or the end of their line. The second node of a text, in the order of the graph, is `text#2`. `ENTRY` and
//! `EXIT` are those of the first method, `ENTRY#2` and `EXIT#2` of the second.
//!
//! `BLESS=1` writes what is found into the files: read the difference before it is committed.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use transducer_frontend::cpg::{Cpg, EdgeKind, NodeId, NodeKind, query};
use transducer_frontend::{FrontEnd, ParseLimits};

const KINDS: [(&str, EdgeKind); 7] = [
    ("cfg", EdgeKind::Cfg),
    ("cdg", EdgeKind::Cdg),
    ("ddg", EdgeKind::ReachingDef),
    ("ref", EdgeKind::Ref),
    ("call", EdgeKind::Call),
    ("dom", EdgeKind::Dominate),
    ("pdom", EdgeKind::PostDominate),
];

/// Languages whose declarations are told from uses by their type. In others, one that is a name alone is written `local x`,
/// `param x` or `member x`.
const TYPED: [&str; 1] = ["java"];

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
    let is_bare = |code: &str, id| !TYPED.contains(&graph.language()) && code == graph.name(id);
    let named = graph.nodes().iter().zip(0..).map(|(node, id): (_, NodeId)| {
        let code = node.span.text(source).unwrap_or_default();
        let text = match node.kind {
            NodeKind::Method => return numbered("ENTRY", number_of(id)),
            NodeKind::MethodReturn => return numbered("EXIT", number_of(graph.parent(id).unwrap_or(0))),
            NodeKind::ControlStructure | NodeKind::TypeDecl => head(code).split('{').next().unwrap_or_default(),
            // The method inside has lines of its own.
            NodeKind::Call | NodeKind::MethodRef if holds_method(graph, id) => head(code),
            NodeKind::Local if is_bare(code, id) => &format!("local {code}"),
            NodeKind::MethodParameterIn if is_bare(code, id) => &format!("param {code}"),
            NodeKind::Member if is_bare(code, id) => &format!("member {code}"),
            NodeKind::Identifier
            | NodeKind::Literal
            | NodeKind::Call
            | NodeKind::Return
            | NodeKind::JumpTarget
            | NodeKind::MethodParameterIn
            | NodeKind::Local
            | NodeKind::Member
            | NodeKind::FieldIdentifier
            | NodeKind::Import
            | NodeKind::MethodRef
            | NodeKind::Unknown => code,
            // A type takes part in the flow as an argument only.
            NodeKind::TypeRef
                if node.order > 0 && graph.nodes()[graph.parent(id).unwrap_or(0) as usize].kind == NodeKind::Call =>
            {
                code
            }
            kind => return format!("{kind}@{id}"),
        };
        let text = collapse(text);
        let count = seen.entry(text.clone()).or_default();
        *count += 1;
        numbered(&text, *count)
    });
    named.collect()
}

fn head(code: &str) -> &str {
    code.lines().next().unwrap_or_default()
}

fn holds_method(graph: &Cpg, node: NodeId) -> bool {
    (node..graph.subtree_end(node)).any(|inner| {
        matches!(
            graph.nodes()[inner as usize].kind,
            NodeKind::Method | NodeKind::TypeDecl
        )
    })
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The edges of the kinds given, as a case writes them, in the order of the graph.
fn found<F: FrontEnd>(source: &str, kinds: &BTreeSet<&str>) -> Vec<String> {
    let graph = F::parse(source, &ParseLimits::DEFAULT).expect("the cases are text");
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
fn check<F: FrontEnd>(path: &Path) -> Result<(), String> {
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
    let found = found::<F>(source, &kinds);
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

/// The cases of a folder, sorted by name.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    cases.retain(|case| case.extension().is_some_and(|extension| extension == "txt"));
    cases.sort();
    cases
}

/// The snippets of a folder's cases, for tests that need code of all shapes.
///
/// # Panics
/// Where the folder cannot be read.
pub fn sources(folder: &Path) -> Vec<String> {
    let read = |case: &PathBuf| {
        let text = std::fs::read_to_string(case).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        text.split("\n---\n").next().unwrap_or_default().to_owned()
    };
    cases(folder).iter().map(read).collect()
}

/// Checks that every case of a folder has exactly its edges, and that there are at least so many cases: an empty folder
/// must not pass.
///
/// # Panics
/// With the differences, where there are any.
pub fn check_folder<F: FrontEnd>(folder: &Path, at_least: usize) {
    let cases = cases(folder);
    assert!(cases.len() >= at_least, "{} cases in {}", cases.len(), folder.display());
    let failures: Vec<String> = cases.iter().filter_map(|case| check::<F>(case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
