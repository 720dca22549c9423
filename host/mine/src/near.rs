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
    let rows = by_rarity(sources);
    let mut index = Index::new(&rows, threshold);
    let repeated = (0..rows.len()).map(|row| {
        let found = index.resembles(row);
        if !found {
            index.add(row);
        }
        found
    });
    repeated.collect()
}

/// Which sources are near-duplicates of one of `others`.
pub fn resembling(sources: &[&str], others: &[&str], threshold: Similarity) -> Vec<bool> {
    let rows = by_rarity(&[others, sources].concat());
    let mut index = Index::new(&rows, threshold);
    (0..others.len()).for_each(|row| index.add(row));
    (others.len()..rows.len()).map(|row| index.resembles(row)).collect()
}

/// Rows by the rare words that they are found by.
struct Index<'a> {
    rows: &'a [Vec<u32>],
    threshold: f64,
    by_word: HashMap<u32, Vec<usize>>,
    /// The last row that each row was compared with, so that a pair is compared once.
    compared: Vec<usize>,
}

impl<'a> Index<'a> {
    /// With none of the rows in it.
    fn new(rows: &'a [Vec<u32>], threshold: Similarity) -> Self {
        Self {
            rows,
            threshold: threshold.get() - ROUNDING,
            by_word: HashMap::new(),
            compared: vec![usize::MAX; rows.len()],
        }
    }

    fn add(&mut self, row: usize) {
        for &word in self.rare(row) {
            self.by_word.entry(word).or_default().push(row);
        }
    }

    /// Whether the row is a near-duplicate of one that is in the index.
    fn resembles(&mut self, row: usize) -> bool {
        let words = &self.rows[row];
        for word in self.rare(row) {
            for &other in self.by_word.get(word).into_iter().flatten() {
                if std::mem::replace(&mut self.compared[other], row) == row {
                    continue;
                }
                let others = &self.rows[other];
                let (short, long) = min_max(words.len(), others.len());
                if short as f64 >= self.threshold * long as f64 && jaccard(words, others) >= self.threshold {
                    return true;
                }
            }
        }
        false
    }

    /// The rarest words of a row, of which a near-duplicate has one, too.
    fn rare(&self, row: usize) -> &'a [u32] {
        let words = &self.rows[row];
        let least = (self.threshold * words.len() as f64).ceil();
        &words[..words.len().min(words.len() - least as usize + 1)]
    }
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
            let (others, sources) = sources.split_at(sources.len() / 2);
            let near = |a: &str, b: &str| jaccard(&tokens(a), &tokens(b)) >= threshold.get() - ROUNDING;
            let expected: Vec<bool> = sources.iter().map(|source| others.iter().any(|other| near(source, other))).collect();
            prop_assert_eq!(resembling(sources, others, threshold), expected);
        }
    }
}
