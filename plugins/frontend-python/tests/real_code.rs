//! Every function of a corpus gives a graph, whole and damaged; so does every file of a library.
//!
//! The corpora are too large to ship. Run with
//! `TRANSDUCER_PYTHON_CORPUS=DIR TRANSDUCER_PYTHON_FILES=DIR cargo test -p transducer-frontend-python --test real_code -- --ignored --nocapture`:
//! the first is a folder of JSON lines files whose rows have the code in `source`, the second one of Python files, such as the
//! standard library.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use transducer_conformance::damage::Damage;
use transducer_conformance::survey;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_python::PythonFrontEnd;

const FUNCTIONS: &str = "TRANSDUCER_PYTHON_CORPUS";
const FILES: &str = "TRANSDUCER_PYTHON_FILES";

/// Files of a library that are read: enough to stand for it.
const MOST_FILES: usize = 400;

fn folder(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var(variable).unwrap_or_else(|_| panic!("set {variable} to a folder")))
}

#[test]
#[ignore = "needs a corpus that is too large to ship"]
fn every_row_gives_a_graph_whole_and_damaged() {
    let damages = [
        Damage::Cut,
        Damage::Missing(&['(', ')', '[', ']', '{', '}', ':']),
        Damage::SevenBytes,
        Damage::Line,
    ];
    let sources = survey::rows(&folder(FUNCTIONS));
    let surveys = survey::survey::<PythonFrontEnd>(&sources, &damages, 1);
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
    }
}

/// Python files below a folder, sorted, those that are UTF-8.
fn sources(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                files.push(path);
            }
        }
    }
    files.sort();
    let step = files.len().div_ceil(MOST_FILES).max(1);
    let texts = files
        .iter()
        .step_by(step)
        .filter_map(|file| std::fs::read_to_string(file).ok());
    texts.collect()
}

#[test]
#[ignore = "needs a library's files; measures time"]
fn every_file_gives_a_graph_in_time() {
    let sources = sources(&folder(FILES));
    assert!(sources.len() >= 200, "{} files", sources.len());
    let mut time = Duration::ZERO;
    let (mut bytes, mut nodes, mut edges, mut damaged) = (0, 0, 0, 0);
    for source in &sources {
        let start = Instant::now();
        let graph = PythonFrontEnd::parse(source, &ParseLimits::DEFAULT).unwrap();
        time += start.elapsed();
        bytes += source.len();
        nodes += graph.nodes().len();
        edges += graph.edges().len();
        damaged += usize::from(!graph.diagnostics().is_empty());
        survey::checked_graph::<PythonFrontEnd>(source);
    }
    println!(
        "{} files, {bytes} bytes, {nodes} nodes, {edges} edges, {damaged} with diagnostics: {:.2} MB/s",
        sources.len(),
        bytes as f64 / time.as_secs_f64() / 1e6
    );
}
