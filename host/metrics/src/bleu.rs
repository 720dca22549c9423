//! BLEU: of a corpus as sacrebleu has it, and CodeXGLUE's smoothed BLEU of sentences.
//!
//! Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation". What implementations make
//! differently is the tokens, what happens to an order without a match, and the penalty.

use crate::{Pair, ngrams, tokens};

const ORDERS: usize = 4;

/// The lengths of answer and reference, the matches of every order, and the answer's n-grams of every order.
pub(crate) fn statistics(answer: &[&str], reference: &[&str]) -> [f64; 2 + 2 * ORDERS] {
    let mut row = [0.0; 2 + 2 * ORDERS];
    row[0] = answer.len() as f64;
    row[1] = reference.len() as f64;
    for n in 1..=ORDERS {
        row[1 + n] = ngrams::shared(answer, reference, n) as f64;
        row[1 + ORDERS + n] = ngrams::count(answer.len(), n) as f64;
    }
    row
}

/// sacrebleu's `BLEU()`: an order without a match counts as half a match, the next as a quarter and so on
/// (`smooth_method=exp`, from mteval-v13a). A corpus too short to have an n-gram of every order scores 0.
pub(crate) fn score(sum: &[f64]) -> f64 {
    let (lengths, counts) = sum.split_at(2);
    let (matches, totals) = counts.split_at(ORDERS);
    if matches.iter().all(|&matches| matches == 0.0) || totals.contains(&0.0) {
        return 0.0;
    }
    let mut halved = 1.0;
    let mut logarithms = 0.0;
    for (&matches, &total) in matches.iter().zip(totals) {
        let matches = if matches == 0.0 {
            halved /= 2.0;
            halved
        } else {
            matches
        };
        logarithms += (matches / total).ln();
    }
    let penalty = (1.0 - lengths[1] / lengths[0]).min(0.0);
    100.0 * (penalty + logarithms / ORDERS as f64).exp()
}

/// CodeXGLUE's `bleu.py`, after Lin and Och 2004 ("ORANGE"): one more match and one more n-gram above the first order,
/// and one more token on either side of the length penalty. From 0 to 1.
///
/// An answer without a token is only penalized: it scores `exp(-r)` beside a reference of `r` tokens, as there.
pub(crate) fn smoothed(pair: &Pair<'_>) -> f64 {
    let (answer, reference) = (pair.answer.to_lowercase(), pair.reference.to_lowercase());
    let (answer, reference) = (tokens::punctuated(&answer), tokens::punctuated(&reference));
    let mut logarithms = 0.0;
    if !answer.is_empty() {
        for n in 1..=ORDERS {
            let added = if n == 1 { 0.0 } else { 1.0 };
            let matches = ngrams::shared(&answer, &reference, n) as f64 + added;
            let total = ngrams::count(answer.len(), n) as f64 + added;
            logarithms += (matches / total).ln();
        }
    }
    let penalty = 1.0 - (reference.len() + 1) as f64 / (answer.len() + 1) as f64;
    // No match at all is minus infinity, hence 0; the script's smallest float comes to 1e-77.
    (penalty.min(0.0) + logarithms / ORDERS as f64).exp()
}
