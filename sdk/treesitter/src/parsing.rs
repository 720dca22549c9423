//! From text to a tree, or to nothing when the time is up.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::thread::LocalKey;

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::{ParseError, ParseLimits};
use tree_sitter::{Language, ParseOptions, Parser, Tree};

/// A language's parser on one thread: it keeps its stacks and lookahead buffers between texts, and making one costs as much
/// as parsing a short method.
pub type ParserSlot = RefCell<Option<Parser>>;

/// Why a text was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The time is up.
    #[error("the time limit was reached")]
    TimedOut,
    /// The grammar's scanner would not survive it: what is wrong, and what to do.
    #[error("{0}")]
    Unscannable(String),
    /// The grammar does not fit the library: a build mistake.
    #[error(transparent)]
    Grammar(#[from] tree_sitter::LanguageError),
}

impl ReadError {
    /// The error that a host sees.
    pub fn told(self, limits: &ParseLimits) -> ParseError {
        match self {
            ReadError::TimedOut => ParseError::TimedOut {
                limit_millis: limits.max_millis,
            },
            ReadError::Unscannable(reason) => ParseError::failed(reason),
            ReadError::Grammar(error) => ParseError::failed(error),
        }
    }
}

/// Calls `read` with the thread's parser of a language.
///
/// # Errors
/// [`ReadError::Grammar`], and what `read` says.
pub fn with_parser<T>(
    slot: &'static LocalKey<ParserSlot>,
    language: impl Into<Language>,
    read: impl FnOnce(&mut Parser) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    slot.with_borrow_mut(|slot| {
        let parser = match slot {
            Some(parser) => parser,
            None => {
                let mut parser = Parser::new();
                parser.set_language(&language.into())?;
                slot.insert(parser)
            }
        };
        let result = read(parser);
        // A parse that was stopped would be continued by the next one.
        parser.reset();
        result
    })
}

/// Parses a text until the budget's time is up.
///
/// # Errors
/// [`ReadError::TimedOut`].
pub fn parse(parser: &mut Parser, text: &str, budget: &Budget) -> Result<Tree, ReadError> {
    let bytes = text.as_bytes();
    let mut give = |offset: usize, _| bytes.get(offset..).unwrap_or_default();
    let mut progress = |_: &tree_sitter::ParseState| {
        if budget.is_late() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    parser
        .parse_with_options(&mut give, None, Some(options))
        .ok_or(ReadError::TimedOut)
}
