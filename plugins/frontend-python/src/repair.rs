//! Cheap repairs of text that no Python is, so that the parser need not guess: to recover from what is missing costs it many
//! times a parse, and a bracket that is never closed costs it the rest of the file.
//!
//! Certain are those that any reading needs: a bracket is open where a statement begins that cannot stand inside one, a line
//! that opens a block has no colon, the line after a line is deeper although that one opens no block. Others are attempts,
//! for the parser to judge.

use std::borrow::Cow;

use transducer_treesitter::Insertions;

/// Columns to the next of which a tab leads, as the grammar has them.
const TAB: usize = 8;

/// Words that begin a statement and cannot begin a line inside brackets.
const STATEMENTS: [&str; 18] = [
    "assert", "break", "class", "continue", "def", "del", "elif", "except", "finally", "global", "import", "nonlocal",
    "pass", "raise", "return", "try", "while", "with",
];

/// Words that begin a line which ends in a colon, or has one.
const OPENERS: [&str; 11] = [
    "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "while", "with",
];

/// A text as it is to be parsed.
#[derive(Debug)]
pub(crate) struct Repaired<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) insertions: Insertions,
    /// What was done, in words.
    pub(crate) notes: Vec<String>,
    /// Whether more could be tried.
    pub(crate) has_attempts: bool,
}

impl<'a> Repaired<'a> {
    /// The text as it stands.
    pub(crate) fn untouched(source: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(source),
            insertions: Insertions::default(),
            notes: Vec::new(),
            has_attempts: false,
        }
    }
}

/// Repairs what is certain and, `with_attempts`, what is likely.
pub(crate) fn repair(source: &str, with_attempts: bool) -> Repaired<'_> {
    let mut scanner = Scanner {
        source: source.as_bytes(),
        with_attempts,
        at: 0,
        open: Vec::new(),
        of_kind: [0; 3],
        line: Line::default(),
        before: Line::default(),
        earlier: Line::default(),
        blocks: Vec::new(),
        edits: Vec::new(),
        counts: Counts::default(),
        placeholders: Vec::new(),
    };
    scanner.scan();
    let Scanner {
        mut edits,
        counts,
        placeholders,
        ..
    } = scanner;
    let mut notes: Vec<String> = placeholders
        .into_iter()
        .map(|(start, end)| format!("read the placeholder `{}` as a name", &source[start..end]))
        .collect();
    notes.extend(counts.told());
    let has_attempts = counts.attempts > 0;
    if edits.is_empty() {
        return Repaired {
            has_attempts,
            ..Repaired::untouched(source)
        };
    }
    // Those at one place stay in the order in which they were found.
    edits.sort_by_key(|edit| edit.at);
    let mut text = String::with_capacity(source.len() + edits.len() * 8);
    let mut insertions = Insertions::default();
    let mut done = 0;
    for edit in edits {
        text.push_str(source.get(done..edit.at).unwrap_or_default());
        let kept = edit.text.len().min(edit.replaces);
        insertions.push(text.len() + kept, &edit.text[kept..]);
        text.push_str(&edit.text);
        done = done.max(edit.at + edit.replaces);
    }
    text.push_str(source.get(done..).unwrap_or_default());
    Repaired {
        text: Cow::Owned(text),
        insertions,
        notes,
        has_attempts,
    }
}

/// Text that is put in, and the bytes of the source that it stands for: no more than its own.
#[derive(Debug)]
struct Edit {
    at: usize,
    replaces: usize,
    text: Cow<'static, str>,
}

/// How often what was done.
#[derive(Debug, Default)]
struct Counts {
    closed: usize,
    opened: usize,
    dropped: usize,
    colons: usize,
    strings: usize,
    moved: usize,
    clauses: usize,
    attempts: usize,
}

