//! The default model against Hugging Face transformers reading the very same file: `tests/parity/lm_reference.py`.

mod common;

use std::fs;
use std::path::Path;

use common::{fixture, greedy, load, max_abs_diff, model_path, tensors};
use serde::Deserialize;
use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, Positions};

/// What the project promises for `f32`: logits within this of transformers', which are of size 20.
const TOLERANCE: f64 = 1e-3;

/// Every how many columns the reference keeps a logit.
const COLUMN_STEP: i64 = 48;

#[derive(Deserialize)]
struct Prompt {
    ids: Vec<u32>,
    greedy_ids: Vec<u32>,
}

fn prompts() -> Vec<Prompt> {
    let prompts: Vec<Prompt> = serde_json::from_slice(&fs::read(fixture("parity/lm_smollm2.json")).unwrap()).unwrap();
    assert_eq!(prompts.len(), 20);
    prompts
}

/// Logits after every token, `[tokens, vocab]`.
fn logits(backbone: &Backbone, ids: &[u32]) -> Tensor {
    let embeddings = backbone.embed(ids).unwrap().unsqueeze(0);
    backbone
        .forward(&embeddings, None, Positions::All)
        .unwrap()
        .squeeze_dim(0)
}

#[test]
fn logits_are_those_of_transformers() {
    let backbone = load(&model_path());
    let expected = tensors("parity/lm_smollm2.safetensors");
    let mut largest = 0.0_f64;
    for (index, prompt) in prompts().iter().enumerate() {
        let logits = logits(&backbone, &prompt.ids);
        let chosen = logits.index_select(0, &expected[&format!("positions.{index}")].to_kind(Kind::Int64));
        let sampled = chosen.slice(1, 0, None, COLUMN_STEP);
        let diff = max_abs_diff(&sampled, &expected[&format!("logits.{index}")]);
        // The sum over the vocabulary holds the logits that were not sampled.
        let sums = chosen.logsumexp([-1], false);
        let sum_diff = max_abs_diff(&sums, &expected[&format!("logsumexp.{index}")]);
        largest = largest.max(diff).max(sum_diff);
        assert!(
            diff < TOLERANCE && sum_diff < TOLERANCE,
            "prompt {index}: logits differ by {diff}, sums by {sum_diff}"
        );
        if index == 0 {
            assert!(max_abs_diff(&logits.get(-1), &expected["full"]) < TOLERANCE);
        }
    }
    println!("20 prompts, sampled logits: max abs diff {largest:.2e}");
}

#[test]
fn greedy_text_is_that_of_transformers() {
    let backbone = load(&model_path());
    for (index, prompt) in prompts().iter().enumerate() {
        let new = greedy(&backbone, &prompt.ids, prompt.greedy_ids.len()).unwrap();
        assert_eq!(new.len(), 64);
        assert_eq!(new, prompt.greedy_ids, "prompt {index}");
    }
}

/// Every logit of every position, from the file that `lm_reference.py --full` writes; too large to be kept.
#[test]
#[ignore = "needs TRANSDUCER_LM_FULL, the file of `lm_reference.py --full`"]
fn all_logits_are_those_of_transformers() {
    let path = std::env::var("TRANSDUCER_LM_FULL").expect("TRANSDUCER_LM_FULL");
    let expected = Tensor::read_safetensors(Path::new(&path)).unwrap();
    let backbone = load(&model_path());
    let prompts = prompts();
    let mut count = 0;
    let mut largest = 0.0_f64;
    for (name, expected) in &expected {
        let index: usize = name.strip_prefix("logits.").unwrap().parse().unwrap();
        let diff = max_abs_diff(&logits(&backbone, &prompts[index].ids), expected);
        println!("prompt {index}: {} tokens, max abs diff {diff:.2e}", expected.size()[0]);
        count += expected.numel();
        largest = largest.max(diff);
    }
    println!("{count} logits, max abs diff {largest:.2e}");
    assert!(largest < TOLERANCE);
}
