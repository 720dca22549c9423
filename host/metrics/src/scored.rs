//! The sufficient statistics of every item.

use crate::{Likelihood, Metric, Pair};

/// A corpus under one metric: a row of numbers an item, and what their sum means.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The rows, one after the other.
    rows: Vec<f64>,
    width: usize,
    items: usize,
    score: fn(&[f64]) -> f64,
    /// What `score` gives for a perfect corpus.
    perfect: f64,
}

impl Scored {
    /// Counts what the metric counts.
    pub fn new(metric: Metric, pairs: &[Pair<'_>]) -> Self {
        metric.score(pairs)
    }

    /// Items that something else scored, from 0 to 1: the score of the corpus is their mean.
    pub fn of_scores(scores: impl Iterator<Item = f64>) -> Self {
        Self::mean(scores)
    }

    /// How likely a model finds what somebody wrote: the geometric mean of the probabilities of all tokens, which is one over the
    /// perplexity, in percent.
    pub fn of_likelihoods(likelihoods: impl Iterator<Item = Likelihood>) -> Self {
        let rows = likelihoods.map(|Likelihood { loss, tokens }| [loss, f64::from(tokens)]);
        Self::of(rows, |sum| 100.0 * (-sum[0] / sum[1]).exp())
    }

    /// A row for every item, all of one length, and the score of their sum, from 0 to 100.
    pub(crate) fn of<const WIDTH: usize>(rows: impl Iterator<Item = [f64; WIDTH]>, score: fn(&[f64]) -> f64) -> Self {
        let rows: Vec<f64> = rows.flatten().collect();
        Self {
            items: rows.len() / WIDTH,
            width: WIDTH,
            rows,
            score,
            perfect: 100.0,
        }
    }

    /// The same for a score from 0 to 1.
    pub(crate) fn of_parts<const WIDTH: usize>(
        rows: impl Iterator<Item = [f64; WIDTH]>,
        score: fn(&[f64]) -> f64,
    ) -> Self {
        Self {
            perfect: 1.0,
            ..Self::of(rows, score)
        }
    }

    /// Items with a score of their own, from 0 to 1, whose mean is that of the corpus.
    pub(crate) fn mean(scores: impl Iterator<Item = f64>) -> Self {
        Self::of(scores.map(|score| [score, 1.0]), |sum| 100.0 * sum[0] / sum[1])
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The score of the corpus, 0 if it is empty.
    pub fn score(&self) -> f64 {
        self.score_of_each(0..self.items)
    }

    /// The score of a corpus made of these items, by position; one that is named twice counts twice.
    ///
    /// # Panics
    ///
    /// If there is no such item.
    pub fn score_of(&self, items: &[usize]) -> f64 {
        self.score_of_each(items.iter().copied())
    }

    fn score_of_each(&self, items: impl ExactSizeIterator<Item = usize>) -> f64 {
        if items.len() == 0 {
            return 0.0;
        }
        let mut sum = vec![0.0; self.width];
        for item in items {
            let row = &self.rows[item * self.width..(item + 1) * self.width];
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
        (self.score)(&sum) * 100.0 / self.perfect
    }
}
