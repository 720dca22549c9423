//! What to mine and what to keep; every value is checked when it is made.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::OptionError;

/// Lowest threshold for near-duplicates. Below it half of all words of a row must be looked up, and code of one project shares
/// half of its words anyway.
const LOWEST_SIMILARITY: f64 = 0.5;

/// What a row asks and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A method, and the first sentence of its comment.
    Summarize,
    /// A test without its one assertion and the method under test, and the assertion.
    Assert,
}

impl Task {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Task::Summarize => "summarize",
            Task::Assert => "assert",
        }
    }
}

/// What stays together when rows are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// The folders straight below the tree; files straight below it are one project, named like the tree.
    Project,
    /// The files of a folder.
    Directory,
    /// The methods of a file.
    File,
}

impl SplitBy {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            SplitBy::Project => "project",
            SplitBy::Directory => "directory",
            SplitBy::File => "file",
        }
    }
}

/// Shares of train, valid and test, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratios([u32; 3]);

impl Ratios {
    /// Eight tenths for training, one each for the other two: what most of the field does.
    pub const DEFAULT: Self = Self([80, 10, 10]);

    /// Train, valid, test; the sum is above zero.
    pub fn parts(self) -> [u32; 3] {
        self.0
    }
}

impl FromStr for Ratios {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error = || OptionError::Ratios { text: text.to_owned() };
        let parts: Vec<u32> = text
            .split(',')
            .map(|part| part.trim().parse().map_err(|_| error()))
            .collect::<Result<_, _>>()?;
        let parts: [u32; 3] = parts.try_into().map_err(|_| error())?;
        if parts.iter().all(|&part| part == 0) {
            return Err(error());
        }
        Ok(Self(parts))
    }
}

/// A Jaccard index from which on two rows count as near-duplicates: shared words divided by all words of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity(f64);

impl Similarity {
    /// What Allamanis (arXiv 1812.06469) proposes for code.
    pub const DEFAULT: Self = Self(0.8);

    /// From one half to 1; at 1 only rows with the very same words are near-duplicates.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Similarity {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text.parse() {
            Ok(value) if (LOWEST_SIMILARITY..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err(OptionError::Similarity {
                text: text.to_owned(),
                low: LOWEST_SIMILARITY,
            }),
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a row asks and answers.
    pub task: Task,
    /// Languages by name, in lower case; empty for all that can be mined.
    pub languages: Vec<String>,
    /// What stays together when rows are split.
    pub split: SplitBy,
    /// How much goes where.
    pub ratios: Ratios,
    /// Longest source of a row, in bytes.
    pub max_source_bytes: usize,
    /// Words of a target, separated by spaces. Only for [`Task::Summarize`].
    pub target_words: RangeInclusive<usize>,
    /// From when on two rows count as one.
    pub near_duplicates: Similarity,
    /// Threads; 0 for as many as there are cores.
    pub jobs: usize,
}

impl Options {
    /// About a thousand tokens: with the answer and a prompt it fits the window of every small model.
    pub const MAX_SOURCE_BYTES: usize = 4000;
    /// Shorter ones say nothing: `Constructor.`, `See above.`
    pub const MIN_TARGET_WORDS: usize = 3;
    /// Longer ones are no sentence but a paragraph without full stops.
    pub const MAX_TARGET_WORDS: usize = 40;

    /// The defaults for a task.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            languages: Vec::new(),
            split: SplitBy::Project,
            ratios: Ratios::DEFAULT,
            max_source_bytes: Self::MAX_SOURCE_BYTES,
            target_words: Self::MIN_TARGET_WORDS..=Self::MAX_TARGET_WORDS,
            near_duplicates: Similarity::DEFAULT,
            jobs: 0,
        }
    }
}
