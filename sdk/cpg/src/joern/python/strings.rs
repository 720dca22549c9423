//! String literals after one another, which are one value to the language.

use std::ops::Range;

/// One string of a text.
pub(super) struct Text {
    pub(super) whole: Range<usize>,
    /// What is between the quotes.
    pub(super) content: Range<usize>,
    pub(super) is_format: bool,
}

/// The strings of a text; none where it is something else.
pub(super) fn split(text: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(string) = string_at(text, start) {
        let end = string.whole.end;
        found.push(string);
        start = end + blanks(&text[end..]);
    }
    found
}

fn string_at(text: &str, start: usize) -> Option<Text> {
    let rest = &text[start..];
    let prefix = rest.find(|c: char| !c.is_ascii_alphabetic())?;
    let is_format = rest[..prefix].contains(['f', 'F']);
    let rest = &rest[prefix..];
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| rest.starts_with(quote))?;
    let from = start + prefix + quote.len();
    let mut at = quote.len();
    while let Some(next) = rest[at..].chars().next() {
        if rest[at..].starts_with(quote) {
            let end = start + prefix + at;
            return Some(Text {
                whole: start..end + quote.len(),
                content: from..end,
                is_format,
            });
        }
        at += next.len_utf8();
        if next == '\\' {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    None
}

/// Blanks, line ends and comments.
fn blanks(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\\');
        let Some(comment) = trimmed.strip_prefix('#') else {
            return text.len() - trimmed.len();
        };
        rest = comment.split_once('\n').map_or("", |(_, after)| after);
    }
}
