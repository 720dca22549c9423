//! Every method of a corpus gives a graph, whole and damaged.
//!
//! The corpus is a folder of JSON lines files whose rows have the code in `source`; it is too large to ship. Run with
//! `TRANSDUCER_JAVA_CORPUS=DIR cargo test -p transducer-frontend-java --test real_code -- --ignored --nocapture`.

use std::path::Path;
use std::time::{Duration, Instant};

use transducer_conformance::damage::Damage;
use transducer_conformance::survey;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

const VARIABLE: &str = "TRANSDUCER_JAVA_CORPUS";

fn corpus() -> Vec<String> {
    let folder = std::env::var(VARIABLE).unwrap_or_else(|_| panic!("set {VARIABLE} to a folder of *.jsonl"));
    survey::rows(Path::new(&folder))
}

#[test]
#[ignore = "needs a corpus that is too large to ship"]
fn every_row_gives_a_graph_whole_and_damaged() {
    let damages = [
        Damage::Cut,
        Damage::Missing(&['{', '}']),
        Damage::SevenBytes,
        Damage::Line,
    ];
    let sources = corpus();
    let surveys = survey::survey::<JavaFrontEnd>(&sources, &damages, 1);
    println!("{}", survey::table(&surveys));
    let (whole, damaged) = surveys.split_at(2);
    for survey in whole {
        assert_eq!(
            (survey.graphs, survey.named),
            (sources.len(), sources.len()),
            "{}",
            survey.name
        );
    }
    for survey in damaged {
        assert!(
            survey.flow_share() >= 0.98,
            "{}: fewer than 98% keep a method",
            survey.name
        );
        assert!(survey.micro_f1() >= 0.8, "{}: F1 of all edges", survey.name);
        assert!(survey.mean_f1() >= 0.8, "{}: mean F1", survey.name);
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
