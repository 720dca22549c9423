//! Scores of predictions: what `eval` and `compare` print.

use std::collections::{BTreeMap, BTreeSet};
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

/// The metrics of the task's own that every prediction has a score by, and the score of all.
///
/// Their names begin with `task.`, so that no metric of any text is ever mistaken for one.
#[must_use]
pub fn of_task(predictions: &[Prediction]) -> BTreeMap<String, Scored> {
    let mut each = predictions.iter().map(|prediction| &prediction.scores);
    let mut names: BTreeSet<&String> = each.next().into_iter().flat_map(BTreeMap::keys).collect();
    for scores in each {
        names.retain(|name| scores.contains_key(*name));
    }
    let scored = |name: &String| Scored::of_scores(predictions.iter().map(|prediction| prediction.scores[name]));
    names
        .into_iter()
        .map(|name| (format!("task.{name}"), scored(name)))
        .collect()
}

/// How likely the references are, where that is known of every one.
#[must_use]
pub fn likelihood(predictions: &[Prediction]) -> Option<(String, Scored)> {
    let each: Option<Vec<_>> = predictions.iter().map(|prediction| prediction.likelihood).collect();
    let each = each.filter(|each| !each.is_empty())?;
    Some(("likelihood".to_owned(), Scored::of_likelihoods(each.into_iter())))
}

/// Every metric by name, the task's own and the likelihood of the references among them.
#[must_use]
pub fn of(predictions: &[Prediction], metrics: &[Metric]) -> BTreeMap<String, Score> {
    let of_text = metrics
        .iter()
        .map(|&metric| (metric.name().to_owned(), scored(metric, predictions)));
    let score = |(name, scored): (String, Scored)| {
        let Interval { low, high } = interval(&scored, SEED);
        let value = scored.score();
        (name, Score { value, low, high })
    };
    let others = of_task(predictions).into_iter().chain(likelihood(predictions));
    of_text.chain(others).map(score).collect()
}

/// The scores for a person.
#[must_use]
pub fn table(scores: &BTreeMap<String, Score>) -> String {
    // As wide as the names of any text's metrics, or wider where the task's own are longer.
    let width = scores.keys().map(|name| name.len() + 1).max().unwrap_or(0).max(24);
    let mut table = format!("{:<width$}{:>8}  95% interval\n", "metric", "score");
    for (name, Score { value, low, high }) in scores {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{name:<width$}{value:>8.2}  {low:.2} to {high:.2}");
    }
    table
}
