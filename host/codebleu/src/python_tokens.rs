//! Python source without comments and docstrings, in the tokens of Python 3.11's module `tokenize`.
//!
//! The program writes every token back at its column. Which token is a name, a number or an operator changes nothing
//! in that, so only those that matter are told apart here. From Python 3.12 on, `tokenize` cuts f-strings and refuses
//! more broken code; published numbers are older.

/// What the program asks of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    Text,
    Newline,
    Indent,
    Other,
}

/// Width of a tab in indentation.
const TAB: usize = 8;

/// Text of which each token is appended at its column.
struct Output {
    text: String,
    before: Kind,
    line: usize,
    column: usize,
}

impl Output {
    /// Appends a token from `start` (line, column) to `end`.
    fn token(&mut self, kind: Kind, text: &[char], start: (usize, usize), end: (usize, usize)) {
        if start.0 > self.line {
            self.column = 0;
        }
        let gap = start.1.saturating_sub(self.column);
        self.text.extend(std::iter::repeat_n(' ', gap));
        let kept = match kind {
            Kind::Comment => false,
            // A string that starts a line or a block is a docstring.
            Kind::Text => !matches!(self.before, Kind::Indent | Kind::Newline) && start.1 > 0,
            _ => true,
        };
        if kept {
            self.text.extend(text);
        }
        self.before = kind;
        (self.line, self.column) = end;
    }
}

/// A string that goes on in the next line.
struct Open {
    text: Vec<char>,
    start: (usize, usize),
    quote: char,
    triple: bool,
}

/// The source without comments and docstrings; none if `tokenize` would raise an error.
pub(crate) fn without_comments(source: &str) -> Option<String> {
    let mut out = Output {
        text: String::with_capacity(source.len()),
        before: Kind::Indent,
        line: 0,
        column: 0,
    };
    let mut indents = vec![0];
    let mut open: Option<Open> = None;
    // Set when a string goes on after a backslash, reset only when a string ends well: as there.
    let mut needs_backslash = false;
    let mut brackets = 0_i64;
    let mut continued = false;
    let mut last: Vec<char> = Vec::new();
    let mut number = 0;
    for line in source.split_inclusive('\n') {
        let line: Vec<char> = line.chars().collect();
        number += 1;
        let mut at = 0;
        if let Some(mut string) = open.take() {
            if let Some(end) = string_end(&line, 0, string.quote, string.triple) {
                string.text.extend(&line[..end]);
                out.token(Kind::Text, &string.text, string.start, (number, end));
                needs_backslash = false;
                at = end;
            } else {
                string.text.extend(&line);
                if needs_backslash && !line.ends_with(&['\\', '\n']) && !line.ends_with(&['\\', '\r', '\n']) {
                    out.token(Kind::Other, &string.text, string.start, (number, line.len()));
                } else {
                    open = Some(string);
                }
                last = line;
                continue;
            }
        } else if brackets == 0 && !continued {
            let (column, start) = indentation(&line);
            at = start;
            if at == line.len() {
                // Only a last line without an end; what is kept as the line before it is told below.
                break;
            }
            if matches!(line[at], '#' | '\r' | '\n') {
                if line[at] == '#' {
                    let end = line.len() - line.iter().rev().take_while(|c| matches!(c, '\r' | '\n')).count();
                    out.token(Kind::Comment, &line[at..end], (number, at), (number, end));
                    at = end;
                }
                out.token(Kind::Other, &line[at..], (number, at), (number, line.len()));
                last = line;
                continue;
            }
            if indents.last().is_some_and(|indent| column > *indent) {
                indents.push(column);
                out.token(Kind::Indent, &line[..at], (number, 0), (number, at));
            }
            while indents.last().is_some_and(|indent| column < *indent) {
                if !indents.contains(&column) {
                    return None;
                }
                indents.pop();
                out.token(Kind::Other, &[], (number, at), (number, at));
            }
        } else {
            continued = false;
        }
        while at < line.len() {
            let Some((start, end, triple)) = token(&line, at) else {
                out.token(Kind::Other, &line[at..=at], (number, at), (number, at + 1));
                at += 1;
                continue;
            };
            at = end;
            if start == end {
                continue;
            }
            let (begin, stop) = ((number, start), (number, end));
            let text = &line[start..end];
            let quote = line[end - 1];
            if triple {
                if let Some(end) = string_end(&line, end, quote, true) {
                    out.token(Kind::Text, &line[start..end], begin, (number, end));
                    at = end;
                    continue;
                }
                open = Some(Open {
                    text: line[start..].to_vec(),
                    start: begin,
                    quote,
                    triple,
                });
                break;
            }
            match text[0] {
                '\r' | '\n' if brackets > 0 => out.token(Kind::Other, text, begin, stop),
                '\r' | '\n' => out.token(Kind::Newline, text, begin, stop),
                '#' => out.token(Kind::Comment, text, begin, stop),
                '\\' => continued = true,
                _ if text.iter().take(3).any(|c| matches!(c, '\'' | '"')) => {
                    if quote == '\n' {
                        let quote = text.iter().copied().find(|c| matches!(c, '\'' | '"'));
                        needs_backslash = true;
                        open = Some(Open {
                            text: line[start..].to_vec(),
                            start: begin,
                            quote: quote.unwrap_or('"'),
                            triple,
                        });
                        break;
                    }
                    out.token(Kind::Text, text, begin, stop);
                }
                first => {
                    match first {
                        '(' | '[' | '{' => brackets += 1,
                        ')' | ']' | '}' => brackets -= 1,
                        _ => {}
                    }
                    out.token(Kind::Other, text, begin, stop);
                }
            }
        }
        last = line;
    }
    // The end came inside a string or a bracket, or after a backslash.
    if open.is_some() || brackets != 0 || continued {
        return None;
    }
    if last.last().is_some_and(|c| !matches!(c, '\r' | '\n')) {
        let text: String = last.iter().collect();
        if !crate::comments::strip(&text).starts_with('#') {
            out.token(Kind::Newline, &[], (number, last.len()), (number, last.len() + 1));
        }
    }
    Some(out.text)
}

