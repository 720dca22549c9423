//! How code becomes a graph: the caller's part.

use std::sync::Arc;

use transducer_cpg::Cpg;

/// Parses the code that tasks ask for. The pipeline implements it with the front ends that are installed.
pub trait CodeParser: Send + Sync {
    /// The graph of `source`.
    ///
    /// It is called on the thread that runs the task, and is not interrupted by the task's deadline: an implementation
    /// must be done in time linear in the source. Broken code has a graph too, with diagnostics.
    ///
    /// # Errors
    /// [`ParseFailure`] reaches the guest, which may go on without a graph.
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure>;
}

/// A source text and its graph.
#[derive(Debug)]
pub struct ParsedCode {
    /// The language, as a front end names it: `java`.
    pub language: String,
    /// The source, exactly as the task gave it: this is what stands in the prompt.
    pub source: String,
    /// Its graph. Spans are bytes of `source`.
    pub cpg: Arc<Cpg>,
}

/// Why there is no graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailure {
    /// No front end for the language is installed.
    #[error("there is no front end for `{language}`; installed: {}", list(known))]
    UnknownLanguage {
        /// The language asked for.
        language: String,
        /// The languages that there are front ends for.
        known: Vec<String>,
    },
    /// The front end failed.
    #[error("the `{language}` front end failed: {message}")]
    Failed {
        /// The language asked for.
        language: String,
        /// What the front end says.
        message: String,
    },
}

fn list(known: &[String]) -> String {
    match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    }
}
