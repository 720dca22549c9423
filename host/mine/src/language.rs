//! The languages that this crate has rules for: how a comment is written, what a test is.

/// A language that can be mined where its front end is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Language {
    Java,
    Python,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Java, Self::Python];

    /// As front ends name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Language::Java => "java",
            Language::Python => "python",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// The line between a test and the method under test.
    pub(crate) const fn focal_line(self) -> &'static str {
        match self {
            Language::Java => "// focal method",
            Language::Python => "# focal method",
        }
    }
}