/// The column of a line's first character, tabs expanded, and its place.
fn indentation(line: &[char]) -> (usize, usize) {
    let mut column = 0;
    for (at, character) in line.iter().enumerate() {
        match character {
            ' ' => column += 1,
            '\t' => column = (column / TAB + 1) * TAB,
            '\x0c' => column = 0,
            _ => return (column, at),
        }
    }
    (column, line.len())
}

/// Where a string ends whose text goes on at `at`.
fn string_end(line: &[char], mut at: usize, quote: char, triple: bool) -> Option<usize> {
    while let Some(character) = line.get(at) {
        match *character {
            '\\' => at += 2,
            character if character == quote && !triple => return Some(at + 1),
            character if character == quote && line[at..].starts_with(&[quote; 3]) => return Some(at + 3),
            _ => at += 1,
        }
    }
    None
}

/// The token after any whitespace: where it starts, where it ends, whether it opens a string of three quotes.
fn token(line: &[char], at: usize) -> Option<(usize, usize, bool)> {
    let blank = line[at..]
        .iter()
        .take_while(|c| matches!(c, ' ' | '\x0c' | '\t'))
        .count();
    let start = at + blank;
    let rest = &line[start..];
    let run = |from: usize, accepts: fn(char) -> bool| from + rest[from..].iter().take_while(|c| accepts(**c)).count();
    let plain = |length: usize| Some((start, start + length, false));
    match rest {
        [] | ['\n', ..] => return plain(rest.len().min(1)),
        ['\r', '\n', ..] | ['\\', '\n', ..] | ['!', '=', ..] => return plain(2),
        ['\\', '\r', '\n', ..] => return plain(3),
        ['#', ..] => return plain(run(1, |c| !matches!(c, '\r' | '\n'))),
        ['.', next, ..] if next.is_ascii_digit() => return plain(run(1, |c| c.is_ascii_digit())),
        _ => {}
    }
    let prefix = run(0, |c| "bBrRuUfF".contains(c));
    let prefix_is_known = matches!(
        rest[..prefix]
            .iter()
            .map(char::to_ascii_lowercase)
            .collect::<String>()
            .as_str(),
        "" | "b" | "r" | "u" | "f" | "br" | "rb" | "fr" | "rf"
    );
    if prefix_is_known && let Some(quote @ ('\'' | '"')) = rest.get(prefix) {
        if rest[prefix..].starts_with(&[*quote; 3]) {
            return Some((start, start + prefix + 3, true));
        }
        if let Some(length) = first_line_of_string(rest, prefix + 1, *quote) {
            return plain(length);
        }
    }
    match rest[0] {
        digit if digit.is_ascii_digit() => {
            let radix = match rest.get(1).map(char::to_ascii_lowercase) {
                Some('x') if digit == '0' => run(2, |c| c.is_ascii_hexdigit() || c == '_'),
                Some('b' | 'o') if digit == '0' => run(2, |c| c.is_ascii_digit() || c == '_'),
                _ => 0,
            };
            plain(if radix > 2 {
                radix
            } else {
                run(0, |c| c.is_ascii_digit() || c == '_')
            })
        }
        letter if letter.is_alphanumeric() || letter == '_' => plain(run(0, |c| c.is_alphanumeric() || c == '_')),
        sign if "%&()*+,-./:;<=>@[]^{|}~".contains(sign) => plain(1),
        _ => None,
    }
}

/// Where the string ends that goes on at `at`, in this line or with its backslash at the line's end.
fn first_line_of_string(line: &[char], mut at: usize, quote: char) -> Option<usize> {
    loop {
        match line.get(at..)? {
            ['\\', '\n', ..] => return Some(at + 2),
            ['\\', '\r', '\n', ..] => return Some(at + 3),
            ['\\', _, ..] => at += 2,
            [] | ['\\' | '\n', ..] => return None,
            [first, ..] if *first == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn comments_and_docstrings_go() {
        let source = "def f(a):  # one\n    '''two\n    three'''\n    x = \"#\"\n    return x\n";
        let expected = "def f(a):  \n    \n    x = \"#\"\n    return x\n";
        assert_eq!(without_comments(source).as_deref(), Some(expected));
    }

    #[test]
    fn broken_code_is_left_alone() {
        assert_eq!(without_comments("f(a  # one"), None);
        assert_eq!(without_comments("if a:\n    b\n  c"), None);
        assert_eq!(without_comments("x = '''open"), None);
    }
}
