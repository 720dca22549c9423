//! From text to the best concrete syntax that can be had of it.

use transducer_frontend::cpg::passes::Budget;
use transducer_treesitter::tree_sitter::Language;
use transducer_treesitter::{ParserSlot, Placement, ReadError, parse, with_parser};

use crate::syntax::{GRAMMAR, Syntax};

/// How a text was read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) syntax: Syntax,
    /// What was changed to make the text parse, in words.
    pub(crate) notes: Vec<String>,
}

thread_local! {
    static PARSER: ParserSlot = const { ParserSlot::new(None) };
}

/// Reads a source as it stands.
pub(crate) fn read(source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    with_parser(&PARSER, Language::new(tree_sitter_python::LANGUAGE), |parser| {
        let tree = parse(parser, source, budget)?;
        let placement = Placement {
            source_len: source.len(),
            insertions: &[],
        };
        Ok(Reading {
            syntax: Syntax::read(&tree, &GRAMMAR, placement),
            notes: Vec::new(),
        })
    })
}
