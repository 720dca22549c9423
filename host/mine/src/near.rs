//! Rows that say the same twice.
//!
//! Two sources are near-duplicates where their sets of words have a Jaccard index of at least a threshold `t`. They are found
//! exactly, without hashing: with all words ordered by how rare they are, two such sets share a word among their rarest
//! `n - ⌈t·n⌉ + 1` (the prefix filter of Chaudhuri et al., ICDE 2006; Bayardo et al., WWW 2007). So only those few are kept in
//! an inverted index, and each pair that meets there is compared.

use std::collections::HashMap;

use crate::options::Similarity;

/// Keeps quotients of whole numbers from falling below a threshold that they equal.
const ROUNDING: f64 = 1e-9;

/// The set of words of a source, sorted: names, keywords and numbers.
pub fn tokens(source: &str) -> Vec<&str> {
    let words = source.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    let mut words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The words that two sorted sets share, divided by the words of both; 0 for two empty sets.
pub fn jaccard<T: Ord>(a: &[T], b: &[T]) -> f64 {
    let (mut at, mut bt, mut shared) = (0, 0, 0_usize);
    while at < a.len() && bt < b.len() {
        let order = a[at].cmp(&b[bt]);
        at += usize::from(order.is_le());
        bt += usize::from(order.is_ge());
        shared += usize::from(order.is_eq());
    }
    let all = a.len() + b.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

/// Which sources repeat one before them that is itself no repetition: what is left has no two near-duplicates.
pub(crate) fn repeated(sources: &[&str], threshold: Similarity) -> Vec<bool> {
    let threshold = threshold.get() - ROUNDING;
    let rows = by_rarity(sources);
    // Rows by the rare words that they are found by.
    let mut index: HashMap<u32, Vec<u32>> = HashMap::new();
    // The last row that each row was compared with, so that a pair is compared once.
    let mut compared = vec![u32::MAX; rows.len()];
    let mut repeated = Vec::with_capacity(rows.len());
    for (row, number) in rows.iter().zip(0_u32..) {
        let least = (threshold * row.len() as f64).ceil();
        let prefix = &row[..row.len().min(row.len() - least as usize + 1)];
        let mut found = false;
        'search: for word in prefix {
            for &other in index.get(word).into_iter().flatten() {
                if std::mem::replace(&mut compared[other as usize], number) == number {
                    continue;
                }
                let (short, long) = min_max(row.len(), rows[other as usize].len());
                if short as f64 >= threshold * long as f64 && jaccard(row, &rows[other as usize]) >= threshold {
                    found = true;
                    break 'search;
                }
            }
        }
        if !found {
            for &word in prefix {
                index.entry(word).or_default().push(number);
            }
        }
        repeated.push(found);
    }
    repeated
}

fn min_max(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

/// The set of words of each source as numbers, the rarest word of all sources being 0.
fn by_rarity(sources: &[&str]) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut counts: Vec<u32> = Vec::new();
    let mut rows: Vec<Vec<u32>> = Vec::with_capacity(sources.len());
    for source in sources {
        let row = tokens(source).into_iter().map(|word| {
            let number = *numbers.entry(word).or_insert(counts.len() as u32);
            if number as usize == counts.len() {
                counts.push(0);
            }
            counts[number as usize] += 1;
            number
        });
        rows.push(row.collect());
    }
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    order.sort_by_key(|&number| counts[number as usize]);
    let mut rank = vec![0; order.len()];
    for (&number, place) in order.iter().zip(0..) {
        rank[number as usize] = place;
    }
    for row in &mut rows {
        row.iter_mut().for_each(|number| *number = rank[*number as usize]);
        row.sort_unstable();
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same without an index.
    fn slowly(sources: &[&str], threshold: f64) -> Vec<bool> {
        let mut kept: Vec<&str> = Vec::new();
        let near = |a: &str, b: &str| jaccard(&tokens(a), &tokens(b)) >= threshold - ROUNDING;
        let mut found = Vec::new();
        for source in sources {
            let repeated = kept.iter().any(|other| near(source, other));
            if !repeated {
                kept.push(source);
            }
            found.push(repeated);
        }
        found
    }

    #[test]
    fn words() {
        assert_eq!(tokens("int x1 = x1 + $y_z;"), ["$y_z", "int", "x1"]);
        assert_eq!(tokens("é = 'ü-ö'"), ["é", "ö", "ü"]);
        assert!(tokens("+-").is_empty());
    }

    #[test]
    fn indexes() {
        let cases = [
            ("a b c d", "a b c d", 1.0),
            ("a b c d", "a b c e", 0.6),
            ("a", "b", 0.0),
            ("", "", 0.0),
            ("a", "", 0.0),
        ];
        for (a, b, expected) in cases {
            assert_eq!(jaccard(&tokens(a), &tokens(b)), expected, "{a} and {b}");
        }
    }

    #[test]
    fn a_pair_at_the_threshold_is_one() {
        // Four of five words.
        let sources = ["a b c d e", "a b c d", "a b c", "f"];
        assert_eq!(repeated(&sources, Similarity::DEFAULT), [false, true, false, false]);
    }

    proptest! {
        #[test]
        fn finds_what_comparing_all_pairs_finds(
            sources in prop::collection::vec("([a-h] ){0,12}", 0..40),
            threshold in prop::sample::select(vec!["0.5", "0.7", "0.8", "0.9", "1"]),
        ) {
            let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
            let threshold: Similarity = threshold.parse().unwrap();
            prop_assert_eq!(repeated(&sources, threshold), slowly(&sources, threshold.get()));
        }
    }
}
