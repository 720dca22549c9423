//! What a prompt costs a host before the LLM's first layer, by its length and the LLM's hidden size: CPU time of a thread for the
//! task with its graph and tokens (`prepare`), and for the transducer (`transducer`), each with a straight line fitted through it.
//!
//! `host_cost MODEL FRONT_ENDS BUNDLE DATA.jsonl [--count 200]`; `DATA` has a `source` a line, which becomes the request's `code`.
//! Prints JSON. For hidden sizes that are not the model's the embeddings are random and so are the transducer's weights.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use transducer_core::{Transducer, TransducerConfig};
use transducer_pipeline::{Precision, PreparedPrompt, Workshop, WorkshopOptions};

const USAGE: &str = "usage: host_cost MODEL FRONT_ENDS BUNDLE DATA.jsonl [--count N]";

/// Of a small model, of 7B, of 70B.
const HIDDEN: [usize; 3] = [576, 4096, 8192];

/// Rounds of which the shortest counts: another program can only make one longer.
const ROUNDS: usize = 5;

/// Prompts are put together in groups of so many tokens.
const GROUP: usize = 100;

/// The bytes of a megabyte.
const MB: f64 = 1e6;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let (mut places, mut count) = (Vec::new(), 200);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--count" => count = words.next().ok_or(USAGE)?.parse()?,
            _ => places.push(PathBuf::from(word)),
        }
    }
    let [model, front_ends, bundle, data] = <[PathBuf; 4]>::try_from(places).map_err(|_| USAGE)?;
    let options = WorkshopOptions {
        model,
        front_ends,
        precision: Precision::F32,
        threads: None,
        remote: None,
    };
    let workshop = Workshop::load(&options, &|_| ())?;
    tch::set_num_threads(1);
    let piece = workshop.open(&bundle)?;

    let mut points: Vec<Point> = Vec::new();
    for line in BufReader::new(File::open(data)?).lines().take(count) {
        let row: Value = serde_json::from_str(&line?)?;
        let request = json!({ "code": row["source"] }).to_string();
        // What the task refuses is no prompt.
        let Ok(first) = workshop.prepare(&piece, &request) else {
            continue;
        };
        let prepare = fastest(|| workshop.prepare(&piece, &request).map(drop))?;
        points.push(Point {
            tokens: first.prompt.ids.len(),
            nodes: first
                .prompt
                .codes
                .iter()
                .map(|code| code.parsed.cpg.nodes().len())
                .sum(),
            prepare,
            transducer: Vec::new(),
            prompt: first,
        });
    }
    if points.len() < 2 {
        return Err("a line wants at least two rows that the task takes".into());
    }
    for hidden in HIDDEN {
        let transducer = Transducer::new(TransducerConfig::for_hidden(hidden), Device::Cpu, 0)?;
        for point in &mut points {
            let time = point.enrich(&transducer, hidden)?;
            point.transducer.push(time);
        }
    }

    let mut stages = vec![stage("prepare", &points, |point| point.prepare)];
    for (place, hidden) in HIDDEN.into_iter().enumerate() {
        let name = format!("transducer, hidden {hidden}");
        stages.push(stage(&name, &points, |point| point.transducer[place]));
    }
    let nodes: usize = points.iter().map(|point| point.nodes).sum();
    let tokens: usize = points.iter().map(|point| point.tokens).sum();
    let report = json!({
        "prompts": points.len(), "nodes_per_token": nodes as f64 / tokens as f64,
        "embeddings_bf16_mb_per_1000_tokens": HIDDEN.map(|hidden| 2.0 * 1000.0 * hidden as f64 / MB),
        "stages": stages,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// A prompt and what it took, in milliseconds.
struct Point {
    tokens: usize,
    nodes: usize,
    prepare: f64,
    /// By hidden size.
    transducer: Vec<f64>,
    prompt: PreparedPrompt,
}

impl Point {
    fn enrich(&self, transducer: &Transducer, hidden: usize) -> Result<f64> {
        let embeddings = Tensor::randn([self.tokens as i64, hidden as i64], (Kind::BFloat16, Device::Cpu));
        let prompt = &self.prompt.prompt;
        let codes = prompt.segments();
        fastest(|| tch::no_grad(|| transducer.enrich(&embeddings, &codes, &prompt.text).map(drop)))
    }
}

/// CPU time of the fastest round, in milliseconds.
fn fastest<E: Into<Box<dyn std::error::Error>>>(mut run: impl FnMut() -> std::result::Result<(), E>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = cpu();
        run().map_err(Into::into)?;
        best = best.min((cpu() - before).as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// A stage's line through all points, and the means of groups of them beside it.
fn stage(name: &str, points: &[Point], time: impl Fn(&Point) -> f64) -> Value {
    let pairs: Vec<(f64, f64)> = points.iter().map(|point| (point.tokens as f64, time(point))).collect();
    let line = Line::through(&pairs);
    let mut groups: std::collections::BTreeMap<usize, Vec<(f64, f64)>> = std::collections::BTreeMap::new();
    for &(tokens, ms) in &pairs {
        groups.entry(tokens as usize / GROUP).or_default().push((tokens, ms));
    }
    let groups: Vec<Value> = groups
        .values()
        .map(|group| {
            let mean = |of: fn(&(f64, f64)) -> f64| group.iter().map(of).sum::<f64>() / group.len() as f64;
            let tokens = mean(|pair| pair.0);
            json!({ "prompts": group.len(), "tokens": tokens, "ms": mean(|pair| pair.1), "fitted_ms": line.at(tokens) })
        })
        .collect();
    json!({
        "stage": name, "ms": line.start, "ms_per_1000_tokens": line.slope * 1e3, "r_squared": line.r_squared(&pairs),
        "points": groups,
    })
}

/// A straight line by least squares.
struct Line {
    start: f64,
    slope: f64,
}

impl Line {
    fn through(pairs: &[(f64, f64)]) -> Self {
        let count = pairs.len() as f64;
        let (x, y) = pairs
            .iter()
            .fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let (x, y) = (x / count, y / count);
        let (above, below) = pairs.iter().fold((0.0, 0.0), |sum, pair| {
            (sum.0 + (pair.0 - x) * (pair.1 - y), sum.1 + (pair.0 - x).powi(2))
        });
        let slope = above / below;
        Self {
            start: y - slope * x,
            slope,
        }
    }

    fn at(&self, x: f64) -> f64 {
        self.start + self.slope * x
    }

    /// The share of the variance that the line explains.
    fn r_squared(&self, pairs: &[(f64, f64)]) -> f64 {
        let mean = pairs.iter().map(|pair| pair.1).sum::<f64>() / pairs.len() as f64;
        let all: f64 = pairs.iter().map(|pair| (pair.1 - mean).powi(2)).sum();
        let left: f64 = pairs.iter().map(|pair| (pair.1 - self.at(pair.0)).powi(2)).sum();
        1.0 - left / all
    }
}
