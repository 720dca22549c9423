//! Which examples are worth a look.

use std::cmp::Ordering;

/// Of the examples shown, one in so many is from the middle.
const MIDDLE_SHARE: usize = 5;

/// Which of the examples with these scores to show: their indices, the best first.
///
/// A fifth of `count`, rounded down, is from the middle; of the rest, one half are the best and one half the worst, which get
/// the odd one: there is more to learn from them. The middle ones stand evenly apart in the ranking of those left over. Of
/// equal scores the one that comes first ranks higher, and what is no number ranks last, so the choice depends on nothing
/// but the scores. Where there are no more than `count`, all are shown.
///
/// It shows how good and how bad an answer can be. It is no sample: for what is common, see the metrics.
pub fn pick(scores: &[f64], count: usize) -> Vec<usize> {
    let mut ranking: Vec<usize> = (0..scores.len()).collect();
    // Stable, hence in order of the examples where scores are equal.
    ranking.sort_by(|&one, &other| better_first(scores[one], scores[other]));
    if ranking.len() <= count {
        return ranking;
    }
    let middle = count / MIDDLE_SHARE;
    let best = (count - middle) / 2;
    let worst = count - middle - best;
    let left_over = &ranking[best..ranking.len() - worst];
    // The middles of as many equal parts.
    let apart = (0..middle).map(|part| left_over[(2 * part + 1) * left_over.len() / (2 * middle)]);
    ranking[..best]
        .iter()
        .copied()
        .chain(apart)
        .chain(ranking[ranking.len() - worst..].iter().copied())
        .collect()
}

/// The order of two scores in the ranking. Unlike `f64::total_cmp` it takes the two zeros for equal.
fn better_first(one: f64, other: f64) -> Ordering {
    other
        .partial_cmp(&one)
        .unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::pick;

    #[test]
    fn the_best_the_worst_and_some_between() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(pick(&scores, 10), [99, 98, 97, 96, 72, 26, 3, 2, 1, 0]);
        assert_eq!(pick(&scores, 4), [99, 98, 1, 0]);
        assert_eq!(pick(&scores, 3), [99, 1, 0]);
        assert_eq!(pick(&scores, 1), [0]);
        assert!(pick(&scores, 0).is_empty());
        assert!(pick(&[], 10).is_empty());
    }

    #[test]
    fn a_few_are_all_shown_in_order() {
        assert_eq!(pick(&[10.0, 30.0, 20.0], 3), [1, 2, 0]);
        assert_eq!(pick(&[10.0, 30.0, 20.0], usize::MAX), [1, 2, 0]);
    }

    #[test]
    fn equal_scores_keep_their_order_and_what_is_no_number_is_last() {
        assert_eq!(pick(&[0.0, -0.0, 5.0, 5.0], 4), [2, 3, 0, 1]);
        assert_eq!(pick(&[f64::NAN, 0.0, -f64::NAN, 100.0], 4), [3, 1, 0, 2]);
    }

    #[test]
    fn each_is_shown_once_and_the_best_first() {
        for rows in 0..40_u32 {
            // In no order, and with equals.
            let scores: Vec<f64> = (0..rows).map(|row| f64::from(row * 7 % 11)).collect();
            for count in 0..45 {
                let picked = pick(&scores, count);
                assert_eq!(picked.len(), count.min(scores.len()));
                assert_eq!(picked.iter().collect::<BTreeSet<_>>().len(), picked.len());
                assert!(picked.windows(2).all(|pair| scores[pair[0]] >= scores[pair[1]]));
            }
        }
    }
}