impl Counts {
    fn told(&self) -> impl Iterator<Item = String> {
        let told = [
            (self.closed, "closed brackets that the source leaves open"),
            (self.opened, "opened the parenthesis that the head of a function lacks"),
            (self.dropped, "left out brackets that close nothing"),
            (self.colons, "added the colon that a line lacks"),
            (self.strings, "ended strings that the source leaves open"),
            (self.moved, "moved lines to the indentation of those around them"),
            (self.clauses, "added the statement that a clause belongs to"),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{what}: {count}"))
    }
}

/// A logical line, as far as it was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Whether it has a token yet.
    is_begun: bool,
    /// Where its first token starts.
    start: usize,
    /// Columns before that.
    indent: usize,
    /// Where its last token ends.
    end: usize,
    /// Whether a colon stands outside of brackets.
    has_colon: bool,
    /// Whether a bracket stands in it.
    has_bracket: bool,
    /// Whether the last token is a colon.
    opens_block: bool,
}

struct Scanner<'a> {
    source: &'a [u8],
    with_attempts: bool,
    at: usize,
    open: Vec<u8>,
    /// How many of them are of each kind, so that none is looked for in vain.
    of_kind: [usize; 3],
    line: Line,
    /// The line before, and the one before that.
    before: Line,
    earlier: Line,
    /// The lines around the present one that open blocks, outermost first: their indentation and first word.
    blocks: Vec<(usize, &'a [u8])>,
    edits: Vec<Edit>,
    counts: Counts,
    placeholders: Vec<(usize, usize)>,
}

impl<'a> Scanner<'a> {
    fn scan(&mut self) {
        self.begin_line();
        while let Some(&byte) = self.source.get(self.at) {
            match byte {
                b'\n' => self.newline(),
                b' ' | b'\t' | b'\r' | b'\x0c' => self.at += 1,
                b'#' => self.skip_line(),
                b'\\' if self.continues() => {
                    self.skip_line();
                    self.at += 1;
                }
                _ => self.token(byte),
            }
        }
        self.close_all();
        self.end_line();
    }

    fn rest(&self) -> &'a [u8] {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// To the end of the line.
    fn skip_line(&mut self) {
        self.at += self.rest().iter().take_while(|&&byte| byte != b'\n').count();
    }

    /// Whether a backslash is the last thing of its line.
    fn continues(&self) -> bool {
        let mut after = self.rest()[1..].iter().skip_while(|&&byte| byte == b'\r');
        matches!(after.next(), Some(b'\n'))
    }

    fn token(&mut self, byte: u8) {
        if !self.line.is_begun {
            self.begin_statement();
        }
        let start = self.at;
        self.line.opens_block = false;
        match byte {
            b'(' | b'[' | b'{' => {
                self.line.has_bracket = true;
                self.open.push(byte);
                self.of_kind[kind_of(byte)] += 1;
                self.at += 1;
            }
            b')' | b']' | b'}' => self.close(byte),
            b'"' | b'\'' => self.string(byte),
            b':' => {
                self.at += 1;
                self.line.opens_block = self.open.is_empty();
                self.line.has_colon |= self.open.is_empty();
            }
            b'<' if start == self.line.start && self.placeholder() => {}
            _ if is_word(byte) => self.at += self.rest().iter().take_while(|&&byte| is_word(byte)).count(),
            _ => self.at += 1,
        }
        self.line.end = self.at;
    }

    /// `<Name>` as a statement.
    fn placeholder(&mut self) -> bool {
        let start = self.at;
        let name = self.source[start + 1..]
            .iter()
            .take_while(|&&byte| is_word(byte))
            .count();
        let end = start + name + 2;
        let after = self.source.get(end..).unwrap_or_default();
        let rest = after.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
        if name == 0 || self.source.get(end - 1) != Some(&b'>') || !matches!(rest, None | Some(b'\n' | b';' | b'#')) {
            return false;
        }
        self.edit(start, 1, "_");
        self.edit(end - 1, 1, "_");
        self.placeholders.push((start, end));
        self.at = end;
        true
    }

    fn edit(&mut self, at: usize, replaces: usize, text: impl Into<Cow<'static, str>>) {
        let text = text.into();
        self.edits.push(Edit { at, replaces, text });
    }

    // Brackets.

