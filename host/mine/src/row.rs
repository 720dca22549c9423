//! One row of the data.

use serde::Serialize;

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Valid,
    /// To report on.
    Test,
}

impl Split {
    /// In the order of [`Ratios::parts`](crate::Ratios::parts).
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// Its name in lower case, which is its file's too.
    pub const fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        }
    }
}

/// A line of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The start of a hash over source and target, and a number where several rows share that. The same row has the same id
    /// wherever it is mined.
    pub id: String,
    /// What is asked about.
    pub source: String,
    /// The answer.
    pub target: String,
    /// The language's name in lower case.
    pub language: String,
    /// The folder straight below the tree, or the tree's own name.
    pub project: String,
    /// The file, below the tree, with `/`.
    pub path: String,
    /// Line of the method or test, from 1.
    pub line: u32,
    /// The method or test, after the name of its class where it has one.
    pub name: String,
    /// More about a test.
    #[serde(flatten)]
    pub test: Option<TestFields>,
}

/// What rows of [`Task::Assert`](crate::Task::Assert) say besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestFields {
    /// The method under test, after the name of its class where it has one.
    pub focal_name: String,
    /// How it was found.
    pub focal_how: FocalHow,
    /// Who runs the test, as far as the file tells: `junit5`, `pytest` and the like.
    pub framework: &'static str,
}

/// How the method under test was found, the surest way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FocalHow {
    /// Its class or module is named like the test's, without `Test`.
    Named,
    /// Its class or module is the only one that has such a method and is mentioned in the test's file.
    Mentioned,
    /// No other class or module of the tree has a method of that name.
    Only,
}
