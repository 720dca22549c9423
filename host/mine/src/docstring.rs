//! The inside of a docstring: what it says in plain words before its first section.

use crate::report::Dropped;
use crate::text;

/// Lines that begin a section, without their colon: from here on it is no summary.
const SECTIONS: &[&str] = &[
    "args",
    "arguments",
    "attributes",
    "example",
    "examples",
    "note",
    "notes",
    "parameters",
    "params",
    "raises",
    "returns",
    "return",
    "see also",
    "usage",
    "warning",
    "warnings",
    "yields",
];

/// Whether a literal is a string.
pub(crate) fn is_string(literal: &str) -> bool {
    literal
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .starts_with(['"', '\''])
}

/// The value of a string literal as far as a reader needs it: numbered characters (`\x41`) stay as they are written. `None`
/// for what is no docstring: bytes, a computed string, several strings one after the other.
pub(crate) fn value(literal: &str) -> Option<String> {
    let quoted = literal.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let prefix = literal[..literal.len() - quoted.len()].to_ascii_lowercase();
    if !matches!(prefix.as_str(), "" | "r" | "u") || text::string(quoted)? != quoted.len() {
        return None;
    }
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| quoted.starts_with(quote))?;
    let inside = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    if prefix == "r" {
        return Some(inside.to_owned());
    }
    let mut value = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('\n')) => {}
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some('t')) => value.push('\t'),
            ('\\', Some(escaped @ ('\\' | '\'' | '"'))) => value.push(escaped),
            ('\\', Some(other)) => value.extend(['\\', other]),
            (other, _) => value.push(other),
        }
    }
    Some(value)
}

/// The first paragraph of a docstring's value as plain text, for a function named `name`.
///
/// # Errors
/// [`Dropped::NoSentence`] where it has none, [`Dropped::NotASummary`] where it only repeats the function's head.
pub(crate) fn first_paragraph(value: &str, name: &str) -> Result<String, Dropped> {
    let lines = value.lines().map(str::trim).skip_while(|line| line.is_empty());
    let lines: Vec<&str> = lines.take_while(|line| !line.is_empty() && !is_section(line)).collect();
    let Some(first) = lines.first() else {
        return Err(Dropped::NoSentence);
    };
    // As functions in C document themselves: `split(text, count) -> list`.
    if first.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')) {
        return Err(Dropped::NotASummary);
    }
    Ok(plain(&lines.join("\n")))
}

fn is_section(line: &str) -> bool {
    let heading = line.strip_suffix(':').map(str::to_ascii_lowercase);
    let underline = line.len() >= 3 && line.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'~'));
    let field = line.starts_with(':') && line[1..].contains(':') && !line.contains(":`");
    heading.is_some_and(|heading| SECTIONS.contains(&heading.as_str()))
        || underline
        || field
        || [">>>", ".. ", "@param", "@return", "@type"]
            .into_iter()
            .any(|mark| line.starts_with(mark))
}

/// Without the marks of reStructuredText: ``:class:`~a.B` `` reads as `B`, ``` ``x`` ``` as `x`.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('`') {
        let quotes = if rest[open..].starts_with("``") { 2 } else { 1 };
        let inside = &rest[open + quotes..];
        let Some(close) = inside.find(&"``"[..quotes]) else {
            break;
        };
        let before = &rest[..open];
        plain.push_str(role_start(before).map_or(before, |start| &before[..start]));
        plain.push_str(reads(&inside[..close]));
        rest = inside[close + quotes..].trim_start_matches('_');
    }
    plain.push_str(rest);
    plain
}

/// Where a role, as `:class:`, at the very end of `text` starts.
fn role_start(text: &str) -> Option<usize> {
    let inside = text.strip_suffix(':')?;
    let role = inside
        .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == ':' || c == '-')
        .len();
    inside[role..].starts_with(':').then_some(role)
}

/// What stands between backquotes: a title before its `<target>`, the last name of a `~path`.
fn reads(inside: &str) -> &str {
    if let Some(path) = inside.strip_prefix('~') {
        return path.rsplit('.').next().unwrap_or(path);
    }
    match inside.split_once('<') {
        Some((title, target)) if target.ends_with('>') && !title.trim().is_empty() => title.trim(),
        _ => inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let cases = [
            (r#""""Doc.""""#, Some("Doc.")),
            ("'Doc.'", Some("Doc.")),
            (r#"r"""a\n""""#, Some("a\\n")),
            (r#"u'a\n\'b\''"#, Some("a\n'b'")),
            ("\"\"\"a\\\nb\"\"\"", Some("ab")),
            (r#""\x41""#, Some("\\x41")),
            (r#"b"Doc.""#, None),
            (r#"f"Doc.""#, None),
            (r#""a" "b""#, None),
            (r#""""a"#, None),
            ("''", Some("")),
        ];
        for (literal, expected) in cases {
            assert_eq!(value(literal).as_deref(), expected, "{literal}");
        }
    }

    #[test]
    fn paragraphs() {
        let cases = [
            ("Return x.", Ok("Return x.")),
            ("\n    Return x\n    of y.\n\n    More.\n", Ok("Return x\nof y.")),
            ("Return x.\nArgs:\n  a: b", Ok("Return x.")),
            ("Return x.\n:param a: b", Ok("Return x.")),
            ("Args:\n  a", Err(Dropped::NoSentence)),
            ("   ", Err(Dropped::NoSentence)),
            ("f(a, b) -> int\n\nReturn.", Err(Dropped::NotASummary)),
            ("Make a :class:`~a.b.C` from ``x``.", Ok("Make a C from x.")),
            (
                "Make :py:meth:`run` run, `see this <http://a>`_.",
                Ok("Make run run, see this."),
            ),
            (":class:`C` made here.", Ok("C made here.")),
            ("A `half quote.", Ok("A `half quote.")),
            ("Naïve—:func:`f` é.", Ok("Naïve—f é.")),
        ];
        for (value, expected) in cases {
            assert_eq!(first_paragraph(value, "f"), expected.map(str::to_owned), "{value}");
        }
    }

    #[test]
    fn strings() {
        for (literal, expected) in [
            ("'a'", true),
            ("rb\"a\"", true),
            ("12", false),
            ("None", false),
            ("...", false),
        ] {
            assert_eq!(is_string(literal), expected, "{literal}");
        }
    }
}
