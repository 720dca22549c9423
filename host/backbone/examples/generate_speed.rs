//! Single-stream speed of the backbone: prefill of 512 tokens and greedy decoding of 64, in each kind of numbers.
//!
//! `cargo run --example generate_speed -p transducer-backbone -- [ROUNDS] [MODEL]`
//!
//! Prints a line a kind and round: `KIND prefill SECONDS decode SECONDS`, and at the end the medians in tokens a second.
//! `tests/parity/lm_speed.py` runs it in turns with transformers.

use std::path::PathBuf;
use std::time::Instant;

use tch::Tensor;
use transducer_backbone::{Backbone, BackboneError, DtypeChoice, LoadOptions, Positions};

const PREFILL: usize = 512;
const DECODE: usize = 64;
const DEFAULT_ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().map_or(Ok(DEFAULT_ROUNDS), |rounds| rounds.parse())?;
    let model = arguments
        .next()
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("TRANSDUCER_MODEL").map(PathBuf::from));
    let model = model.ok_or("give a model, or set TRANSDUCER_MODEL")?;

    let mut measured = Vec::new();
    for dtype in [DtypeChoice::F32, DtypeChoice::Bf16] {
        let options = LoadOptions {
            dtype,
            ..LoadOptions::default()
        };
        let backbone = Backbone::load(&model, &options)?;
        // The first pass pays for libtorch's thread pool and kernel choice.
        measure(&backbone)?;
        measured.push((backbone, Vec::new(), Vec::new()));
    }
    for _ in 0..rounds {
        for (backbone, prefills, decodes) in &mut measured {
            let (prefill, decode) = measure(backbone)?;
            println!("{:?} prefill {prefill:.4} decode {decode:.4}", backbone.kind());
            prefills.push(prefill);
            decodes.push(decode);
        }
    }
    for (backbone, prefills, decodes) in &mut measured {
        let (prefill, decode) = (PREFILL as f64 / median(prefills), DECODE as f64 / median(decodes));
        println!(
            "{:?}: prefill {prefill:.0} tokens/s, decode {decode:.1} tokens/s",
            backbone.kind()
        );
    }
    Ok(())
}

/// Seconds for the prefill, the first new token included, and for the 64 tokens after it.
fn measure(backbone: &Backbone) -> Result<(f64, f64), BackboneError> {
    let _guard = tch::no_grad_guard();
    // Any tokens do: what is computed does not depend on them.
    let prompt = (0..PREFILL as u32)
        .map(|place| 1_000 + place * 7 % 10_000)
        .collect::<Vec<_>>();
    let started = Instant::now();
    let mut cache = backbone.new_cache(1, PREFILL + DECODE)?;
    let mut next = best(&backbone.forward(
        &backbone.embed(&prompt)?.unsqueeze(0),
        Some(&mut cache),
        Positions::Last,
    )?);
    let prefill = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for _ in 0..DECODE {
        next = best(&backbone.forward(
            &backbone.embed(&[next])?.unsqueeze(0),
            Some(&mut cache),
            Positions::Last,
        )?);
    }
    Ok((prefill, started.elapsed().as_secs_f64()))
}

fn best(logits: &Tensor) -> u32 {
    u32::try_from(logits.argmax(None, false).int64_value(&[])).unwrap_or(0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
