//! Text without comments, as the program cuts them out before parsing: textually, whatever the grammar would say.

use std::borrow::Cow;

use crate::{Language, python_tokens};

/// Whitespace to Python's `str.split` and `str.strip`: Unicode's, and four control characters.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// The text without whitespace at its ends.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What whitespace separates.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// The text without comments and blank lines; Python's also without docstrings.
///
/// Python that cannot be cut into tokens keeps everything.
pub(crate) fn remove(language: Language, text: &str) -> Cow<'_, str> {
    let without = match language {
        Language::Java | Language::CSharp => without_c_comments(text),
        Language::Python => match python_tokens::without_comments(text) {
            Some(without) => without,
            None => return Cow::Borrowed(text),
        },
    };
    let lines = without.split('\n').filter(|line| !strip(line).is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// Each comment becomes a space. Quoted text is kept, over line ends too, since the program's pattern ignores them;
/// a quote that nothing closes is an ordinary character.
fn without_c_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A search that found no end finds none later either: three searches over the rest at most, not one a quote.
    let (mut open_comment, mut open_quote, mut open_double) = (false, false, false);
    let mut rest = text;
    while let Some(at) = rest.find(['/', '\'', '"']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let unclosed = match rest.as_bytes()[0] {
            b'\'' => &mut open_quote,
            b'"' => &mut open_double,
            _ => &mut open_comment,
        };
        let comment = rest.starts_with("//") || rest.starts_with("/*");
        let end = if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if *unclosed || (rest.starts_with('/') && !comment) {
            None
        } else if comment {
            let end = rest[2..].find("*/").map(|end| end + 4);
            *unclosed = end.is_none();
            end
        } else {
            let end = quoted(rest.as_bytes());
            *unclosed = end.is_none();
            end
        };
        // All that can stand first here is one byte long.
        let end = end.unwrap_or(1);
        out.push_str(if comment && end > 1 { " " } else { &rest[..end] });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Where quoted text ends that starts here.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if *byte == text[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(text: &str) -> String {
        remove(Language::Java, text).into_owned()
    }

    #[test]
    fn comments_become_a_space() {
        assert_eq!(java("a/*b*/c // d\n\n  \ne/* open"), "a c  \ne/* open");
        assert_eq!(java("'//' + \"/*\" + \"\\\"//\" // x"), "'//' + \"/*\" + \"\\\"//\"  ");
        assert_eq!(java("it's // gone"), "it's  ");
        assert_eq!(java("/*/ a */b"), " b");
        assert_eq!(java("'\\'\\'\\' // 'ü' /"), "'\\'\\'\\' // 'ü' /");
    }

    #[test]
    fn what_a_quote_hides_is_kept_over_lines() {
        assert_eq!(java("don't // a\nwon't // b"), "don't // a\nwon't  ");
    }
}
