//! From text to the best concrete syntax that can be had of it.

use transducer_frontend::cpg::passes::Budget;
use transducer_treesitter::tree_sitter::{Language, Parser};
use transducer_treesitter::{ParserSlot, ReadError, parse, with_parser};

use crate::indents;
use crate::repair::{Repaired, repair};
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

/// Reads a source with the repairs that are certain. Where it shows damage still, others are tried, then none: what counts is
/// which reading shows least.
pub(crate) fn read(source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    with_parser(&PARSER, Language::new(tree_sitter_python::LANGUAGE), |parser| {
        let certain = repair(source, false);
        let (is_changed, has_attempts) = (!certain.notes.is_empty(), certain.has_attempts);
        let mut best = read_as(certain, source, parser, budget)?;
        if best.syntax.damage > 0 && has_attempts {
            best = better(best, read_as(repair(source, true), source, parser, budget)?);
        }
        // A repair that leaves nothing only hides the damage.
        let is_nothing = best.syntax.nodes.len() == 1;
        if (best.syntax.damage > 0 || is_nothing) && is_changed {
            let untouched = read_as(Repaired::untouched(source), source, parser, budget)?;
            best = if is_nothing { untouched } else { better(best, untouched) };
        }
        Ok(best)
    })
}

fn read_as(repaired: Repaired<'_>, source: &str, parser: &mut Parser, budget: &Budget) -> Result<Reading, ReadError> {
    if !indents::fit(&repaired.text) {
        let reason =
            "the lines are indented to too many different depths, with strings among them: cut the source into pieces";
        return Err(ReadError::Unscannable(reason.to_owned()));
    }
    let tree = parse(parser, &repaired.text, budget)?;
    Ok(Reading {
        syntax: Syntax::read(&tree, &GRAMMAR, source, &repaired.insertions),
        notes: repaired.notes,
    })
}

fn better(one: Reading, other: Reading) -> Reading {
    if other.syntax.damage < one.syntax.damage {
        other
    } else {
        one
    }
}
