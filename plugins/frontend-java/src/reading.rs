//! From text to the best concrete syntax that can be had of it.

use std::borrow::Cow;

use transducer_frontend::cpg::passes::Budget;
use transducer_treesitter::tree_sitter::Parser;
use transducer_treesitter::{Insertions, ParserSlot, ReadError, SyntaxId, parse, with_parser};

use crate::mend::{Note, begins_statement, mend};
use crate::syntax::{GRAMMAR, Kind, Syntax};

/// What a class body is wrapped in, so that members parse which cannot stand at the top of a file.
const WRAPPER: &str = "class _ {";

/// How a text was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) syntax: Syntax,
    /// The syntax nodes at the top of the source.
    pub(crate) tops: Vec<SyntaxId>,
    /// What was changed to make the text parse.
    pub(crate) notes: Vec<Note>,
}

thread_local! {
    static PARSER: ParserSlot = const { ParserSlot::new(None) };
}

/// Reads a source as it stands or, where that shows damage, in the way that shows least of it: with placeholders replaced,
/// mended, as members of a class.
pub(crate) fn read(source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    with_parser(&PARSER, tree_sitter_java::LANGUAGE, |parser| {
        best_reading(parser, source, budget)
    })
}

fn best_reading(parser: &mut Parser, source: &str, budget: &Budget) -> Result<Reading, ReadError> {
    // What no Java has is replaced before anything is parsed: to recover from it costs the parser many times a parse.
    let Patched {
        text,
        notes,
        is_balanced,
    } = patched(source);
    let as_it_stands = Attempt {
        text: &text,
        insertions: &Insertions::default(),
        notes: &notes,
    };
    let mut best = None;
    if is_balanced && as_it_stands.is_good(parser, source, budget, &mut best)? {
        return Ok(best.unwrap_or_default());
    }
    if let Some(mended) = mend(source) {
        let mended = Attempt {
            text: &mended.text,
            insertions: &mended.insertions,
            notes: &mended.notes,
        };
        if mended.is_good(parser, source, budget, &mut best)? {
            return Ok(best.unwrap_or_default());
        }
    }
    if !is_balanced {
        as_it_stands.is_good(parser, source, budget, &mut best)?;
    }
    Ok(best.unwrap_or_default())
}

/// A text that a source may be read as.
struct Attempt<'a> {
    text: &'a str,
    insertions: &'a Insertions,
    notes: &'a [Note],
}

impl Attempt<'_> {
    /// Parses the text, as it is and as members of a class. The reading with the least damage so far is kept in `best`;
    /// `true` where that has none.
    fn is_good(
        &self,
        parser: &mut Parser,
        source: &str,
        budget: &Budget,
        best: &mut Option<Reading>,
    ) -> Result<bool, ReadError> {
        let mut keep = |syntax: Syntax, tops: Vec<SyntaxId>| {
            let damage = syntax.damage;
            // A repair that leaves nothing of some code is none.
            let is_empty = tops.is_empty() && source.contains(char::is_alphanumeric);
            if !is_empty && best.as_ref().is_none_or(|best| damage < best.syntax.damage) {
                let notes = self.notes.to_vec();
                *best = Some(Reading { syntax, tops, notes });
            }
            damage == 0 && !is_empty
        };
        let tree = parse(parser, self.text, budget)?;
        let syntax = Syntax::read(&tree, &GRAMMAR, source, self.insertions);
        // What is all put in stands nowhere.
        let stands = |&top: &SyntaxId| syntax.node(top).start < syntax.node(top).end;
        let tops = syntax.children(0).filter(stands).collect();
        if keep(syntax, tops) {
            return Ok(true);
        }
        // On a line of its own: the text may end in a comment.
        let wrapped = format!("{WRAPPER}{}\n}}", self.text);
        let tree = parse(parser, &wrapped, budget)?;
        let syntax = Syntax::read(&tree, &GRAMMAR, source, &self.insertions.behind(WRAPPER));
        let Some(tops) = members(&syntax) else { return Ok(false) };
        Ok(keep(syntax, tops))
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

/// A source without what no Java has.
struct Patched<'a> {
    text: Cow<'a, str>,
    notes: Vec<Note>,
    /// Whether every bracket that is opened is closed, and none else, and every statement is over.
    is_balanced: bool,
}

/// The source with what no Java has replaced byte for byte.
fn patched(source: &str) -> Patched<'_> {
    let mut notes = Vec::new();
    let mut bytes = Cow::Borrowed(source.as_bytes());
    let mut open: Vec<u8> = Vec::new();
    let mut is_balanced = true;
    let mut scanner = Scanner {
        source: source.as_bytes(),
        at: 0,
        at_statement: true,
    };
    for piece in scanner.by_ref() {
        match piece {
            Piece::Open(bracket) => open.push(bracket),
            Piece::Dangling => is_balanced = false,
            Piece::Close(bracket) => is_balanced &= open.pop() == Some(bracket),
            Piece::Placeholder { start, end } => {
                let bytes = bytes.to_mut();
                bytes[start] = b'_';
                bytes[end - 1] = b'_';
                // A blank behind it takes the semicolon that it lacks; without one the parser has to guess.
                if next_word(source.as_bytes(), end) != Some(b';')
                    && let Some(blank) = bytes.get_mut(end).filter(|byte| byte.is_ascii_whitespace())
                {
                    *blank = b';';
                }
                notes.push(Note {
                    at: start,
                    text: format!("read the placeholder `{}` as a name", &source[start..end]),
                });
            }
            Piece::Ellipsis { start } => {
                bytes.to_mut()[start..start + 3].copy_from_slice(b";  ");
                notes.push(Note {
                    at: start,
                    text: "read `...` as an empty statement".to_owned(),
                });
            }
        }
    }
    let text = match bytes {
        Cow::Borrowed(_) => Cow::Borrowed(source),
        // Only ASCII was put in place of ASCII.
        Cow::Owned(bytes) => String::from_utf8(bytes).map_or(Cow::Borrowed(source), Cow::Owned),
    };
    Patched {
        text,
        notes,
        is_balanced: is_balanced && open.is_empty() && scanner.at_statement,
    }
}

