//! A text as tokens: what of it matters to whoever mends it.

use super::Edit;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A keyword or a name.
    Word,
    /// A number, a string, a character, or a text block.
    Literal,
    /// Anything else: brackets, operators, separators.
    Mark,
}

/// A token with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) sort: Sort,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Columns of blanks before it, where it is the first of its line.
    pub(super) indent: Option<usize>,
    /// Columns of blanks at the start of its line.
    pub(super) line_indent: usize,
}

impl Token {
    /// Whether it is one mark, that mark.
    pub(super) fn is_single(&self, source: &str, mark: &str) -> bool {
        self.sort == Sort::Mark && source.get(self.start..self.end) == Some(mark)
    }
}

/// Columns that a tab counts for. Only lines of one text are compared, which rarely mix tabs with blanks.
const TAB: usize = 4;

/// Marks of more than one character that must not be taken apart.
const LONG_MARKS: [&[u8]; 5] = [b"...", b"->", b"::", b"++", b"--"];

/// Entities of HTML that stand for a character of Java, as scraped pages leave them.
const ENTITIES: [(&[u8], u8); 4] = [(b"&lt;", b'<'), (b"&gt;", b'>'), (b"&amp;", b'&'), (b"&nbsp;", b' ')];

/// What starts a line that is none of the program: marks of merge conflicts, fences of Markdown.
const FOREIGN_LINES: [&[u8]; 5] = [b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||", b"```"];

/// The tokens of a text; `edits` are added for what is no token of Java, and for literals and comments without an end.
pub(super) fn tokens(source: &str, edits: &mut Vec<Edit>) -> Vec<Token> {
    let mut lexer = Lexer {
        source: source.as_bytes(),
        text: source,
        at: 0,
        is_first: true,
        line_indent: 0,
        tokens: Vec::new(),
        edits,
    };
    while let Some(&byte) = lexer.source.get(lexer.at) {
        lexer.step(byte);
    }
    lexer.tokens
}

/// Whether the text begins with a mark of its own: `|||||||f()` is damaged code.
fn is_foreign(rest: &[u8]) -> bool {
    let mark = FOREIGN_LINES.iter().find_map(|mark| rest.strip_prefix(*mark));
    // The language follows a fence without a blank.
    mark.is_some_and(|behind| rest[0] == b'`' || behind.first().is_none_or(u8::is_ascii_whitespace))
}

struct Lexer<'a> {
    source: &'a [u8],
    text: &'a str,
    at: usize,
    /// Whether nothing but blanks was seen in the line.
    is_first: bool,
    line_indent: usize,
    tokens: Vec<Token>,
    edits: &'a mut Vec<Edit>,
}

