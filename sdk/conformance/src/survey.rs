//! Real code, whole and damaged: whether it gives a graph, and how much of it survives.

use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_frontend::cpg::{Cpg, EdgeKind, NodeKind, query, wire};
use transducer_frontend::{FrontEnd, ParseLimits};

use crate::check_flow;
use crate::damage::{COMPARED, Counts, Damage, survivors};

/// The code in the `source` of each row of a folder's JSON lines files, in order of their names.
///
/// # Panics
/// Where the folder or a row is not like that.
pub fn rows(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("a row is JSON");
            rows.push(
                row["source"]
                    .as_str()
                    .expect("a row has its code in `source`")
                    .to_owned(),
            );
        }
    }
    rows
}

/// The graph of a source, checked as a host checks it, and against the rules of every graph.
///
/// # Panics
/// Where there is no graph, or it is not right.
pub fn checked_graph<F: FrontEnd>(source: &str) -> Cpg {
    let graph = F::parse(source, &ParseLimits::DEFAULT).unwrap_or_else(|error| panic!("{error}\n---\n{source}"));
    if let Err(error) = graph.check_source(source) {
        panic!("{error}\n---\n{source}");
    }
    assert_eq!(wire::decode(&wire::encode(&graph)).as_ref(), Ok(&graph), "{source}");
    check_flow(&graph, source);
    let has_text = !source
        .trim_matches(|character: char| character.is_whitespace() || character == '\0')
        .is_empty();
    assert!(!has_text || graph.nodes().len() > 1, "an empty graph of\n{source}");
    graph
}

/// What became of many sources.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What was done to them.
    pub name: &'static str,
    /// How many gave a graph.
    pub graphs: usize,
    /// How many of these have a method and its control flow; statements without a head are one, `<global>`.
    pub flows: usize,
    /// How many have one with the name it has in the source.
    pub named: usize,
    /// How many have diagnostics.
    pub with_diagnostics: usize,
    /// The edges of all, by the kinds of [`COMPARED`].
    pub edges: [Counts; COMPARED.len()],
    /// The F1 of each source over all its edges, those that have any.
    pub f1: Vec<f64>,
}

impl Survey {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            graphs: 0,
            flows: 0,
            named: 0,
            with_diagnostics: 0,
            edges: Default::default(),
            f1: Vec::new(),
        }
    }

    fn count(&mut self, graph: &Cpg) {
        let flows = |method: &u32| !graph.outgoing(*method, EdgeKind::Cfg).is_empty();
        self.graphs += 1;
        self.flows += usize::from(query::nodes_of(graph, NodeKind::Method).any(|method| flows(&method)));
        self.named += usize::from(query::find_methods(graph).iter().any(flows));
        self.with_diagnostics += usize::from(!graph.diagnostics().is_empty());
    }

    fn compare(&mut self, counts: [Counts; COMPARED.len()]) -> Option<f64> {
        let mut all = Counts::default();
        for (sum, counts) in self.edges.iter_mut().zip(counts) {
            sum.add(counts);
            all.add(counts);
        }
        let f1 = all.f1();
        self.f1.extend(f1);
        f1
    }

    /// F1 over the edges of all sources together.
    pub fn micro_f1(&self) -> f64 {
        let mut all = Counts::default();
        self.edges.iter().for_each(|&counts| all.add(counts));
        all.f1().unwrap_or(1.0)
    }

    /// Mean of the sources' F1.
    pub fn mean_f1(&self) -> f64 {
        self.f1.iter().sum::<f64>() / self.f1.len().max(1) as f64
    }

    /// Share of the graphs that have a method and its control flow.
    pub fn flow_share(&self) -> f64 {
        self.flows as f64 / self.graphs.max(1) as f64
    }
}

/// Surveys of the sources as they are, with their lines indented and ended as on Windows, and damaged in each way. The same
/// `seed` damages the same sources in the same places.
///
/// # Panics
/// Where a source gives no graph, or one that is not right.
pub fn survey<F: FrontEnd>(sources: &[String], damages: &[Damage], seed: u64) -> Vec<Survey> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut whole = Survey::new("whole");
    let mut indented = Survey::new("indented");
    let mut damaged: Vec<Survey> = damages.iter().map(|damage| Survey::new(damage.name())).collect();
    for source in sources {
        let graph = checked_graph::<F>(source);
        whole.count(&graph);
        let text: String = source.lines().map(|line| format!("        {line}\r\n")).collect();
        indented.count(&checked_graph::<F>(&text));
        for (damage, survey) in damages.iter().zip(&mut damaged) {
            let Some(edit) = damage.edit(source, &mut |below| random.random_range(0..below)) else {
                continue;
            };
            let text = edit.apply(source);
            let broken = checked_graph::<F>(&text);
            survey.count(&broken);
            survey.compare(survivors(&graph, source, &broken, &edit));
        }
    }
    let mut surveys = vec![whole, indented];
    surveys.append(&mut damaged);
    surveys
}

/// The surveys as a table, a line each.
pub fn table(surveys: &[Survey]) -> String {
    let mut table = format!(
        "{:<20} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "graphs", "flow %", "named %", "diag. %", "F1 all", "F1 mean"
    );
    for kind in COMPARED {
        table += &format!(" {:>12}", kind.name());
    }
    for survey in surveys {
        let share = |count: usize| 100.0 * count as f64 / survey.graphs.max(1) as f64;
        table += &format!(
            "\n{:<20} {:>7} {:>8.2} {:>8.2} {:>8.2}",
            survey.name,
            survey.graphs,
            share(survey.flows),
            share(survey.named),
            share(survey.with_diagnostics)
        );
        if survey.f1.is_empty() {
            continue;
        }
        table += &format!(" {:>8.4} {:>8.4}", survey.micro_f1(), survey.mean_f1());
        for counts in survey.edges {
            table += &format!(" {:>12.4}", counts.f1().unwrap_or(1.0));
        }
    }
    table
}
