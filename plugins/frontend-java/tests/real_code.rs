//! Every method of a corpus gives a graph, whole and damaged.
//!
//! The corpus is a folder of JSON lines files whose rows have the code in `source`; it is too large to ship. Run with
//! `TRANSDUCER_JAVA_CORPUS=DIR cargo test -p transducer-frontend-java --test real_code -- --ignored --nocapture`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_frontend::cpg::{Cpg, EdgeKind, NodeKind, query, wire};
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

const VARIABLE: &str = "TRANSDUCER_JAVA_CORPUS";

fn corpus() -> Vec<String> {
    let folder =
        PathBuf::from(std::env::var(VARIABLE).unwrap_or_else(|_| panic!("set {VARIABLE} to a folder of *.jsonl")));
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let rows = files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .collect::<Vec<_>>()
    });
    rows.map(|row| {
        row["source"]
            .as_str()
            .expect("a row has its code in `source`")
            .to_owned()
    })
    .collect()
}

/// The graph, checked as a host checks it.
fn graph(source: &str) -> Cpg {
    let graph =
        JavaFrontEnd::parse(source, &ParseLimits::DEFAULT).unwrap_or_else(|error| panic!("{error}\n---\n{source}"));
    graph
        .check_source(source)
        .unwrap_or_else(|error| panic!("{error}\n---\n{source}"));
    assert_eq!(wire::decode(&wire::encode(&graph)).as_ref(), Ok(&graph), "{source}");
    for method in graph.edges_of(EdgeKind::Cfg) {
        assert_ne!(method.source, 0, "no flow from the file itself\n---\n{source}");
    }
    graph
}

#[derive(Default)]
struct Tally {
    graphs: usize,
    /// With a method and its control flow; statements without a head are one, `<global>`.
    flows: usize,
    /// With a method that has its name.
    named: usize,
    with_diagnostics: usize,
}

impl Tally {
    fn add(&mut self, source: &str) {
        let graph = graph(source);
        let flows = |method: &u32| !graph.outgoing(*method, EdgeKind::Cfg).is_empty();
        self.graphs += 1;
        self.flows += usize::from(query::nodes_of(&graph, NodeKind::Method).any(|method| flows(&method)));
        self.named += usize::from(query::find_methods(&graph).iter().any(flows));
        self.with_diagnostics += usize::from(!graph.diagnostics().is_empty());
    }

    fn report(&self, what: &str) {
        let share = |count: usize| 100.0 * count as f64 / self.graphs as f64;
        let Tally {
            graphs,
            flows,
            named,
            with_diagnostics,
        } = *self;
        println!(
            "{what:<20} {graphs:>6} graphs, {:>6.2}% with the flow of a method, {:>6.2}% with one that has its name, {:>6.2}% with diagnostics",
            share(flows),
            share(named),
            share(with_diagnostics),
        );
    }
}

/// Cuts at character boundaries: what is not UTF-8 is refused before any parsing.
fn boundary(source: &str, at: usize) -> usize {
    source.floor_char_boundary(at)
}

#[test]
#[ignore = "needs a corpus that is too large to ship"]
fn every_row_gives_a_graph_whole_and_damaged() {
    let sources = corpus();
    let mut random = StdRng::seed_from_u64(1);
    let names = [
        "whole",
        "indented",
        "cut",
        "brace missing",
        "seven bytes missing",
        "line is `...`",
    ];
    let mut tallies: [Tally; 6] = Default::default();
    for source in &sources {
        let at = boundary(source, random.random_range(0..=source.len()));
        let to = boundary(source, (at + 7).min(source.len()));
        let braces: Vec<usize> = source.match_indices(['{', '}']).map(|(at, _)| at).collect();
        let brace = braces.get(random.random_range(0..braces.len().max(1))).copied();
        let lines: Vec<&str> = source.lines().collect();
        let line = random.random_range(0..lines.len().max(1));
        let dotted: Vec<&str> = lines
            .iter()
            .enumerate()
            .map(|(i, text)| if i == line { "..." } else { text })
            .collect();
        let variants = [
            source.clone(),
            source.lines().map(|line| format!("        {line}\r\n")).collect(),
            source[..at].to_owned(),
            brace.map_or_else(
                || source.clone(),
                |brace| format!("{}{}", &source[..brace], &source[brace + 1..]),
            ),
            format!("{}{}", &source[..at], &source[to..]),
            // Of code on one line nothing would be left.
            if lines.len() > 1 {
                dotted.join("\n")
            } else {
                source.clone()
            },
        ];
        for (tally, variant) in tallies.iter_mut().zip(&variants) {
            tally.add(variant);
        }
    }
    for (name, tally) in names.iter().zip(&tallies) {
        tally.report(name);
        assert_eq!(tally.graphs, sources.len());
    }
    assert_eq!(tallies[0].named, tallies[0].graphs, "every whole row is a method");
    // Damage may fall on the name itself, or a cut before the body.
    for (name, tally) in names.iter().zip(&tallies).skip(1) {
        assert!(
            tally.flows * 100 >= tally.graphs * 98,
            "{name}: fewer than 98% keep a method"
        );
    }
}

#[test]
#[ignore = "needs a corpus that is too large to ship; measures time"]
fn the_median_row_is_fast() {
    let mut times: Vec<Duration> = Vec::new();
    let (mut bytes, mut nodes, mut edges) = (0, 0, 0);
    let sources = corpus();
    for source in &sources {
        // The best of a few: what other processes take is not ours.
        let mut best = Duration::MAX;
        let mut graph = None;
        for _ in 0..5 {
            let start = Instant::now();
            graph = Some(JavaFrontEnd::parse(source, &ParseLimits::DEFAULT).unwrap());
            best = best.min(start.elapsed());
        }
        let graph = graph.expect("parsed five times");
        times.push(best);
        bytes += source.len();
        nodes += graph.nodes().len();
        edges += graph.edges().len();
    }
    let total: Duration = times.iter().sum();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{} rows, {bytes} bytes, {nodes} nodes, {edges} edges: median {:?}, p90 {:?}, p99 {:?}, {:.1} MB/s",
        times.len(),
        at(50),
        at(90),
        at(99),
        bytes as f64 / total.as_secs_f64() / 1e6,
    );
}
