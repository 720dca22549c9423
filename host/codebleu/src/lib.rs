//! CodeBLEU (Ren et al. 2020, arXiv 2009.10297) for Java, C# and Python.
//!
//! Four comparisons of an answer with a reference, each weighing a quarter: n-grams of words (`bleu`), n-grams in
//! which keywords count more, subtrees of the syntax tree (`syntax`) and data flow (`dataflow`). The values are
//! those of the Python package `codebleu` 0.7.0, which is the authors' program repackaged, for one reference an item.
//! Where that program and the paper differ, the program is followed, since it is what published numbers come from:
//!
//! - Words are what whitespace separates, comments included; only the tree and the data flow are of text without
//!   comments (`comments`).
//! - The weighted n-grams are a recall, and their brevity penalty takes every reference for two words long.
//! - Syntax and data flow are recalls too. A reference without data flow adds nothing to either side; if no item of a
//!   corpus has any, the data-flow score is 0.
//! - A data-flow score of 0, whether nothing matched or there was none, counts as 1 in the combined score.
//! - The program orders the sources of a value as Python happens to hash their names, which differs from run to run.
//!   Here they come in the order in which they are first seen.
//!
//! [`MAX_BYTES`], and a depth and a number of steps beyond which a text has no data flow, are this crate's own limits; no
//! real method comes near them. None is a time: a score must not depend on how busy the machine is.
//!
//! Every score is a function of a sum over items: [`Statistics`] are what is summed.

mod bleu;
mod comments;
mod dataflow;
mod flow;
mod indents;
mod keywords;
mod python_tokens;
mod syntax;
mod tokens;
mod tree;

use std::ops::AddAssign;

use tree::Flat;

/// Most bytes of a text that are read: what follows is ignored, in every component.
///
/// Methods have a few kilobytes; an answer that never ended should cost no more than a long file. Mending garbage costs a
/// parser the square of its length, which makes seconds of this much, and hours of a hundred times more.
pub const MAX_BYTES: usize = 100_000;

/// How many sums [`Statistics`] hold.
pub const SUMS: usize = 2 * bleu::SUMS + 4;

/// A language that is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Java.
    Java,
    /// C#.
    CSharp,
    /// Python.
    Python,
}

/// A name that is no language's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be scored: the languages are java, csharp and python")]
pub struct UnknownLanguage(String);

impl std::str::FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(name: &str) -> Result<Self, UnknownLanguage> {
        match name.to_ascii_lowercase().as_str() {
            "java" => Ok(Self::Java),
            "csharp" | "c#" | "c_sharp" => Ok(Self::CSharp),
            "python" => Ok(Self::Python),
            _ => Err(UnknownLanguage(name.to_owned())),
        }
    }
}

/// What is summed over a corpus: counts of one item, or of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    sums: Vec<f64>,
}

impl Default for Statistics {
    fn default() -> Self {
        Self { sums: vec![0.0; SUMS] }
    }
}

impl Statistics {
    /// The sums, always as many of them; what each is, is this crate's own matter.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }
}

impl AddAssign<&Statistics> for Statistics {
    fn add_assign(&mut self, other: &Statistics) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum += more;
        }
    }
}

/// The scores of an item or a corpus, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// The four below, a quarter each; see the crate's notes on a data flow of 0.
    pub codebleu: f64,
    /// Precision of n-grams: BLEU.
    pub ngram: f64,
    /// Recall of n-grams, single words weighted.
    pub weighted_ngram: f64,
    /// Recall of subtrees.
    pub syntax: f64,
    /// Recall of data flow.
    pub dataflow: f64,
}

/// Compares an answer with its reference.
pub fn statistics(language: Language, answer: &str, reference: &str) -> Statistics {
    let answer = comments::strip(bounded(answer));
    let reference = comments::strip(bounded(reference));
    let mut sums = Vec::with_capacity(SUMS);
    let words = |text| comments::words(text).collect::<Vec<_>>();
    let (answer_words, reference_words) = (words(answer), words(reference));
    sums.extend(bleu::precision(&answer_words, &reference_words));
    sums.extend(bleu::weighted_recall(
        &answer_words,
        &reference_words,
        keywords::of(language),
    ));

    let answer = comments::remove(language, answer);
    let reference = comments::remove(language, reference);
    // No parser, no trees: only a grammar that does not fit the library could be the cause.
    if let (Some(answer_tree), Some(reference_tree)) =
        (tree::parse(language, &answer), tree::parse(language, &reference))
    {
        let (answer_tree, reference_tree) = (Flat::of(&answer_tree), Flat::of(&reference_tree));
        sums.extend(syntax::matches(&answer_tree, &reference_tree));
        let answer_flow = dataflow::normalized(language, &answer, &answer_tree);
        let reference_flow = dataflow::normalized(language, &reference, &reference_tree);
        sums.extend(dataflow::matches(answer_flow, &reference_flow));
    } else {
        sums.extend([0.0; 4]);
    }
    Statistics { sums }
}

/// The scores of all these items as one corpus.
pub fn scores<'a>(items: impl IntoIterator<Item = &'a Statistics>) -> Scores {
    let mut sum = Statistics::default();
    for item in items {
        sum += item;
    }
    scores_of_sums(&sum.sums)
}

/// The scores of a corpus whose items' [`Statistics::sums`] add up to these.
///
/// # Panics
/// If there are not [`SUMS`] of them.
pub fn scores_of_sums(sums: &[f64]) -> Scores {
    let ratio = |at: usize| match sums[at + 1] {
        0.0 => 0.0,
        total => sums[at] / total,
    };
    let ngram = bleu::score(&sums[..bleu::SUMS]);
    let weighted_ngram = bleu::score(&sums[bleu::SUMS..2 * bleu::SUMS]);
    let syntax = ratio(2 * bleu::SUMS);
    let dataflow = ratio(2 * bleu::SUMS + 2);
    let counted = if dataflow == 0.0 { 1.0 } else { dataflow };
    Scores {
        codebleu: 0.25 * (ngram + weighted_ngram + syntax + counted),
        ngram,
        weighted_ngram,
        syntax,
        dataflow,
    }
}

/// The text up to [`MAX_BYTES`].
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}
