//! Scores of predictions: what `eval` and `compare` print.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use transducer_metrics::{Interval, Language, Metric, Pair, Prediction, Scored, interval};

/// Seed of the bootstrap: the same predictions have the same intervals, today and tomorrow.
pub const SEED: u64 = 1;

/// A score and where 95% of its resamples lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// 0 to 100.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// One metric over all predictions.
#[must_use]
pub fn scored(metric: Metric, predictions: &[Prediction]) -> Scored {
    let pairs: Vec<Pair<'_>> = predictions.iter().map(Prediction::pair).collect();
    Scored::new(metric, &pairs)
}

/// In which language the answers are, where they are code.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct CodeArgs {
    /// The answers are code in this language, java, csharp or python: give CodeBLEU too
    #[arg(long, value_name = "LANGUAGE")]
    pub code: Option<Language>,
}

impl CodeArgs {
    /// What to score by.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let of_code = self.code.map(Metric::of_code);
        Metric::ALL.into_iter().chain(of_code.into_iter().flatten()).collect()
    }
}

/// Every metric by name.
#[must_use]
pub fn of(predictions: &[Prediction], metrics: &[Metric]) -> BTreeMap<&'static str, Score> {
    let score = |metric: Metric| {
        let scored = scored(metric, predictions);
        let Interval { low, high } = interval(&scored, SEED);
        let value = scored.score();
        (metric.name(), Score { value, low, high })
    };
    metrics.iter().copied().map(score).collect()
}

/// The scores for a person.
#[must_use]
pub fn table(scores: &BTreeMap<&'static str, Score>) -> String {
    let mut table = format!("{:<24}{:>8}  95% interval\n", "metric", "score");
    for (name, Score { value, low, high }) in scores {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{name:<24}{value:>8.2}  {low:.2} to {high:.2}");
    }
    table
}
