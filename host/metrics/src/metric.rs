//! The metrics by name.

use crate::scored::Scored;
use crate::{Pair, bleu, chrf, meteor, rouge, tokens};

/// A way to score text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// BLEU-4 of the corpus, over sacrebleu's default tokens (`13a`).
    Bleu,
    /// BLEU-4 of the corpus, over what white space separates (sacrebleu's `tokenize=none`).
    BleuTokens,
    /// The mean of CodeXGLUE's smoothed BLEU-4 of sentences.
    BleuSmoothed,
    /// The mean F1 of the longest common subsequence, without stemming.
    RougeL,
    /// The mean METEOR of exact and stemmed words, without synonyms.
    Meteor,
    /// chrF2 of the corpus.
    Chrf,
    /// The share of answers that are their reference, whatever the white space.
    ExactMatch,
}

impl Metric {
    /// Every metric, in the order of a report.
    pub const ALL: [Self; 7] = [
        Self::Bleu,
        Self::BleuTokens,
        Self::BleuSmoothed,
        Self::RougeL,
        Self::Meteor,
        Self::Chrf,
        Self::ExactMatch,
    ];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bleu => "bleu",
            Self::BleuTokens => "bleu_tokens",
            Self::BleuSmoothed => "bleu_smoothed",
            Self::RougeL => "rouge_l",
            Self::Meteor => "meteor",
            Self::Chrf => "chrf",
            Self::ExactMatch => "exact_match",
        }
    }

    /// The statistics of every item. A further metric is one more arm: a row for a pair and a function of the sum.
    pub(crate) fn score(self, pairs: &[Pair<'_>]) -> Scored {
        let pairs = pairs.iter();
        match self {
            Self::Bleu => {
                let row = |pair: &Pair<'_>| {
                    let (answer, reference) = (tokens::mteval(pair.answer), tokens::mteval(pair.reference));
                    bleu::statistics(&tokens::words(&answer), &tokens::words(&reference))
                };
                Scored::of(pairs.map(row), bleu::score)
            }
            Self::BleuTokens => {
                let row =
                    |pair: &Pair<'_>| bleu::statistics(&tokens::words(pair.answer), &tokens::words(pair.reference));
                Scored::of(pairs.map(row), bleu::score)
            }
            Self::BleuSmoothed => Scored::mean(pairs.map(bleu::smoothed)),
            Self::RougeL => Scored::mean(pairs.map(rouge::longest)),
            Self::Meteor => Scored::mean(pairs.map(meteor::meteor)),
            Self::Chrf => Scored::of(pairs.map(chrf::statistics), chrf::score),
            Self::ExactMatch => Scored::mean(pairs.map(|pair| {
                let same = tokens::words(pair.answer) == tokens::words(pair.reference);
                f64::from(u8::from(same))
            })),
        }
    }
}
