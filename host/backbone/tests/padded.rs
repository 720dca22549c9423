//! Sequences of different lengths in one batch compute what each computes alone.

mod common;

use common::{fixture, load, max_abs_diff, model_path};
use tch::Tensor;
use transducer_backbone::{Backbone, KvCache, Positions};

/// Two computations of one thing in `f32`, in different orders. Logits are of size 10 to 20.
const F32_TOLERANCE: f64 = 1e-4;

/// Embeddings of sequences, `[batch, longest, hidden]`, padded on the left with numbers that would be noticed.
fn padded(backbone: &Backbone, sequences: &[Vec<u32>]) -> (Tensor, Vec<usize>) {
    let longest = sequences.iter().map(Vec::len).max().unwrap();
    let hidden = backbone.config().hidden_size as i64;
    let rows = sequences
        .iter()
        .map(|ids| {
            let noise = Tensor::randn(
                [(longest - ids.len()) as i64, hidden],
                (backbone.kind(), backbone.device()),
            );
            Tensor::cat(&[noise, backbone.embed(ids).unwrap()], 0)
        })
        .collect::<Vec<_>>();
    let padding = sequences.iter().map(|ids| longest - ids.len()).collect();
    (Tensor::stack(&rows, 0), padding)
}

/// Different tokens in every sequence.
fn sequence(seed: u32, tokens: usize) -> Vec<u32> {
    (0..tokens as u32)
        .map(|place| 3 + (place * 7 + seed * 31) % 300)
        .collect()
}

/// The logits of each row's last token against those of its sequence alone.
fn check_last(backbone: &Backbone, sequences: &[Vec<u32>], logits: &Tensor) {
    assert_eq!(logits.size()[0] as usize, sequences.len());
    for (row, ids) in sequences.iter().enumerate() {
        let embeddings = backbone.embed(ids).unwrap().unsqueeze(0);
        let alone = backbone.forward(&embeddings, None, Positions::Last).unwrap();
        let diff = max_abs_diff(&logits.narrow(0, row as i64, 1).narrow(1, -1, 1), &alone);
        assert!(
            diff < F32_TOLERANCE,
            "row {row} of {} tokens: logits differ by {diff}",
            ids.len()
        );
    }
}

/// One more token of each sequence.
fn step(backbone: &Backbone, cache: &mut KvCache, sequences: &mut [Vec<u32>], first: u32) -> Tensor {
    let new = (first..).take(sequences.len()).collect::<Vec<_>>();
    for (ids, &id) in sequences.iter_mut().zip(&new) {
        ids.push(id);
    }
    let embeddings = backbone.embed(&new).unwrap().unsqueeze(1);
    backbone.forward(&embeddings, Some(cache), Positions::Last).unwrap()
}

#[test]
fn sequences_of_different_lengths_compute_what_each_computes_alone() {
    for model in ["tiny-llama", "tiny-qwen2", "tiny-starcoder2", "tiny-gemma"] {
        let backbone = load(&fixture(model));
        let _guard = tch::no_grad_guard();
        for cuts in [vec![20], vec![7, 1, 1, 5, 6], vec![1; 20]] {
            let mut sequences = [20, 1, 13, 19, 20, 6].map(|tokens| sequence(tokens, tokens as usize));
            let (embeddings, padding) = padded(&backbone, &sequences);
            let mut cache = backbone.new_padded_cache(&padding, 24).unwrap();
            let mut parts = Vec::new();
            for &tokens in &cuts {
                let part = embeddings.narrow(1, cache.len() as i64, tokens);
                parts.push(backbone.forward(&part, Some(&mut cache), Positions::All).unwrap());
            }
            let logits = Tensor::cat(&parts, 1);
            for (row, ids) in sequences.iter().enumerate() {
                let alone = backbone
                    .forward(&backbone.embed(ids).unwrap().unsqueeze(0), None, Positions::All)
                    .unwrap();
                let own = logits
                    .narrow(0, row as i64, 1)
                    .narrow(1, padding[row] as i64, ids.len() as i64);
                let diff = max_abs_diff(&own, &alone);
                assert!(
                    diff < F32_TOLERANCE,
                    "{model}, cut as {cuts:?}, row {row}: logits differ by {diff}"
                );
            }
            assert_eq!(logits.isfinite().all().int64_value(&[]), 1, "padding is a number too");
            for first in [10, 50] {
                let logits = step(&backbone, &mut cache, &mut sequences, first);
                check_last(&backbone, &sequences, &logits);
            }
        }
    }
}

/// The default model, with padding longer than the blocks of keys in which attention is computed.
#[test]
fn the_default_model_computes_behind_long_padding_what_it_does_alone() {
    let backbone = load(&model_path());
    let _guard = tch::no_grad_guard();
    let mut sequences = [sequence(1, 9), sequence(2, 640), sequence(3, 70)];
    let (embeddings, padding) = padded(&backbone, &sequences);
    let mut cache = backbone.new_padded_cache(&padding, 642).unwrap();
    let logits = backbone
        .forward(&embeddings, Some(&mut cache), Positions::Last)
        .unwrap();
    check_last(&backbone, &sequences, &logits);
    let logits = step(&backbone, &mut cache, &mut sequences, 1000);
    check_last(&backbone, &sequences, &logits);
}

#[test]
fn padding_follows_its_row() {
    let backbone = load(&fixture("tiny-llama"));
    let _guard = tch::no_grad_guard();
    let prompts = [8, 3, 5, 1, 7].map(|tokens| sequence(tokens, tokens as usize));
    let (embeddings, padding) = padded(&backbone, &prompts);
    let mut cache = backbone.new_padded_cache(&padding, 12).unwrap();
    let _logits = backbone
        .forward(&embeddings, Some(&mut cache), Positions::None)
        .unwrap();
    cache.reorder(&[3, 0, 3, 2]).unwrap();
    let mut sequences = [3, 0, 3, 2].map(|row: usize| prompts[row].clone());
    let logits = step(&backbone, &mut cache, &mut sequences, 20);
    check_last(&backbone, &sequences, &logits);
}

/// Sequences with a cache each, that begin and end when they like.
#[test]
fn a_step_of_several_caches_is_a_step_of_each() {
    let backbone = load(&fixture("tiny-llama"));
    let mut sequences: Vec<Vec<u32>> = [5, 23, 1]
        .into_iter()
        .zip(1..)
        .map(|(tokens, seed)| sequence(seed, tokens))
        .collect();
    let mut caches: Vec<KvCache> = sequences
        .iter()
        .map(|ids| {
            let mut cache = backbone.new_cache(1, 40).unwrap();
            let embeddings = backbone.embed(ids).unwrap().unsqueeze(0);
            let _no_logits = backbone
                .forward(&embeddings, Some(&mut cache), Positions::None)
                .unwrap();
            cache
        })
        .collect();
    for turn in 0..4_u32 {
        if turn == 2 {
            sequences.remove(1);
            caches.remove(1);
        }
        let new: Vec<u32> = (20 + 10 * turn..).take(sequences.len()).collect();
        for (ids, &id) in sequences.iter_mut().zip(&new) {
            ids.push(id);
        }
        let embeddings = backbone.embed(&new).unwrap().unsqueeze(1);
        let logits = backbone
            .forward_each(&embeddings, &mut caches.iter_mut().collect::<Vec<_>>())
            .unwrap();
        check_last(&backbone, &sequences, &logits);
    }
    let two = backbone.embed(&[1, 2, 3]).unwrap().unsqueeze(1);
    assert!(
        backbone
            .forward_each(&two, &mut caches.iter_mut().collect::<Vec<_>>())
            .is_err()
    );
}
