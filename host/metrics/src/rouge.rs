//! ROUGE-L, as the package rouge-score has it with `use_stemmer=False`.
//!
//! Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.1; F weighs precision and recall alike.

use crate::{Pair, tokens};

/// F1 of the longest common subsequence, from 0 to 1.
pub(crate) fn longest(pair: &Pair<'_>) -> f64 {
    let (answer, reference) = (pair.answer.to_lowercase(), pair.reference.to_lowercase());
    let (answer, reference) = (tokens::alphanumeric(&answer), tokens::alphanumeric(&reference));
    let common = common(&answer, &reference);
    if common == 0 {
        return 0.0;
    }
    // 2pr / (p + r), of which the length of the subsequence cancels.
    2.0 * common as f64 / (answer.len() + reference.len()) as f64
}

/// The length of the longest common subsequence.
fn common(a: &[&str], b: &[&str]) -> usize {
    // One row of the table: the length for what was seen of `a` and every beginning of `b`.
    let mut row = vec![0; b.len() + 1];
    for token in a {
        let mut diagonal = 0;
        for (at, other) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if token == other {
                diagonal + 1
            } else {
                above.max(row[at])
            };
            diagonal = above;
        }
    }
    row[b.len()]
}
