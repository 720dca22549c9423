//! Pieces of source text: without common indentation, and on one line.

use std::ops::Range;

use crate::language::Language;

/// Where the lines of `span` but for the first repeat `indent`, as far as they do.
pub(crate) fn indentation(text: &str, span: Range<usize>, indent: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = line_end(text, span.start);
    while start < span.end {
        let shared = text[start..span.end]
            .bytes()
            .zip(indent.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        found.push(start..start + shared);
        start = line_end(text, start);
    }
    found
}

/// `span` of the text with pieces of it replaced. Pieces come in any order; one that begins inside another is left out.
pub(crate) fn edited(text: &str, span: Range<usize>, mut edits: Vec<(Range<usize>, &str)>) -> String {
    edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut edited = String::with_capacity(span.len());
    let mut at = span.start;
    for (range, by) in edits {
        if range.start >= at && range.end <= span.end {
            edited.push_str(&text[at..range.start]);
            edited.push_str(by);
            at = range.end;
        }
    }
    edited.push_str(&text[at..span.end]);
    edited
}

/// The spaces and tabs before `at` on its line; empty where something else stands there.
pub(crate) fn indent_at(text: &str, at: usize) -> &str {
    let before = &text[line_start(text, at)..at];
    if before.bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
        before
    } else {
        ""
    }
}

/// Where the line of `at` starts.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the line of `at` ends, its newline included.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// A statement on one line, without its comments; `None` where a string goes over lines, which cannot be joined.
pub(crate) fn one_line(language: Language, text: &str) -> Option<String> {
    let mut line = String::with_capacity(text.len());
    // Whether lines, or what stood around a comment, are still to be joined.
    let mut joining = false;
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(length) = comment(language, rest) {
            joining = true;
            at += length;
        } else if first == '\n' || (language == Language::Python && rest.starts_with("\\\n")) {
            joining = true;
            at += if first == '\n' { 1 } else { 2 };
        } else if first.is_whitespace() && (joining || rest.trim_start_matches([' ', '\t']).starts_with('\n')) {
            at += first.len_utf8();
        } else {
            if std::mem::take(&mut joining) {
                line.truncate(line.trim_end().len());
                let tight = line.is_empty() || line.ends_with(['(', '[', '.']) || ")].,;".contains(first);
                line.push_str(if tight { "" } else { " " });
            }
            let length = string(rest).unwrap_or(first.len_utf8());
            let piece = &rest[..length];
            if piece.contains('\n') {
                return None;
            }
            line.push_str(piece);
            at += length;
        }
    }
    Some(line.trim().to_owned())
}

/// How long a comment at the start of `text` is, without the newline that ends it.
pub(crate) fn comment(language: Language, text: &str) -> Option<usize> {
    let to_line_end = || text.find('\n').unwrap_or(text.len());
    match language {
        Language::Java if text.starts_with("//") => Some(to_line_end()),
        Language::Java if text.starts_with("/*") => Some(text[2..].find("*/").map_or(text.len(), |end| end + 4)),
        Language::Python if text.starts_with('#') => Some(to_line_end()),
        _ => None,
    }
}

/// How long a string or character literal at the start of `text` is; one that is not closed ends with the text.
pub(crate) fn string(text: &str) -> Option<usize> {
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| text.starts_with(quote))?;
    let mut at = quote.len();
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(quote) {
            return Some(at + quote.len());
        }
        // A backslash keeps the next character from ending the string, in a raw one too.
        let escaped = if rest.starts_with('\\') { 1 } else { 0 };
        at += escaped + rest[escaped..].chars().next().map_or(0, char::len_utf8);
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dedents() {
        let cases = [
            ("a {\n        b\n    }", "    ", "a {\n    b\n}"),
            ("a\n  b\n\n      c", "    ", "a\nb\n\n  c"),
            ("a\n\tb", "    ", "a\n\tb"),
            ("a\n\t\tb\n", "\t", "a\n\tb\n"),
            ("a", "    ", "a"),
        ];
        for (text, indent, expected) in cases {
            let edits = indentation(text, 0..text.len(), indent)
                .into_iter()
                .map(|range| (range, ""));
            assert_eq!(edited(text, 0..text.len(), edits.collect()), expected, "{text:?}");
        }
    }

    #[test]
    fn edits() {
        let cases = [
            (Vec::new(), "bcde"),
            (vec![(3..4, "X"), (1..2, "")], "cXe"),
            (vec![(1..2, "no"), (1..4, "X")], "Xe"),
            (vec![(3..6, "beyond"), (0..2, "before")], "bcde"),
        ];
        for (edits, expected) in cases {
            assert_eq!(edited("abcdef", 1..5, edits), expected);
        }
    }

    #[test]
    fn indents() {
        assert_eq!(indent_at("a\n  b", 4), "  ");
        assert_eq!(indent_at("a { b", 4), "");
        assert_eq!(indent_at("\tb", 1), "\t");
    }

    #[test]
    fn joins_lines() {
        use Language::{Java, Python};
        let cases = [
            (Java, "assertEquals(1, x);", Some("assertEquals(1, x);")),
            (Java, "assertEquals(1,\n        x);", Some("assertEquals(1, x);")),
            (Java, "assertEquals(\n    1,\n    x  \n);", Some("assertEquals(1, x);")),
            (
                Java,
                "assertThat(x) \n  .isEqualTo(2);",
                Some("assertThat(x).isEqualTo(2);"),
            ),
            (Java, "f(1, // one\n  2 /* two */ + 3);", Some("f(1, 2 + 3);")),
            (Java, "f(\"a  // b\", '\"',  'x');", Some("f(\"a  // b\", '\"',  'x');")),
            (Java, "f(\"\"\"\n  a\n  \"\"\");", None),
            (Java, "f(\"\\\"\\n\");", Some("f(\"\\\"\\n\");")),
            (Java, "f(\"é\\é\");", Some("f(\"é\\é\");")),
            (Python, "assert x == \\\n    1", Some("assert x == 1")),
            (Python, "assert (\n    x == 1  # why\n)", Some("assert (x == 1)")),
            (Python, "assert x == '#'  # why", Some("assert x == '#'")),
            (Python, "assert x == '''a\nb'''", None),
            (
                Python,
                "assert x == \"\"\"a 'b'\"\"\"",
                Some("assert x == \"\"\"a 'b'\"\"\""),
            ),
            (Python, "assert x == ''", Some("assert x == ''")),
            (Python, "assert x // 2 == 1", Some("assert x // 2 == 1")),
        ];
        for (language, text, expected) in cases {
            assert_eq!(one_line(language, text).as_deref(), expected, "{text:?}");
        }
    }
}
