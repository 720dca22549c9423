//! What became of every file and method.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::row::Split;

/// Examples kept of each reason: enough to see what it means.
const EXAMPLES: usize = 3;

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum $name { $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// The reason in a few words.
            pub const fn describe(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
    };
}

reasons! {
    /// Why a file was not read.
    Skipped {
        /// It has a NUL byte.
        Binary = "binary",
        /// Its bytes are no UTF-8.
        NotUtf8 = "not UTF-8",
        /// It is longer than the limit for files.
        TooLarge = "too large",
        /// The system refused.
        Unreadable = "unreadable",
        /// Symbolic links are not followed.
        Link = "symbolic link",
        /// It has the marks of an unfinished merge.
        Conflict = "merge conflict",
        /// The front end gave no graph.
        NoGraph = "no graph",
    }
}

reasons! {
    /// Why a method or test gave no row.
    Dropped {
        /// The parser did not understand a part of it.
        SyntaxError = "syntax error",
        /// It has no body.
        NoBody = "no body",
        /// Its body does nothing, or says that it is not written yet.
        EmptyBody = "empty body",
        /// It has no comment of the kind.
        NoComment = "no comment",
        /// Its docstring is made of several strings, computed, or shares a line with code.
        OddDocstring = "docstring not plain",
        /// The comment is its ancestor's.
        Inherited = "inherited comment",
        /// The comment has tags or signs only.
        NoSentence = "no sentence in comment",
        /// The sentence points to what follows it, or is a note to its author.
        NotASummary = "sentence is no summary",
        /// The target has too few words.
        TooShort = "target too short",
        /// The target has too many words.
        TooLong = "target too long",
        /// The target is mostly in other letters.
        NotAscii = "target mostly not ASCII",
        /// The source has too many bytes.
        SourceTooLong = "source too long",
        /// Cut out of its file, it does not parse.
        NotAlone = "does not parse alone",
        /// The test asserts nothing.
        NoAssert = "no assertion",
        /// The test asserts several things.
        ManyAsserts = "several assertions",
        /// The assertion is a part of a statement.
        AssertInside = "assertion inside a statement",
        /// The assertion has a string that goes over lines.
        AssertLines = "assertion with a string of several lines",
        /// The test calls nothing that the tree defines.
        NoFocal = "no method under test",
        /// The tree has several such methods.
        ManyFocals = "method under test not certain",
        /// The method under test is no longer where it was.
        Changed = "file changed meanwhile",
        /// The same source was there before.
        Duplicate = "duplicate",
        /// Nearly the same source was there before.
        NearDuplicate = "near-duplicate",
    }
}

/// How often, and where for example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How often.
    pub count: usize,
    /// The first few, `path:line` or `path`.
    pub examples: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

/// What became of every file and method of a tree. It has no times in it: the same tree gives the same report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `summarize` or `assert`.
    pub task: String,
    /// `project`, `directory` or `file`.
    pub split: String,
    /// Groups that rows come from: projects, folders or files.
    pub groups: usize,
    /// Files that were read, by language.
    pub files: BTreeMap<String, usize>,
    /// Files of other kinds.
    pub other_files: usize,
    /// Files that were not read.
    pub skipped: BTreeMap<Skipped, Tally>,
    /// Methods, or tests, that were looked at.
    pub methods: usize,
    /// Those without a row.
    pub dropped: BTreeMap<Dropped, Tally>,
    /// Rows by where they go, all three.
    pub rows: BTreeMap<Split, usize>,
    /// What the reader should know: that a split is all but empty, say.
    pub warnings: Vec<String>,
}

impl Report {
    pub(crate) fn skip(&mut self, reason: Skipped, path: &str) {
        self.skipped.entry(reason).or_default().add(|| path.to_owned());
    }

    pub(crate) fn drop(&mut self, reason: Dropped, path: &str, line: u32) {
        self.dropped.entry(reason).or_default().add(|| format!("{path}:{line}"));
    }

    /// `: 12 no comment, 3 too short`, the most frequent first; empty where nothing was dropped.
    pub(crate) fn dropped_words(&self) -> String {
        words(
            self.dropped
                .iter()
                .map(|(reason, tally)| (reason.describe(), tally.count)),
        )
    }

    /// The same of files.
    pub(crate) fn skipped_words(&self) -> String {
        words(
            self.skipped
                .iter()
                .map(|(reason, tally)| (reason.describe(), tally.count)),
        )
    }
}

fn words(counts: impl Iterator<Item = (&'static str, usize)>) -> String {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let words: Vec<String> = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    }
}
