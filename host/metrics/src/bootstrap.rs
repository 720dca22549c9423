//! How sure a score is, and a difference of two.
//!
//! Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation": corpora drawn from the items with
//! replacement.

use crate::Scored;

/// How many corpora are drawn.
pub const RESAMPLES: usize = 1000;

/// Where 95 % of the resampled scores lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// One system beside another on the same items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// The first score less the second.
    pub difference: f64,
    /// The lower end of the difference's 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How likely a difference at least as large, in either direction, would be if there was none. Never less than what the sign test could
    /// say of so few items.
    pub p: f64,
}

/// The percentile bootstrap of a score. The same seed draws the same corpora.
pub fn interval(scored: &Scored, seed: u64) -> Interval {
    let mut scores: Vec<f64> = resamples(scored.len(), seed, |items| scored.score_of(items));
    middle(&mut scores)
}

/// The paired bootstrap: both systems are scored on the same drawn items.
///
/// Two-sided: the resampled differences, moved to the mean of none, are compared with the one observed, and the
/// observation counts as one more resample so that no p is 0 (Riezler and Maxwell 2005, "On Some Pitfalls in Automatic
/// Evaluation and Significance Testing for MT"; sacrebleu does likewise).
///
/// # Panics
///
/// If the two have not the same number of items: they were not scored on the same references.
pub fn paired(a: &Scored, b: &Scored, seed: u64) -> Paired {
    assert_eq!(
        a.len(),
        b.len(),
        "a paired comparison needs the same items on both sides"
    );
    let difference = a.score() - b.score();
    let mut differences = resamples(a.len(), seed, |items| a.score_of(items) - b.score_of(items));
    let mean = differences.iter().sum::<f64>() / RESAMPLES as f64;
    let extreme = differences
        .iter()
        .filter(|&&resampled| (resampled - mean).abs() >= difference.abs())
        .count();
    let Interval { low, high } = middle(&mut differences);
    // The resamples of one item, or of items that all differ by as much, are all alike, and would be sure of anything.
    let by_signs = 2.0_f64.powi(1 - i32::try_from(a.len()).unwrap_or(i32::MAX));
    Paired {
        difference,
        low,
        high,
        p: by_signs.min(1.0).max((extreme + 1) as f64 / (RESAMPLES + 1) as f64),
    }
}

fn resamples(items: usize, seed: u64, score: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let mut random = SplitMix(seed);
    let mut drawn = vec![0; items];
    let draw = |_| {
        drawn.fill_with(|| random.below(items));
        score(&drawn)
    };
    (0..RESAMPLES).map(draw).collect()
}

/// All but a fortieth at either end.
fn middle(values: &mut [f64]) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 40;
    Interval {
        low: values[cut],
        high: values[values.len() - 1 - cut],
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators"). Our own, so that an
/// interval in a report stays what it is whatever the generators of a crate become.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; with so few items the bias of the product's upper half is nothing.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix;

    /// The first numbers that the authors' Java program draws from the seed 0.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix(0);
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
    }
}
