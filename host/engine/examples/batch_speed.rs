//! What it costs to answer several requests side by side, to read a prompt, and to make a token beside what memory allows.
//!
//! `batch_speed MODEL [--concurrent 1,4,16] [--prompt 128] [--new 64] [--prefill 512] [--rounds 5] [--weights auto|full|int8|int4]
//! [--precision auto|f32|bf16|int8] [--threads N] [--bind-threads] [--json]` prints, for each number of requests that are submitted at once, the median over the rounds of new
//! tokens a second, and its ratio to one request.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use transducer_backbone::{Backbone, DtypeChoice, LoadOptions, WeightFormat};
use transducer_engine::{
    Decoding, DecodingOptions, Engine, EngineOptions, Event, LocalEngine, PromptEmbeddings, Request, Sink,
};

const USAGE: &str = "usage: batch_speed MODEL [--concurrent 1,4,16] [--prompt N] [--new N] [--prefill N] [--rounds N] \
                     [--weights auto|full|int8|int4] [--precision auto|f32|bf16|int8] [--threads N] [--bind-threads] [--json]";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let model = PathBuf::from(words.next().ok_or(USAGE)?);
    let (mut concurrent, mut prompt, mut new, mut prefill, mut rounds) = (vec![1, 4, 16], 128, 64, 512, 5);
    let (mut load, mut json, mut bind_threads) = (LoadOptions::default(), false, false);
    while let Some(flag) = words.next() {
        if flag == "--json" {
            json = true;
            continue;
        }
        if flag == "--bind-threads" {
            bind_threads = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--concurrent" => {
                concurrent = value
                    .split(',')
                    .map(str::parse)
                    .collect::<std::result::Result<_, _>>()?;
            }
            "--prompt" => prompt = value.parse()?,
            "--new" => new = value.parse()?,
            "--prefill" => prefill = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            "--threads" => load.threads = Some(value.parse()?),
            "--precision" => {
                load.dtype = match value.as_str() {
                    "auto" => DtypeChoice::Auto,
                    "f32" => DtypeChoice::F32,
                    "bf16" => DtypeChoice::Bf16,
                    "int8" => DtypeChoice::Int8,
                    other => return Err(format!("no such precision: {other}").into()),
                };
            }
            "--weights" => {
                load.weights = match value.as_str() {
                    "auto" => WeightFormat::Auto,
                    "full" => WeightFormat::Full,
                    "int8" => WeightFormat::Int8,
                    "int4" => WeightFormat::Int4,
                    other => return Err(format!("no such weights: {other}").into()),
                };
            }
            other => return Err(format!("unknown flag {other}; {USAGE}").into()),
        }
    }
    let backbone = Arc::new(Backbone::load(&model, &load)?);
    let most = concurrent.iter().copied().max().unwrap_or(1);
    let options = EngineOptions {
        queue_bound: most,
        most_running: most,
        bind_threads,
        ..EngineOptions::default()
    };
    let engine = LocalEngine::start(Arc::clone(&backbone), &options)?;
    let mut times = vec![Vec::new(); concurrent.len()];
    let (mut prefills, mut bandwidths, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    // One round more than is counted, to warm up; the numbers take turns, so that a slow minute is everybody's.
    for round in 0..=rounds {
        for (&requests, times) in concurrent.iter().zip(&mut times) {
            let (tokens, seconds) = answer(&engine, &backbone, requests, prompt, new)?;
            if round > 0 {
                times.push(tokens as f64 / seconds);
            }
        }
        // What an answer takes beyond its first token is steps of one request.
        let first = answer(&engine, &backbone, 1, prompt, 1)?;
        let whole = answer(&engine, &backbone, 1, prompt, new)?;
        let (_, seconds) = answer(&engine, &backbone, 1, prefill, 1)?;
        if round > 0 {
            steps.push((whole.1 - first.1) / (whole.0 - first.0) as f64);
            prefills.push(prefill as f64 / seconds);
            bandwidths.push(bandwidth(load.threads));
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    let (prefill_speed, bandwidth) = (median(&mut prefills), median(&mut bandwidths));
    let (step_bytes, step) = (backbone.step_bytes(), median(&mut steps));
    if json {
        let speeds: Vec<String> = concurrent
            .iter()
            .zip(&medians)
            .map(|(n, speed)| format!("\"{n}\": {speed:.2}"))
            .collect();
        println!(
            "{{\"new_tokens_per_second\": {{{}}}, \"prefill_tokens_per_second\": {prefill_speed:.1}, \"step_bytes\": {}, \
             \"bytes_per_second\": {bandwidth:.0}, \"step_seconds\": {step:.6}}}",
            speeds.join(", "),
            step_bytes.unwrap_or(0),
        );
        return Ok(());
    }
    println!(
        "{prompt} tokens in, {new} out, {rounds} rounds, {}",
        backbone.precision()
    );
    for (requests, median) in concurrent.iter().zip(&medians) {
        println!(
            "{requests:3} at once: {median:7.1} new tokens/s, {:.2} x",
            median / medians[0]
        );
    }
    println!("prefill of {prefill}: {prefill_speed:.0} tokens/s");
    if let Some(bytes) = step_bytes {
        let floor = bytes as f64 / bandwidth;
        println!(
            "a step of one takes {:.2} ms and reads {} MB of weights; at {:.1} GB/s that takes {:.2} ms: {:.2} x",
            1e3 * step,
            bytes / 1_000_000,
            bandwidth / 1e9,
            1e3 * floor,
            step / floor
        );
    }
    Ok(())
}

/// Bytes that the threads read from memory in a second, together: sums over 256 MB each.
fn bandwidth(threads: Option<NonZeroUsize>) -> f64 {
    const NUMBERS: usize = 32 << 20;
    let threads = threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let memory: Vec<Vec<u64>> = (0..threads).map(|thread| vec![thread as u64 + 1; NUMBERS]).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for numbers in &memory {
            scope.spawn(|| std::hint::black_box(numbers.iter().copied().fold(0, u64::wrapping_add)));
        }
    });
    (threads * NUMBERS * size_of::<u64>()) as f64 / begun.elapsed().as_secs_f64()
}

/// New tokens and seconds of `requests` answers, submitted at once.
fn answer(
    engine: &LocalEngine,
    backbone: &Backbone,
    requests: usize,
    prompt: usize,
    new: usize,
) -> Result<(usize, f64)> {
    let (sender, receiver) = mpsc::channel();
    let begun = Instant::now();
    for request in 0..requests {
        // Different prompts, none of which ends early: `new` tokens of each are wanted.
        let ids: Vec<u32> = (0..prompt as u32)
            .map(|place| 300 + (place * 7 + request as u32 * 131) % 2_000)
            .collect();
        let embeddings = PromptEmbeddings::new(&backbone.embed(&ids)?, backbone)?;
        let decoding = Decoding::new(DecodingOptions {
            max_new_tokens: new,
            ..DecodingOptions::default()
        })?;
        let sender = sender.clone();
        let sink: Sink = Box::new(move |event| {
            let end = match event {
                Event::Text(_) => return std::ops::ControlFlow::Continue(()),
                Event::Done(completion) => Ok(completion.usage.completion_tokens),
                Event::Failed(error) => Err(error.to_string()),
            };
            let _ = sender.send(end);
            std::ops::ControlFlow::Continue(())
        });
        engine.submit(Request::new(embeddings, decoding, sink))?;
    }
    drop(sender);
    let mut tokens = 0;
    for end in receiver {
        tokens += end?;
    }
    Ok((tokens, begun.elapsed().as_secs_f64()))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
