//! What generated text is worth beside a reference.
//!
//! A [`Metric`] turns every [`Pair`] into a few numbers, its sufficient statistics, and the score of a corpus is a
//! function of their sum. [`Scored`] keeps the numbers of every item, so that the score of any resample, and with it
//! an [`interval`] and a [`paired`] comparison, costs additions and not another pass over the text.
//!
//! Every score is one that others publish: each module names the implementation it agrees with, and
//! `tests/parity.rs` holds it to that implementation's numbers. Scores run from 0 to 100.

mod bleu;
mod bootstrap;
mod chrf;
mod meteor;
mod metric;
mod ngrams;
mod prediction;
mod rouge;
mod scored;
mod stem;
mod tokens;

pub use bootstrap::{Interval, Paired, RESAMPLES, interval, paired};
pub use metric::Metric;
pub use prediction::{Likelihood, Prediction, PredictionError, join, read, write};
pub use scored::Scored;
pub use transducer_codebleu::Language;

/// One item: what was answered, and what somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The text to score.
    pub answer: &'a str,
    /// The text to score it against.
    pub reference: &'a str,
}
