//! BLEU (Papineni et al. 2002) and its weighted sibling of CodeBLEU, section 3.1: sums first, the score from sums.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// The longest n-gram.
const ORDERS: usize = 4;
/// Matches and totals of each order, words of the answer, words of the reference.
pub(crate) const SUMS: usize = 2 * ORDERS + 2;
/// What a word counts that is no keyword; a keyword counts 1. Section 3.1 of the paper sets the ratio at five.
const PLAIN_WORD: f64 = 0.2;
/// Put for an order without a match, so that its logarithm exists: "method 1" of Chen and Cherry 2014.
const EPSILON: f64 = 0.1;
/// Length that the program takes a reference for in weighted n-grams: it measures the pair (words, weights) instead of
/// the words.
const PAIR: f64 = 2.0;

fn counts<T: Eq + Hash>(words: &[T], order: usize) -> HashMap<&[T], u32> {
    let mut counts = HashMap::new();
    for ngram in words.windows(order) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}

/// N-grams of the answer, and how many the reference has too.
pub(crate) fn precision(answer: &[&str], reference: &[&str]) -> [f64; SUMS] {
    let mut sums = [0.0; SUMS];
    for order in 1..=ORDERS {
        let theirs = counts(reference, order);
        let clipped = |(ngram, count): (&&[&str], &u32)| *count.min(theirs.get(ngram).unwrap_or(&0));
        sums[order - 1] = f64::from(counts(answer, order).iter().map(clipped).sum::<u32>());
        sums[ORDERS + order - 1] = at_least_one(answer.windows(order).count() as f64);
    }
    sums[2 * ORDERS] = answer.len() as f64;
    sums[2 * ORDERS + 1] = reference.len() as f64;
    sums
}

/// N-grams of the reference, and how many the answer has too; single words count by their weight.
pub(crate) fn weighted_recall(answer: &[&str], reference: &[&str], keywords: &[&str]) -> [f64; SUMS] {
    let keywords: HashSet<_> = keywords.iter().copied().collect();
    let mut sums = [0.0; SUMS];
    for order in 1..=ORDERS {
        let ours = counts(answer, order);
        let (mut matched, mut total) = (0.0, 0.0);
        for (ngram, count) in counts(reference, order) {
            let weight = match ngram {
                [word] if !keywords.contains(word) => PLAIN_WORD,
                _ => 1.0,
            };
            matched += weight * f64::from(count.min(*ours.get(ngram).unwrap_or(&0)));
            total += weight * f64::from(count);
        }
        sums[order - 1] = matched;
        sums[ORDERS + order - 1] = at_least_one(total);
    }
    sums[2 * ORDERS] = answer.len() as f64;
    sums[2 * ORDERS + 1] = PAIR;
    sums
}

/// So the program has it, item by item; a corpus' total is a sum of these.
fn at_least_one(total: f64) -> f64 {
    total.max(1.0)
}

/// The geometric mean of the orders, times the brevity penalty.
pub(crate) fn score(sums: &[f64]) -> f64 {
    let (answer, reference) = (sums[2 * ORDERS], sums[2 * ORDERS + 1]);
    if sums[0] == 0.0 || answer == 0.0 {
        return 0.0;
    }
    let mean = (0..ORDERS)
        .map(|at| {
            let matched = if sums[at] == 0.0 { EPSILON } else { sums[at] };
            (matched / sums[ORDERS + at]).ln() / ORDERS as f64
        })
        .sum::<f64>();
    let brevity = if answer > reference {
        0.0
    } else {
        1.0 - reference / answer
    };
    (mean + brevity).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_the_paper_on_bleu() {
        let answer = ["the"; 7];
        let reference = ["the", "cat", "is", "on", "the", "mat"];
        let sums = precision(&answer, &reference);
        assert_eq!((sums[0], sums[ORDERS]), (2.0, 7.0));
    }

    #[test]
    fn a_keyword_counts_five_words() {
        let sums = weighted_recall(&["return"], &["return", "x"], &["return"]);
        assert_eq!((sums[0], sums[ORDERS]), (1.0, 1.2));
    }
}
