//! chrF2, as sacrebleu's `CHRF()`.
//!
//! Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation": n-grams of one to six characters
//! without white space, recall weighing twice as much as precision.

use crate::{Pair, ngrams, tokens};

const ORDERS: usize = 6;
const BETA: f64 = 2.0;

/// For every order the answer's n-grams, the reference's, and the matches.
pub(crate) fn statistics(pair: &Pair<'_>) -> [f64; 3 * ORDERS] {
    let characters = |text| tokens::words(text).into_iter().flat_map(str::chars).collect();
    let (answer, reference): (Vec<char>, Vec<char>) = (characters(pair.answer), characters(pair.reference));
    let mut row = [0.0; 3 * ORDERS];
    for (n, row) in (1..=ORDERS).zip(row.chunks_exact_mut(3)) {
        let of_reference = ngrams::count(reference.len(), n);
        // A reference too short for an order does not judge the answer's precision in it.
        if of_reference > 0 {
            row[0] = ngrams::count(answer.len(), n) as f64;
            row[1] = of_reference as f64;
            row[2] = ngrams::shared(&answer, &reference, n) as f64;
        }
    }
    row
}

/// F of the mean precision and the mean recall over the orders that both sides have.
pub(crate) fn score(sum: &[f64]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for order in sum.chunks_exact(3) {
        if order[0] > 0.0 && order[1] > 0.0 {
            precision += order[2] / order[0];
            recall += order[2] / order[1];
            orders += 1.0;
        }
    }
    // Matches and none are the same on both sides.
    if precision == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    let factor = BETA * BETA;
    100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
}
