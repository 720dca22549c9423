//! METEOR without synonyms, as NLTK's `meteor_score` with a WordNet that knows no word.
//!
//! Lavie and Agarwal 2007, "METEOR: An Automatic Metric for MT Evaluation with High Levels of Correlation with Human
//! Judgments", with the parameters of Banerjee and Lavie 2005, NLTK's defaults. NLTK leaves the tokens to its caller:
//! here they are mteval's, as for BLEU, so that a full stop does not make another word of the last one.

use std::collections::HashMap;

use crate::{Pair, stem, tokens};

/// How much recall outweighs precision.
const ALPHA: f64 = 0.9;
/// How steeply fragmentation is penalized.
const BETA: i32 = 3;
/// What the worst fragmentation costs.
const GAMMA: f64 = 0.5;

/// The score of one item, from 0 to 1. An answer that is its reference falls short of 1 by what one chunk costs.
pub(crate) fn meteor(pair: &Pair<'_>) -> f64 {
    let cut = |text| tokens::mteval(text).to_lowercase();
    let (answer, reference) = (cut(pair.answer), cut(pair.reference));
    let (answer, reference) = (tokens::words(&answer), tokens::words(&reference));
    let aligned = align(&answer, &reference);
    if aligned.is_empty() {
        return 0.0;
    }
    let matches = aligned.len() as f64;
    let (precision, recall) = (matches / answer.len() as f64, matches / reference.len() as f64);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let neighbours = |pair: &[(usize, usize)]| pair[1] == (pair[0].0 + 1, pair[0].1 + 1);
    let chunks = 1 + aligned.windows(2).filter(|pair| !neighbours(pair)).count();
    (1.0 - GAMMA * (chunks as f64 / matches).powi(BETA)) * mean
}

/// Which word of the answer is which of the reference, in the answer's order: words first, then stems of what is left.
fn align(answer: &[&str], reference: &[&str]) -> Vec<(usize, usize)> {
    let enumerated =
        |words: &[&str]| -> Vec<(usize, String)> { words.iter().map(|&word| word.to_owned()).enumerate().collect() };
    let (mut answer, mut reference) = (enumerated(answer), enumerated(reference));
    let mut aligned = take_equal(&mut answer, &mut reference);
    for (_, word) in answer.iter_mut().chain(&mut reference) {
        *word = stem::porter(word);
    }
    aligned.extend(take_equal(&mut answer, &mut reference));
    aligned.sort_unstable();
    aligned
}

/// Takes out what is equal. From the end, each word with the last that is free: not the alignment with the fewest
/// chunks, but NLTK's.
fn take_equal(answer: &mut Vec<(usize, String)>, reference: &mut Vec<(usize, String)>) -> Vec<(usize, usize)> {
    let mut free: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, word) in reference.iter() {
        free.entry(word).or_default().push(*at);
    }
    let taken: Vec<_> = answer
        .iter()
        .rev()
        .filter_map(|(at, word)| Some((*at, free.get_mut(word.as_str())?.pop()?)))
        .collect();
    let (of_answer, of_reference): (Vec<_>, Vec<_>) = taken.iter().copied().unzip();
    answer.retain(|(at, _)| !of_answer.contains(at));
    reference.retain(|(at, _)| !of_reference.contains(at));
    taken
}
