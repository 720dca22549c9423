//! How a task's code becomes a graph: the front ends, with a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use transducer_frontends::{FrontEnds, ParseFailure as FrontEndFailure};
use transducer_tasks::{CodeParser, ParseFailure, ParsedCode};

/// Parses for one request, and keeps count of the time.
pub(crate) struct Parser {
    front_ends: Arc<FrontEnds>,
    nanoseconds: AtomicU64,
}

impl Parser {
    pub(crate) fn new(front_ends: Arc<FrontEnds>) -> Self {
        Self {
            front_ends,
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Time spent so far.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

impl CodeParser for Parser {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        let begun = Instant::now();
        let parsed = self.front_ends.parse(language, source);
        self.nanoseconds
            .fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        match parsed {
            Ok(cpg) => Ok(Arc::new(ParsedCode {
                language: language.to_owned(),
                source: source.to_owned(),
                cpg: Arc::new(cpg),
            })),
            Err(FrontEndFailure::UnknownLanguage { language, .. }) => {
                let known = self
                    .front_ends
                    .languages()
                    .iter()
                    .map(|language| language.name.clone())
                    .collect();
                Err(ParseFailure::UnknownLanguage { language, known })
            }
            Err(other) => Err(ParseFailure::Failed {
                language: language.to_owned(),
                message: other.to_string(),
            }),
        }
    }
}