/// What of a text matters to [`patched`].
enum Piece {
    /// `(` or `{`.
    Open(u8),
    /// What closes that.
    Close(u8),
    /// `<Name>` where a statement starts.
    Placeholder { start: usize, end: usize },
    /// `...` where a statement starts.
    Ellipsis { start: usize },
    /// `.` before another statement: the grammar takes `a. return b;` for a declaration.
    Dangling,
}

/// Goes over a text, past comments and literals.
struct Scanner<'a> {
    source: &'a [u8],
    at: usize,
    /// Whether nothing of a statement was seen since the last one ended.
    at_statement: bool,
}

impl Iterator for Scanner<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while let Some(&byte) = self.source.get(self.at) {
            let start = self.at;
            let rest = &self.source[start..];
            self.at += 1;
            let at_statement = std::mem::replace(&mut self.at_statement, matches!(byte, b'{' | b'}' | b';'));
            match byte {
                b'{' | b'(' => return Some(Piece::Open(byte)),
                b'}' => return Some(Piece::Close(b'{')),
                b')' => return Some(Piece::Close(b'(')),
                b'/' if rest.starts_with(b"//") => {
                    self.skip_past(b"\n");
                    self.at_statement = at_statement;
                }
                b'/' if rest.starts_with(b"/*") => {
                    self.at += 1;
                    self.skip_past(b"*/");
                    self.at_statement = at_statement;
                }
                b'"' if rest.starts_with(b"\"\"\"") => {
                    self.at += 2;
                    self.skip_text_block();
                }
                b'"' | b'\'' => self.skip_literal(byte),
                b'<' if at_statement => {
                    let name = rest[1..]
                        .iter()
                        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                        .count();
                    if name > 0 && rest.get(name + 1) == Some(&b'>') && self.ends_statement(start + name + 2) {
                        self.at = start + name + 2;
                        return Some(Piece::Placeholder { start, end: self.at });
                    }
                }
                b'.' if at_statement && rest.starts_with(b"...") => {
                    self.at += 2;
                    self.at_statement = true;
                    return Some(Piece::Ellipsis { start });
                }
                b'.' if next_statement(rest) => return Some(Piece::Dangling),
                byte if byte.is_ascii_whitespace() => self.at_statement = at_statement,
                _ => {}
            }
        }
        None
    }
}

impl Scanner<'_> {
    fn skip_past(&mut self, end: &[u8]) {
        let rest = &self.source[self.at.min(self.source.len())..];
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at = found.map_or(self.source.len(), |found| self.at + found + end.len());
    }

    /// To the end of a text block, past escaped quotes.
    fn skip_text_block(&mut self) {
        while let Some(&byte) = self.source.get(self.at) {
            if self.source[self.at..].starts_with(b"\"\"\"") {
                self.at += 3;
                return;
            }
            self.at += if byte == b'\\' { 2 } else { 1 };
        }
    }

    /// To the end of a string or character, or of the line that it does not end on.
    fn skip_literal(&mut self, quote: u8) {
        while let Some(&byte) = self.source.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'\n' => return,
                _ => self.at += 1,
            }
            if byte == quote {
                return;
            }
        }
    }

    fn ends_statement(&self, at: usize) -> bool {
        matches!(next_word(self.source, at), None | Some(b';' | b'}'))
    }
}

/// Whether blanks follow the first byte, and behind them another statement.
fn next_statement(rest: &[u8]) -> bool {
    let blanks = rest[1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let word = &rest[1 + blanks..];
    let length = word.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    blanks > 0 && std::str::from_utf8(&word[..length]).is_ok_and(begins_statement)
}

/// The first byte from a place on that is no blank.
fn next_word(source: &[u8], at: usize) -> Option<u8> {
    let rest = source.get(at..).unwrap_or_default();
    rest.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use transducer_frontend::ParseLimits;

    use super::read;
    use crate::syntax::Kind;

    /// The end of the placeholder's line is taken for a semicolon, and the class that members are put in has a line end too.
    #[test]
    fn lines_are_those_of_the_source() {
        let source = "void m() {\n<Placeholder>\n}\n// the fourth\n";
        let reading = read(source, &ParseLimits::default().budget()).expect("it is short");
        let comment = reading.syntax.nodes.iter().find(|node| node.kind == Kind::LineComment);
        assert_eq!(comment.map(|comment| comment.line), Some(4));
    }
}
