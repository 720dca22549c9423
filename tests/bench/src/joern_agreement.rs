//! How far the Joern view agrees with the real Joern on real code: edges by type, and the largest classes of disagreement.
//!
//! `tests/bench/joern/README.md` tells the three steps: a sample, Joern's own edges of it, the comparison.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use transducer_frontend::cpg::joern::{self, JoernGraph, JoernNode};
use transducer_frontend::cpg::{EdgeKind, NodeKind};
use transducer_frontends::FrontEnds;

/// Compares the Joern view with real Joern.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a random sample of methods, a file each
    Sample {
        /// What they are written in
        language: Language,
        /// Methods: a JSONL file with the code in `source`
        rows: PathBuf,
        /// The folder to write to
        folder: PathBuf,
        /// How many
        #[arg(long, default_value_t = 400)]
        count: usize,
        /// The same seed gives the same sample
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Prints agreement by edge type, and the classes of disagreement
    Compare {
        /// What the files are written in
        language: Language,
        /// The sample
        folder: PathBuf,
        /// Joern's edges of it
        facts: PathBuf,
        /// Where the front ends are
        #[arg(long, value_name = "FOLDER", default_value = "target/release")]
        frontends: PathBuf,
        /// How many classes to print
        #[arg(long, default_value_t = 20)]
        classes: usize,
        /// Every difference in one file of the sample
        #[arg(long, value_name = "FILE")]
        show: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Java,
    Python,
}

impl Language {
    fn extension(self) -> &'static str {
        match self {
            Language::Java => "java",
            Language::Python => "py",
        }
    }

    /// A method as a file that Joern reads: Java needs a class around it.
    fn wrap(self, name: &str, method: &str) -> String {
        match self {
            Language::Java => format!("class {name} {{\n{method}\n}}\n"),
            Language::Python => format!("{method}\n"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Language::Java => "java",
            Language::Python => "python",
        }
    }
}

/// A row of the sample.
#[derive(Deserialize)]
struct Row {
    source: String,
}

/// A method as `JoernEdges` writes it.
#[derive(Deserialize)]
struct Facts {
    file: String,
    method: String,
    nodes: Vec<Fact>,
    edges: Vec<(String, usize, usize, String)>,
}

#[derive(Deserialize)]
struct Fact {
    label: String,
    name: String,
    code: String,
    control: String,
    line: i64,
    column: i64,
}

/// The edge types that are compared; the view's name for the data flow that Joern prints is REACHING_DEF.
const TYPES: [(&str, EdgeKind); 6] = [
    ("AST", EdgeKind::Ast),
    ("ARGUMENT", EdgeKind::Argument),
    ("REF", EdgeKind::Ref),
    ("CFG", EdgeKind::Cfg),
    ("CDG", EdgeKind::Cdg),
    ("DDG", EdgeKind::ReachingDef),
];

/// What the view leaves out.
const LEFT_OUT: [&str; 3] = ["METHOD_PARAMETER_OUT", "MODIFIER", "ANNOTATION"];

/// A node, by what both sides know of it: label, name or text, line, column, and which of several such.
type Key = (String, String, u32, u32, usize);

/// The edges of a method by type.
type Edges = BTreeMap<&'static str, BTreeSet<(Key, Key)>>;

/// Numbers the nodes that are otherwise the same.
fn numbered(nodes: impl Iterator<Item = (String, String, u32, u32)>) -> Vec<Key> {
    let mut seen: HashMap<(String, String, u32, u32), usize> = HashMap::new();
    let key = |(label, name, line, column): (String, String, u32, u32)| {
        let count = seen.entry((label.clone(), name.clone(), line, column)).or_default();
        // One LOCAL of a name is as good as another.
        *count = if label == "LOCAL" { 1 } else { *count + 1 };
        (label, name, line, column, *count)
    };
    nodes.map(key).collect()
}

/// Names of variables that Joern makes up are numbered: `$obj0`, `tmp1`, `manager_tmp2`.
fn without_number(name: &str) -> &str {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_made_up = bare.starts_with('$') || bare == "tmp" || bare.ends_with("_tmp");
    if is_made_up { bare } else { name }
}

/// What of a node is compared beside its place.
fn named(label: &str, name: &str, code: &str, control: &str) -> String {
    match label {
        "CALL" | "IDENTIFIER" | "LOCAL" | "METHOD_PARAMETER_IN" | "JUMP_TARGET" => without_number(name).to_owned(),
        "LITERAL" | "FIELD_IDENTIFIER" => code.to_owned(),
        "CONTROL_STRUCTURE" => control.to_owned(),
        _ => String::new(),
    }
}

fn key_of_fact(fact: &Fact) -> (String, String, u32, u32) {
    let known = |number: i64| u32::try_from(number).unwrap_or_default();
    let name = named(&fact.label, &fact.name, &fact.code, &fact.control);
    placed(&fact.label, name, known(fact.line), known(fact.column))
}

fn key_of_node(node: &JoernNode) -> (String, String, u32, u32) {
    let label = node.kind.name();
    let name = named(label, &node.name, &node.code, &node.name);
    placed(label, name, node.line, node.column)
}

/// Where Joern puts the LOCAL of a name that is used before it is declared depends on its order of visits.
fn placed(label: &str, name: String, line: u32, column: u32) -> (String, String, u32, u32) {
    let place = if label == "LOCAL" { (0, 0) } else { (line, column) };
    (label.to_owned(), name, place.0, place.1)
}

fn edges_of_facts(facts: &Facts) -> (BTreeSet<Key>, Edges) {
    let keys = numbered(facts.nodes.iter().map(key_of_fact));
    let is_left_out = |key: &Key| LEFT_OUT.iter().any(|label| key.0.starts_with(label));
    let mut edges = Edges::new();
    for (kind, source, target, _) in &facts.edges {
        let Some(&(word, _)) = TYPES.iter().find(|(word, _)| word == kind) else {
            continue;
        };
        let (source, target) = (&keys[*source], &keys[*target]);
        if !is_left_out(source) && !is_left_out(target) {
            edges.entry(word).or_default().insert((source.clone(), target.clone()));
        }
    }
    (keys.into_iter().filter(|key| !is_left_out(key)).collect(), edges)
}

/// The methods of a view: each with its line, nodes and edges.
fn methods_of_view(view: &JoernGraph) -> Vec<(u32, BTreeSet<Key>, Edges)> {
    let ends = view.methods.iter().skip(1).copied().chain([view.nodes.len()]);
    let methods = view.methods.iter().copied().zip(ends);
    let method = |(start, end): (usize, usize)| {
        let keys = numbered(view.nodes[start..end].iter().map(key_of_node));
        let mut edges = Edges::new();
        for edge in view.edges.iter().filter(|edge| (start..end).contains(&edge.source)) {
            if let (Some((word, _)), Some(target)) = (
                TYPES.iter().find(|(_, kind)| *kind == edge.kind),
                edge.target.checked_sub(start).and_then(|target| keys.get(target)),
            ) {
                let source = keys[edge.source - start].clone();
                edges.entry(word).or_default().insert((source, target.clone()));
            }
        }
        (view.nodes[start].line, keys.into_iter().collect(), edges)
    };
    methods
        .filter(|&(start, _)| view.nodes[start].kind == NodeKind::Method && !view.nodes[start].name.starts_with('<'))
        .map(method)
        .collect()
}

/// Agreement over all methods.
#[derive(Default)]
struct Tally {
    /// For each type: shared, only in the view, only in Joern, methods in which all are shared.
    counts: BTreeMap<&'static str, [usize; 4]>,
    /// For each class of disagreement: how often, and a file that has it.
    classes: BTreeMap<String, (usize, String)>,
    methods: usize,
    /// Methods of the view that are none of Joern's.
    unmatched: usize,
}

impl Tally {
    fn differ(&mut self, class: String, file: &str) {
        self.classes.entry(class).or_insert_with(|| (0, file.to_owned())).0 += 1;
    }

    fn add(&mut self, file: &str, view: &(u32, BTreeSet<Key>, Edges), facts: &(BTreeSet<Key>, Edges), shown: bool) {
        self.methods += 1;
        let (_, nodes, edges) = view;
        let sign = |is_of_view: bool| if is_of_view { '+' } else { '-' };
        for key in nodes.symmetric_difference(&facts.0) {
            let sign = sign(nodes.contains(key));
            self.differ(format!("{sign} node {} {}", key.0, key.1), file);
        }
        let none = BTreeSet::new();
        for (word, _) in TYPES {
            let (ours, theirs) = (edges.get(word).unwrap_or(&none), facts.1.get(word).unwrap_or(&none));
            let shared = ours.intersection(theirs).count();
            let counts = self.counts.entry(word).or_default();
            counts[0] += shared;
            counts[1] += ours.len() - shared;
            counts[2] += theirs.len() - shared;
            counts[3] += usize::from(ours == theirs);
            for edge @ (source, target) in ours.symmetric_difference(theirs) {
                let sign = sign(ours.contains(edge));
                if shown {
                    println!("{sign} {word} {source:?} -> {target:?}");
                }
                // Where a node is missing, so are its edges.
                let has_both = [source, target]
                    .iter()
                    .all(|end| nodes.contains(end) && facts.0.contains(end));
                if has_both {
                    self.differ(format!("{sign} {word} {} -> {}", source.0, target.0), file);
                }
            }
        }
    }

    fn print(&self, classes: usize) {
        println!(
            "{} methods; {} of the view are none of Joern's",
            self.methods, self.unmatched
        );
        println!("| edges | shared | only view | only Joern | precision | recall | F1 | methods all the same |");
        println!("|---|---:|---:|---:|---:|---:|---:|---:|");
        for (word, _) in TYPES {
            let [shared, ours, theirs, same] = self.counts.get(word).copied().unwrap_or_default();
            let share = |of: usize| if of == 0 { 1.0 } else { shared as f64 / of as f64 };
            let (precision, recall) = (share(shared + ours), share(shared + theirs));
            let f1 = 2.0 * precision * recall / (precision + recall).max(f64::EPSILON);
            println!("| {word} | {shared} | {ours} | {theirs} | {precision:.4} | {recall:.4} | {f1:.4} | {same} |");
        }
        let mut sorted: Vec<_> = self.classes.iter().collect();
        sorted.sort_by_key(|(class, (count, _))| (std::cmp::Reverse(*count), *class));
        println!("\nDifferences (+ only in the view, - only in Joern), how often, and a file that has one:");
        for (class, (count, file)) in sorted.into_iter().take(classes) {
            println!("{count:6} {class}  ({file})");
        }
    }
}

fn sample(language: Language, rows: &Path, folder: &Path, count: usize, seed: u64) -> Result<()> {
    let text = fs::read_to_string(rows).with_context(|| format!("reading {}", rows.display()))?;
    let mut lines: Vec<&str> = text.lines().collect();
    ensure!(lines.len() >= count, "{} rows, {count} wanted", lines.len());
    lines.shuffle(&mut StdRng::seed_from_u64(seed));
    fs::create_dir_all(folder)?;
    for (line, number) in lines.into_iter().take(count).zip(0..) {
        let row: Row = serde_json::from_str(line)?;
        let name = format!("Sample{number:04}");
        let file = folder.join(format!("{name}.{}", language.extension()));
        fs::write(file, language.wrap(&name, &row.source))?;
    }
    Ok(())
}

/// The tally of a sample.
fn compare(language: Language, folder: &Path, facts: &Path, frontends: &Path, show: Option<&str>) -> Result<Tally> {
    let frontends = FrontEnds::load_dir(frontends)?;
    let text = fs::read_to_string(facts).with_context(|| format!("reading {}", facts.display()))?;
    let mut of_joern: BTreeMap<String, Vec<Facts>> = BTreeMap::new();
    for line in text.lines() {
        let facts: Facts = serde_json::from_str(line)?;
        let file = Path::new(&facts.file)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        of_joern.entry(file).or_default().push(facts);
    }
    let mut tally = Tally::default();
    for (file, methods) in &of_joern {
        let source = fs::read_to_string(folder.join(file)).with_context(|| format!("reading {file}"))?;
        let view = joern::view(&frontends.parse(language.name(), &source)?, &source)?;
        for method in methods_of_view(&view) {
            let same_line = |facts: &&Facts| facts.nodes.first().is_some_and(|node| node.line == i64::from(method.0));
            // Constructors alone have a name in brackets and a line of their own in the source.
            let named =
                |facts: &&Facts| !facts.method.starts_with('<') || facts.method == "<init>" && facts.nodes.len() > 7;
            match methods.iter().filter(named).find(same_line) {
                Some(facts) => tally.add(file, &method, &edges_of_facts(facts), show == Some(file)),
                None => tally.unmatched += 1,
            }
        }
    }
    Ok(tally)
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Sample {
            language,
            rows,
            folder,
            count,
            seed,
        } => sample(language, &rows, &folder, count, seed),
        Command::Compare {
            language,
            folder,
            facts,
            frontends,
            classes,
            show,
        } => compare(language, &folder, &facts, &frontends, show.as_deref()).map(|tally| tally.print(classes)),
    }
}
