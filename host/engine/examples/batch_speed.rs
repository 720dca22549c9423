//! What it costs to answer several requests side by side.
//!
//! `batch_speed MODEL [--concurrent 1,4,16] [--prompt 128] [--new 64] [--rounds 5]` prints, for each number of requests that are
//! submitted at once, the median over the rounds of new tokens a second, and its ratio to one request.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use transducer_backbone::{Backbone, LoadOptions};
use transducer_engine::{
    Decoding, DecodingOptions, Engine, EngineOptions, Event, LocalEngine, PromptEmbeddings, Request, Sink,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let model = PathBuf::from(
        words
            .next()
            .ok_or("usage: batch_speed MODEL [--concurrent 1,4,16] [--prompt N] [--new N] [--rounds N]")?,
    );
    let (mut concurrent, mut prompt, mut new, mut rounds) = (vec![1, 4, 16], 128, 64, 5);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--concurrent" => concurrent = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--prompt" => prompt = value.parse()?,
            "--new" => new = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    let backbone = Arc::new(Backbone::load(&model, &LoadOptions::default())?);
    let most = concurrent.iter().copied().max().unwrap_or(1);
    let options = EngineOptions {
        queue_bound: most,
        most_running: most,
        ..EngineOptions::default()
    };
    let engine = LocalEngine::start(Arc::clone(&backbone), &options)?;
    let mut times = vec![Vec::new(); concurrent.len()];
    // One round more than is counted, to warm up; the numbers take turns, so that a slow minute is everybody's.
    for round in 0..=rounds {
        for (&requests, times) in concurrent.iter().zip(&mut times) {
            let (tokens, seconds) = answer(&engine, &backbone, requests, prompt, new)?;
            if round > 0 {
                times.push(tokens as f64 / seconds);
            }
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("{prompt} tokens in, {new} out, {rounds} rounds, {:?}", backbone.kind());
    for (requests, median) in concurrent.iter().zip(&medians) {
        println!(
            "{requests:3} at once: {median:7.1} new tokens/s, {:.2} x",
            median / medians[0]
        );
    }
    Ok(())
}

/// New tokens and seconds of `requests` answers, submitted at once.
fn answer(
    engine: &LocalEngine,
    backbone: &Backbone,
    requests: usize,
    prompt: usize,
    new: usize,
) -> Result<(usize, f64), Box<dyn std::error::Error>> {
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
