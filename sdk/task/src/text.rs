//! What most tasks do with a reply: take it out of a Markdown fence, cut it where it ends.

/// The content of the first Markdown fence, or the text itself where there is none; trimmed in both cases.
///
/// A fence that is not closed runs to the end, and a closing fence without an opening one ends the text: replies that
/// begin inside a fence look like that.
pub fn strip_fence(text: &str) -> &str {
    const FENCE: &str = "```";
    let Some((before, after)) = text.split_once(FENCE) else {
        return text.trim();
    };
    // An opening fence stands at the start of a line and names at most a language.
    let (info, body) = after.split_once('\n').unwrap_or((after, ""));
    let opens = before.trim().is_empty() || (body.contains(FENCE) && before.ends_with('\n'));
    if !opens || info.trim().contains(char::is_whitespace) {
        return before.trim();
    }
    body.split(FENCE).next().unwrap_or_default().trim()
}

/// The first sentence: up to the first `.`, `!` or `?` that is followed by white space or the end, or up to a blank
/// line. Dots of abbreviations and numbers do not count.
pub fn first_sentence(text: &str) -> &str {
    const ABBREVIATIONS: [&str; 7] = ["e.g.", "i.e.", "etc.", "vs.", "cf.", "no.", "approx."];
    let text = text.trim();
    let text = text.split("\n\n").next().unwrap_or_default();
    for (index, end) in text.match_indices(['.', '!', '?']) {
        let (sentence, rest) = text.split_at(index + end.len());
        let last_word = sentence.rsplit(char::is_whitespace).next().unwrap_or_default();
        let last_word = last_word
            .trim_start_matches(|c: char| !c.is_alphanumeric())
            .to_ascii_lowercase();
        let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
        if ends && (rest.is_empty() || !ABBREVIATIONS.contains(&last_word.as_str())) {
            return sentence;
        }
    }
    text
}

/// The brackets and semicolons of code in a C-like language (Java, C#, JavaScript), with their byte offsets; those in
/// strings, characters and comments are left out.
pub fn punctuation(code: &str) -> impl Iterator<Item = (usize, char)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        while let Some(first) = code[rest..].chars().next() {
            let at = rest;
            let here = &code[at..];
            rest += if here.starts_with("//") {
                here.find('\n').unwrap_or(here.len())
            } else if let Some(comment) = here.strip_prefix("/*") {
                comment.find("*/").map_or(here.len(), |end| end + 4)
            } else if let Some(block) = here.strip_prefix("\"\"\"") {
                block.find("\"\"\"").map_or(here.len(), |end| end + 6)
            } else if matches!(first, '"' | '\'') {
                quoted(here, first)
            } else {
                first.len_utf8()
            };
            if matches!(first, '(' | ')' | '[' | ']' | '{' | '}' | ';') {
                return Some((at, first));
            }
        }
        None
    })
}

/// Bytes of the string or character at the start of `text`. It ends at the line's end at the latest: an apostrophe in
/// broken code must not swallow the rest.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return index,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// How the brackets of a piece of code close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Bytes up to the end of the last complete unit: a `{…}` or a `;` outside of all brackets.
    pub complete: usize,
    /// How many complete units there are.
    pub units: usize,
    /// The brackets that would have to follow to close all that is open at the end, innermost first.
    pub missing: String,
}

/// Counts complete units, up to `max_units`, and what is left open. A closing bracket too many ends the code.
pub fn balance(code: &str, max_units: usize) -> Balance {
    let (mut complete, mut units, mut open) = (0, 0, Vec::new());
    for (at, c) in punctuation(code) {
        if units == max_units {
            break;
        }
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ';' if open.is_empty() => (complete, units) = (at + 1, units + 1),
            ';' => {}
            close if open.last() == Some(&close) => {
                open.pop();
                if open.is_empty() && close == '}' {
                    (complete, units) = (at + 1, units + 1);
                }
            }
            _ => break,
        }
    }
    Balance {
        complete,
        units,
        missing: open.into_iter().rev().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{balance, first_sentence, punctuation, strip_fence};

    #[test]
    fn fences_are_taken_off() {
        for (text, expected) in [
            (" plain ", "plain"),
            ("```java\nint x;\n```\nDone.", "int x;"),
            ("Here it is:\n```java\nint x;\n```", "int x;"),
            ("```\nint x;", "int x;"),
            ("int x;\n```\nIt adds.", "int x;"),
            ("int x;\n```", "int x;"),
            ("```", ""),
            ("", ""),
        ] {
            assert_eq!(strip_fence(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_sentence_ends_at_its_own_dot() {
        for (text, expected) in [
            ("Returns the size. It is fast.", "Returns the size."),
            ("Returns the size", "Returns the size"),
            ("Uses e.g. a map. Then more.", "Uses e.g. a map."),
            ("Waits 1.5 s (i.e. long). End.", "Waits 1.5 s (i.e. long)."),
            ("Reads foo.bar lines\n\nMore", "Reads foo.bar lines"),
            ("Is it set? Yes.", "Is it set?"),
            ("Größe “x”. Ä", "Größe “x”."),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), expected, "{text:?}");
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let code = "f(\"(\\\"\", ')', /* ( */ x); // {\n{\"\"\" ( \"\"\"}";
        let found: String = punctuation(code).map(|(_, c)| c).collect();
        assert_eq!(found, "();{}");
        let found: String = punctuation("don't (\n)").map(|(_, c)| c).collect();
        assert_eq!(found, ")", "a quote ends with its line");
    }

    #[test]
    fn units_end_where_brackets_close() {
        let two = "int a() { return b[0]; } int c() { }";
        assert_eq!(&two[..balance(two, 1).complete], "int a() { return b[0]; }");
        assert_eq!(balance(two, 9).units, 2);
        assert_eq!(balance("void f() { g(", 1).missing, ")}");
        assert_eq!(balance("void f();", 1).complete, 9);
        let closed_twice = balance("void f() { } } int x;", 9);
        assert_eq!((closed_twice.units, closed_twice.complete), (1, 12));
    }
}