    fn close(&mut self, byte: u8) {
        self.at += 1;
        let opening = match byte {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        let kind = kind_of(opening);
        let found = (self.of_kind[kind] > 0).then(|| self.open.iter().rposition(|&open| open == opening));
        match found.flatten() {
            Some(place) => {
                self.close_to(place + 1);
                self.open.truncate(place);
                self.of_kind[kind] -= 1;
            }
            None => match self.bare_name().filter(|_| byte == b')') {
                // The parenthesis is put in behind the name, or stands for the comma there.
                Some(name_end) => {
                    self.counts.opened += 1;
                    let is_comma = self.source.get(name_end) == Some(&b',');
                    self.edit(name_end, usize::from(is_comma), "(");
                }
                None => {
                    self.counts.dropped += 1;
                    self.edit(self.at - 1, 1, " ");
                }
            },
        }
        self.line.has_bracket = true;
    }

    /// Where the name ends in the head of a function whose parameters have no opening parenthesis, if that is what the bracket
    /// before the present place closes.
    fn bare_name(&self) -> Option<usize> {
        let after = self.rest().trim_ascii_start();
        if self.line.has_bracket || !(after.starts_with(b":") || after.starts_with(b"->")) {
            return None;
        }
        let head = &self.source[self.line.start..self.at - 1];
        let from_name = head.strip_prefix(b"async ").unwrap_or(head).strip_prefix(b"def ")?;
        let length = from_name.iter().take_while(|&&byte| is_word(byte)).count();
        (length > 0).then_some(self.at - 1 - from_name.len() + length)
    }

    /// Closes the brackets inside the first `depth` ones where the last token ends.
    fn close_to(&mut self, depth: usize) {
        if self.open.len() <= depth {
            return;
        }
        self.counts.closed += self.open.len() - depth;
        let closing = self.open[depth..].iter().rev().map(|open| match open {
            b'(' => ')',
            b'[' => ']',
            _ => '}',
        });
        let closing: String = closing.collect();
        self.edit(self.line.end, 0, closing);
        for open in self.open.drain(depth..) {
            self.of_kind[kind_of(open)] -= 1;
        }
    }

    fn close_all(&mut self) {
        self.close_to(0);
    }

    // Strings.

    fn string(&mut self, quote: u8) {
        let start = self.at;
        let is_long = self.rest().starts_with(&[quote; 3]);
        let width = if is_long { 3 } else { 1 };
        self.at += width;
        loop {
            match self.source.get(self.at) {
                None => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n') if !is_long => break,
                Some(&byte) if byte == quote && (!is_long || self.rest().starts_with(&[quote; 3])) => {
                    self.at += width;
                    return;
                }
                Some(_) => self.at += 1,
            }
        }
        self.at = self.at.min(self.source.len());
        self.counts.strings += 1;
        let line_end = start + self.source[start..].iter().take_while(|&&byte| byte != b'\n').count();
        let is_last = self.source[start + width..line_end.max(start + width)]
            .iter()
            .all(u8::is_ascii_whitespace);
        if is_long && is_last && line_end < self.source.len() {
            // More likely the end of a string whose beginning is missing.
            self.edit(start, 1, "#");
            self.at = line_end;
        } else {
            let end = self.source[..self.at].iter().rposition(|&byte| byte != b'\r');
            let quotes = if quote == b'"' { "\"\"\"" } else { "'''" };
            self.edit(end.map_or(self.at, |end| end + 1), 0, &quotes[..width]);
        }
    }

    // Lines.

    fn newline(&mut self) {
        if !self.open.is_empty() && self.statement_follows() {
            self.close_all();
        }
        self.at += 1;
        if self.open.is_empty() {
            self.end_line();
            self.begin_line();
        }
    }

    /// Whether the next line begins with what cannot stand inside brackets, or probably does not.
    fn statement_follows(&mut self) -> bool {
        let rest = &self.rest()[1..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let next = &rest[blanks..];
        let word = &next[..next.iter().take_while(|&&byte| is_word(byte)).count()];
        if STATEMENTS.iter().any(|statement| statement.as_bytes() == word) {
            return true;
        }
        let is_deeper = indent_of(&rest[..blanks]) > self.line.indent;
        let begins_expression = word.first().is_some_and(|first| !first.is_ascii_digit());
        if is_deeper
            || !begins_expression
            || matches!(word, b"for" | b"if" | b"else" | b"and" | b"or" | b"in" | b"is" | b"not")
        {
            return false;
        }
        self.counts.attempts += 1;
        self.with_attempts
    }

    fn begin_line(&mut self) {
        if self.line.is_begun {
            self.earlier = std::mem::replace(&mut self.before, self.line);
        }
        self.line = Line::default();
    }

    /// The first token of a line: where it is deeper than the line before, and that one opens no block, one of them is not where
    /// it belongs.
    fn begin_statement(&mut self) {
        let line_start = self.source[..self.at]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        self.line = Line {
            is_begun: true,
            start: self.at,
            indent: indent_of(&self.source[line_start..self.at]),
            end: self.at,
            ..Line::default()
        };
        let Line { indent, .. } = self.line;
        let is_unexpected = self.before.is_begun && !self.before.opens_block && indent > self.before.indent;
        let fits_earlier = self.earlier.is_begun && (self.earlier.indent >= indent || self.earlier.opens_block);
        if is_unexpected && fits_earlier {
            self.counts.moved += 1;
            self.edit(self.before.start, 0, " ".repeat(indent - self.before.indent));
            self.before.indent = indent;
        }
        self.place_in_block(line_start);
    }

    /// A clause belongs to the statement that was opened last at its indentation. Where there is no such statement, an empty
    /// one is put before it.
    fn place_in_block(&mut self, line_start: usize) {
        let Line { start, indent, .. } = self.line;
        let rest = &self.source[start..];
        let word = &rest[..rest.iter().take_while(|&&byte| is_word(byte)).count()];
        let fits: &[&[u8]] = match word {
            b"elif" => &[b"if", b"elif"],
            b"else" => &[b"if", b"elif", b"for", b"while", b"try", b"except"],
            b"except" => &[b"try", b"except"],
            b"finally" => &[b"try", b"except", b"else"],
            _ => &[],
        };
        let is_clause = !fits.is_empty();
        while self
            .blocks
            .pop_if(|(outer, _)| *outer > indent || *outer == indent && !is_clause)
            .is_some()
        {}
        if !is_clause {
            if OPENERS.iter().any(|opener| opener.as_bytes() == word) {
                self.blocks.push((indent, word));
            } else if word == b"async" {
                self.blocks.push((indent, b"for"));
            }
            return;
        }
        match self.blocks.last_mut() {
            Some((outer, before)) if *outer == indent && fits.contains(before) => *before = word,
            _ => {
                let head = if matches!(word, b"elif" | b"else") {
                    "if _:"
                } else {
                    "try:"
                };
                let blanks = String::from_utf8_lossy(&self.source[line_start..start]);
                let statement = format!("{head}\n{blanks}");
                self.counts.clauses += 1;
                self.edit(start, 0, statement);
                self.blocks.push((indent, word));
            }
        }
    }

    fn end_line(&mut self) {
        let Line {
            is_begun,
            start,
            end,
            has_colon,
            ..
        } = self.line;
        if !is_begun {
            return;
        }
        let text = &self.source[start..end];
        let word = &text[..text.iter().take_while(|&&byte| is_word(byte)).count()];
        // `async` is a name in old code.
        let is_opener = match word {
            b"async" => [" def ", " for ", " with "]
                .iter()
                .any(|after| text[word.len()..].starts_with(after.as_bytes())),
            word => OPENERS.iter().any(|opener| opener.as_bytes() == word),
        };
        if is_opener && !has_colon {
            self.counts.colons += 1;
            self.line.opens_block = true;
            self.edit(end, 0, ":");
        }
    }
}

fn kind_of(opening: u8) -> usize {
    match opening {
        b'(' => 0,
        b'[' => 1,
        _ => 2,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The columns of blanks.
fn indent_of(blanks: &[u8]) -> usize {
    blanks.iter().fold(0, |columns, blank| match blank {
        b' ' => columns + 1,
        b'\t' => (columns / TAB + 1) * TAB,
        b'\x0c' => 0,
        _ => columns,
    })
}
