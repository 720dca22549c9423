//! How long the sandbox takes: loads each committed task, for the first time and compiled before, and runs its first example a few
//! thousand times.
//!
//! `cargo run --package transducer-tasks --example latency`. The graphs are of one node, so that the times are those
//! of the sandbox and not of a front end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transducer_cpg::CpgBuilder;
use transducer_tasks::{CodeParser, ParseFailure, ParsedCode, TaskEngine, TaskLimits};

const ROUNDS: usize = 3000;

struct OneNode;

impl CodeParser for OneNode {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        let cpg = CpgBuilder::new(language, source.len()).and_then(CpgBuilder::finish);
        let failed = |error: transducer_cpg::BuildError| ParseFailure::Failed {
            language: language.to_owned(),
            message: error.to_string(),
        };
        Ok(Arc::new(ParsedCode {
            language: language.to_owned(),
            source: source.to_owned(),
            cpg: Arc::new(cpg.map_err(failed)?),
        }))
    }
}

/// Median and 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let [median, high] = [times.len() / 2, times.len() * 99 / 100].map(|index| times[index].as_secs_f64() * 1e6);
    format!("{median:7.1} {high:7.1}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let compiled = tempfile::tempdir()?;
    let engine = TaskEngine::with_cache(TaskLimits::default(), compiled.path())?;
    println!(
        "{:24} {:>8} {:>8} {:>15} {:>15}",
        "", "first", "again", "prepare", "finish"
    );
    println!(
        "{:24} {:>8} {:>8} {:>15} {:>15}",
        "", "ms", "ms", "p50 µs  p99 µs", "p50 µs  p99 µs"
    );
    for adapter in ["summarize-java", "assert-java", "translate-java-csharp"] {
        let path = Path::new("adapters").join(adapter).join("task.wasm");
        let wasm = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let start = Instant::now();
        engine.compile(&wasm)?;
        let first = start.elapsed();
        let again = TaskEngine::with_cache(TaskLimits::default(), compiled.path())?;
        let start = Instant::now();
        let task = again.compile(&wasm)?;
        let load = start.elapsed();
        let example = &task.info().examples[0];
        let (request, parser) = (example.request.to_string(), Arc::new(OneNode));
        let (mut prepare, mut finish) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let prepared = task.prepare(&request, parser.clone())?;
            prepare.push(start.elapsed());
            let start = Instant::now();
            task.finish(&prepared.state, &example.answer)?;
            finish.push(start.elapsed());
        }
        let [prepare, finish] = [prepare, finish].map(percentiles);
        let [first, load] = [first, load].map(|time| time.as_secs_f64() * 1e3);
        println!("{adapter:24} {first:8.1} {load:8.1} {prepare} {finish}");
    }
    Ok(())
}