impl Lexer<'_> {
    fn step(&mut self, byte: u8) {
        let rest = &self.source[self.at..];
        match byte {
            b'\n' => {
                self.at += 1;
                self.is_first = true;
                self.line_indent = 0;
            }
            b' ' | b'\r' | b'\x0c' | b'\t' => {
                self.at += 1;
                if self.is_first {
                    self.line_indent += if byte == b'\t' { TAB } else { 1 };
                }
            }
            _ if self.is_first && is_foreign(rest) => self.blank_line(),
            // No token of Java; other languages' comments start with it.
            b'#' => self.blank_line(),
            b'/' if rest.starts_with(b"//") => self.at = self.end_of_line(),
            b'/' if rest.starts_with(b"/*") => self.block_comment(),
            b'"' if rest.starts_with(b"\"\"\"") => self.text_block(),
            b'"' | b'\'' => self.quoted(byte),
            b'0'..=b'9' => self.number(),
            b'&' => self.entity_or_mark(),
            b'\\' if is_unicode_escape(rest) => {
                self.edits.push(Edit::put(self.at, b'_'));
                self.word();
            }
            byte if is_word(byte) => self.word(),
            _ => self.mark(),
        }
    }

    fn push(&mut self, sort: Sort, end: usize) {
        let indent = std::mem::take(&mut self.is_first).then_some(self.line_indent);
        self.tokens.push(Token {
            sort,
            start: self.at,
            end,
            indent,
            line_indent: self.line_indent,
        });
        self.at = end;
    }

    fn end_of_line(&self) -> usize {
        let rest = &self.source[self.at..];
        rest.iter()
            .position(|&byte| byte == b'\n')
            .map_or(self.source.len(), |length| self.at + length)
    }

    fn blank_line(&mut self) {
        let end = self.end_of_line();
        self.edits.push(Edit::blank(self.at..end));
        self.at = end;
    }

    fn block_comment(&mut self) {
        let rest = &self.source[self.at + 2..];
        match rest.windows(2).position(|pair| pair == b"*/") {
            Some(length) => self.at += length + 4,
            None => {
                self.at = self.source.len();
                self.edits.push(Edit::insert(self.at, "*/"));
            }
        }
    }

    fn text_block(&mut self) {
        let mut end = self.at + 3;
        while end < self.source.len() && !self.source[end..].starts_with(b"\"\"\"") {
            end += if self.source[end] == b'\\' { 2 } else { 1 };
        }
        if end >= self.source.len() {
            end = self.source.len();
            self.edits.push(Edit::insert(end, "\n\"\"\""));
        } else {
            end += 3;
        }
        self.push(Sort::Literal, end);
    }

    /// A string or a character. One that does not end in its line ends before the brackets and separators that end the line.
    fn quoted(&mut self, quote: u8) {
        let line_end = self.end_of_line();
        let mut end = self.at + 1;
        while end < line_end && self.source[end] != quote {
            end += if self.source[end] == b'\\' { 2 } else { 1 };
        }
        if end < line_end {
            return self.push(Sort::Literal, end + 1);
        }
        let inside = &self.text[self.at + 1..line_end];
        let kept = inside.trim_end_matches([')', ']', ';', ',', '{', '}', ' ', '\t', '\r']);
        // A backslash before the quote would undo it.
        let kept = kept.trim_end_matches('\\');
        let end = self.at + 1 + kept.len();
        let closing = if quote == b'"' { "\"" } else { "'" };
        self.edits.push(Edit::insert(end, closing));
        self.push(Sort::Literal, end);
    }

    fn number(&mut self) {
        let rest = &self.source[self.at..];
        let mut length = 0;
        while let Some(&byte) = rest.get(length) {
            let is_sign = matches!(byte, b'+' | b'-')
                && matches!(rest[length - 1], b'e' | b'E' | b'p' | b'P')
                && !rest.starts_with(b"0x");
            let is_point = byte == b'.' && rest.get(length + 1).is_none_or(|next| *next != b'.');
            if !is_word(byte) && !is_sign && !is_point {
                break;
            }
            length += 1;
        }
        self.push(Sort::Literal, self.at + length);
    }

    fn word(&mut self) {
        let rest = &self.source[self.at..];
        let mut length = 0;
        while let Some(&byte) = rest.get(length) {
            if is_unicode_escape(&rest[length..]) {
                if length > 0 {
                    self.edits.push(Edit::put(self.at + length, b'_'));
                }
                length += 6;
            } else if is_word(byte) {
                length += 1;
            } else {
                break;
            }
        }
        match self.text.get(self.at..self.at + length) {
            // An ellipsis of one character is a word by its bytes.
            Some("…") => {
                self.edits.push(Edit::blank(self.at..self.at + length));
                self.at += length;
            }
            _ => self.push(Sort::Word, self.at + length),
        }
    }

    fn entity_or_mark(&mut self) {
        let rest = &self.source[self.at..];
        match ENTITIES.iter().find(|(name, _)| rest.starts_with(name)) {
            Some(&(name, meant)) => {
                // `&&` is one mark, and must not be torn apart.
                let is_pair = meant == b'&' && rest[name.len()..].starts_with(name);
                let end = self.at + name.len() * if is_pair { 2 } else { 1 };
                let kept = if is_pair { 2 } else { 1 };
                self.edits
                    .extend((self.at..self.at + kept).map(|at| Edit::put(at, meant)));
                self.edits.push(Edit::blank(self.at + kept..end));
                if meant == b' ' {
                    self.at = end;
                } else {
                    self.push(Sort::Mark, end);
                }
            }
            None => self.mark(),
        }
    }

    fn mark(&mut self) {
        let rest = &self.source[self.at..];
        let length = LONG_MARKS
            .iter()
            .find(|mark| rest.starts_with(mark))
            .map_or(1, |mark| mark.len());
        self.push(Sort::Mark, self.at + length);
    }
}

fn is_unicode_escape(rest: &[u8]) -> bool {
    rest.starts_with(b"\\u")
        && rest
            .get(2..6)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
