//! From text to the best concrete syntax that can be had of it.

use transducer_frontend::cpg::passes::Budget;
use transducer_treesitter::tree_sitter::{Language, Parser};
use transducer_treesitter::{Insertions, ParserSlot, ReadError, SyntaxId, parse, with_parser};

use crate::syntax::{GRAMMAR, Kind, Syntax};

/// What class members are wrapped in, which cannot stand at the top of a file.
const WRAPPER: &str = "class _ {";

/// How a text was read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) syntax: Syntax,
    /// The syntax nodes at the top of the source.
    pub(crate) tops: Vec<SyntaxId>,
    /// Whether those are members of a class that the source does not show.
    pub(crate) are_members: bool,
    /// What was added to make the text parse, in words.
    pub(crate) note: Option<String>,
}

thread_local! {
    static PARSER: ParserSlot = const { ParserSlot::new(None) };
}

/// Reads a source as it stands or, where that shows damage, in the way that shows least of it: with the brackets closed that
/// it leaves open, as members of a class.
pub(crate) fn read(source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    with_parser(&PARSER, Language::new(tree_sitter_javascript::LANGUAGE), |parser| {
        best_reading(parser, source, budget)
    })
}

fn best_reading(parser: &mut Parser, source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    let ending = ending(source.as_bytes());
    // On a line of its own: the source may end in a comment.
    let closed = (!ending.is_empty()).then(|| format!("{source}\n{ending}"));
    let text = closed.as_deref().unwrap_or(source);
    let syntax = Syntax::read(&parse(parser, text, budget)?, &GRAMMAR, source, &Insertions::default());
    let as_it_stands = Reading {
        tops: syntax.children(0).collect(),
        syntax,
        are_members: false,
        note: closed
            .is_some()
            .then(|| format!("ended what the source leaves open with `{ending}`")),
    };
    if as_it_stands.syntax.damage == 0 {
        return Ok(as_it_stands);
    }
    let wrapped = format!("{WRAPPER}{text}\n}}");
    let mut insertions = Insertions::default();
    insertions.push(0, WRAPPER);
    let syntax = Syntax::read(&parse(parser, &wrapped, budget)?, &GRAMMAR, source, &insertions);
    match members(&syntax) {
        Some(tops) if syntax.damage < as_it_stands.syntax.damage => Ok(Reading {
            syntax,
            tops,
            are_members: true,
            ..as_it_stands
        }),
        _ => Ok(as_it_stands),
    }
}

/// The members of the class that was put around the source; `None` where that class did not hold together.
fn members(syntax: &Syntax) -> Option<Vec<SyntaxId>> {
    let mut outer = syntax.children(0);
    let class = outer
        .next()
        .filter(|&class| syntax.kind(class) == Kind::ClassDeclaration)?;
    let body = syntax.child(class, Kind::ClassBody)?;
    outer.next().is_none().then(|| syntax.children(body).collect())
}

/// What closes the brackets that a text leaves open, innermost first.
fn ending(source: &[u8]) -> String {
    let mut open: Vec<u8> = Vec::new();
    // The last byte that is no blank: it tells a division from a regular expression.
    let mut before = b';';
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        let rest = &source[at..];
        let in_template = open.last() == Some(&b'`');
        at += match byte {
            b'\\' => 2,
            b'`' if in_template => {
                open.pop();
                1
            }
            b'$' if in_template && rest.starts_with(b"${") => {
                open.push(b'}');
                2
            }
            _ if in_template => 1,
            b'`' => {
                open.push(b'`');
                1
            }
            b'(' | b'[' | b'{' => {
                open.push(match byte {
                    b'(' => b')',
                    b'[' => b']',
                    _ => b'}',
                });
                1
            }
            // A closing bracket ends those inside that were not closed; one that nothing opened is left alone.
            b')' | b']' | b'}' => {
                if let Some(place) = open.iter().rposition(|&bracket| bracket == byte || bracket == b'`')
                    && open[place] == byte
                {
                    open.truncate(place);
                }
                1
            }
            b'/' if rest.starts_with(b"//") => length_to(rest, |rest| rest[0] == b'\n'),
            b'/' if rest.starts_with(b"/*") => 2 + length_to(&rest[2..], |rest| rest.starts_with(b"*/")) + 2,
            b'/' if !matches!(before, b')' | b']' | b'_' | b'$') && !before.is_ascii_alphanumeric() => literal(rest),
            b'"' | b'\'' => literal(rest),
            _ => 1,
        };
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    open.iter().rev().map(|&bracket| char::from(bracket)).collect()
}

/// Bytes up to the first place where something holds, or to the end.
fn length_to(bytes: &[u8], holds: impl Fn(&[u8]) -> bool) -> usize {
    (0..bytes.len()).find(|&at| holds(&bytes[at..])).unwrap_or(bytes.len())
}

/// Bytes of a string or regular expression up to its end, or that of the line that it does not end on.
fn literal(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ => at += 1,
        }
        if byte == bytes[0] {
            break;
        }
    }
    at
}
