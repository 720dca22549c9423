//! What fewer bits a weight cost in quality: the perplexity of texts with each format.
//!
//! `perplexity MODEL [--bf16|--int8] FILE…` reads each text in windows of 512 tokens and prints, for each format, `exp` of the mean negative
//! log-likelihood of every token but the first of its window, and its ratio to that with the weights in full.

use std::path::PathBuf;

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, DtypeChoice, LoadOptions, Positions, WeightFormat};

/// Tokens that are read without what came before them.
const WINDOW: usize = 512;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).map(PathBuf::from);
    let model = words.next().ok_or("usage: perplexity MODEL [--bf16|--int8] FILE…")?;
    let mut words = words.peekable();
    // In f32 nothing but the weights differs; else prompts are read by other loops, too.
    let flag = words.next_if(|word| word.as_os_str() == "--bf16" || word.as_os_str() == "--int8");
    let dtype = match flag.as_ref().and_then(|flag| flag.to_str()) {
        Some("--bf16") => DtypeChoice::Bf16,
        Some(_) => DtypeChoice::Int8,
        None => DtypeChoice::F32,
    };
    let texts = words
        .map(std::fs::read_to_string)
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut full = None;
    for weights in [
        WeightFormat::Full,
        WeightFormat::Auto,
        WeightFormat::Int8,
        WeightFormat::Int4,
    ] {
        let load = LoadOptions {
            dtype,
            weights,
            ..LoadOptions::default()
        };
        let backbone = Backbone::load(&model, &load)?;
        let (mut sum, mut tokens) = (0.0, 0);
        for text in &texts {
            for window in backbone.tokenizer().encode(text)?.ids.chunks(WINDOW) {
                sum += tch::no_grad(|| negative_log_likelihood(&backbone, window))?;
                tokens += window.len() - 1;
            }
        }
        let perplexity = (sum / tokens as f64).exp();
        let ratio = perplexity / *full.get_or_insert(perplexity);
        let bytes = backbone.step_bytes().unwrap_or(0);
        println!(
            "{weights:?}: perplexity {perplexity:.4} over {tokens} tokens, {ratio:.4} x, {} MB read a step",
            bytes / 1_000_000
        );
    }
    Ok(())
}

/// Of all tokens but the first, summed.
fn negative_log_likelihood(backbone: &Backbone, ids: &[u32]) -> Result<f64> {
    let mut cache = backbone.new_cache(1, ids.len())?;
    let embeddings = backbone.embed(ids)?.unsqueeze(0);
    let logits = backbone.forward(&embeddings, Some(&mut cache), Positions::All)?;
    let next: Vec<i64> = ids[1..].iter().map(|&id| i64::from(id)).collect();
    let likelihoods = logits
        .squeeze_dim(0)
        .narrow(0, 0, next.len() as i64)
        .f_log_softmax(-1, Kind::Double)?
        .f_gather(1, &Tensor::from_slice(&next).unsqueeze(1), false)?;
    Ok(-likelihoods.sum(Kind::Double).double_value(&[]))
}
