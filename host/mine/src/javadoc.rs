//! The inside of a Javadoc comment: what it says in plain words before its first block tag.

use crate::report::Dropped;

/// HTML elements that end a paragraph.
const BLOCKS: &[&str] = &[
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];

/// HTML elements that do not. Anything else in `<>` is code, as in `List<String>`.
const INLINES: &[&str] = &[
    "a", "abbr", "b", "big", "center", "cite", "code", "del", "em", "font", "i", "img", "ins", "kbd", "q", "s", "samp",
    "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var",
];

/// Entities that comments use, and what they stand for.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("apos", '\''),
    ("gt", '>'),
    ("hellip", '…'),
    ("lt", '<'),
    ("mdash", '—'),
    ("nbsp", ' '),
    ("ndash", '–'),
    ("quot", '"'),
];

/// Marks the end of a paragraph in text under way; no comment has it.
const BREAK: char = '\u{c}';

/// Whether a comment is Javadoc.
pub(crate) fn is_javadoc(comment: &str) -> bool {
    comment.starts_with("/**") && comment.len() > "/**/".len()
}

/// The first paragraph of a Javadoc comment as plain text.
///
/// # Errors
/// [`Dropped::Inherited`] where it is that of the method overridden, [`Dropped::NoSentence`] where it has tags only.
pub(crate) fn first_paragraph(comment: &str) -> Result<String, Dropped> {
    let mut text = String::new();
    for line in body(comment).lines() {
        let line = line.trim_start();
        let line = line
            .strip_prefix('*')
            .map_or(line, |rest| rest.trim_start_matches('*'))
            .trim();
        if line.starts_with('@') {
            break;
        }
        if line.is_empty() {
            text.push(BREAK);
        }
        text.push_str(line);
        text.push('\n');
    }
    let plain = plain(&text)?;
    let mut paragraphs = plain.split(BREAK).map(str::trim);
    let first = paragraphs.find(|paragraph| !paragraph.is_empty());
    first.map(str::to_owned).ok_or(Dropped::NoSentence)
}

fn body(comment: &str) -> &str {
    let inside = comment.strip_prefix("/**").unwrap_or(comment);
    inside.strip_suffix("*/").unwrap_or(inside).trim_end_matches('*')
}

/// Without tags, elements and entities.
fn plain(text: &str) -> Result<String, Dropped> {
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (piece, length) = match first {
            '{' if rest.starts_with("{@") => inline_tag(rest)?,
            '<' => element(rest),
            '&' => entity(rest),
            _ => None,
        }
        .unwrap_or_else(|| (first.to_string(), first.len_utf8()));
        plain.push_str(&piece);
        at += length;
    }
    Ok(plain)
}

/// What `{@tag content}` at the start of `text` reads as, and its length; `None` where it is not closed.
fn inline_tag(text: &str) -> Result<Option<(String, usize)>, Dropped> {
    let mut depth = 0_usize;
    let end = text.char_indices().find(|&(_, character)| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some((end, _)) = end else {
        return Ok(None);
    };
    let inside = text["{@".len()..end].trim();
    let (tag, content) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let content = content.trim();
    let reads = match tag {
        "inheritDoc" => return Err(Dropped::Inherited),
        "link" | "linkplain" => link(content),
        "code" | "literal" | "index" | "summary" | "systemProperty" => content.to_owned(),
        "return" => format!("Returns {}.", plain(content)?.trim_end_matches('.')),
        _ => String::new(),
    };
    Ok(Some((reads, end + 1)))
}

/// The label of a link, or else what it leads to: `List#add(Object)` reads as `List.add(Object)`.
fn link(content: &str) -> String {
    // A parameter list may have spaces; the label comes after it.
    let reference = match (content.find('('), content.find(char::is_whitespace)) {
        (Some(open), space) if space.is_none_or(|space| open < space) => content[open..]
            .find(')')
            .map_or(content.len(), |close| open + close + 1),
        (_, Some(space)) => space,
        (_, None) => content.len(),
    };
    let label = content[reference..].trim();
    if label.is_empty() {
        content[..reference].trim_start_matches('#').replace('#', ".")
    } else {
        label.to_owned()
    }
}

/// What an HTML element's tag or an HTML comment at the start of `text` reads as, and its length.
fn element(text: &str) -> Option<(String, usize)> {
    if text.starts_with("<!--") {
        return Some((String::new(), text.find("-->")? + "-->".len()));
    }
    let end = text.find('>')?;
    let inside = text[1..end].trim_start_matches('/');
    let name = inside
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if BLOCKS.contains(&name.as_str()) {
        Some((BREAK.to_string(), end + 1))
    } else if INLINES.contains(&name.as_str()) {
        Some((String::new(), end + 1))
    } else {
        None
    }
}

/// What an entity at the start of `text` stands for, and its length.
fn entity(text: &str) -> Option<(String, usize)> {
    let end = text.find(';')?;
    let name = &text[1..end];
    let known = ENTITIES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, character)| character);
    let numbered = || match name.strip_prefix('#')? {
        hex if hex.starts_with(['x', 'X']) => u32::from_str_radix(&hex[1..], 16).ok(),
        decimal => decimal.parse().ok(),
    };
    let character = known.or_else(|| char::from_u32(numbered()?))?;
    Some((character.to_string(), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs() {
        let cases = [
            ("/** Returns x. */", Ok("Returns x.")),
            ("/**\n * Returns x\n * of y.\n * @return x\n */", Ok("Returns x\nof y.")),
            ("/**\n   Returns x.\n\n   More. **/", Ok("Returns x.")),
            ("/** Returns {@code a < b<c>} now. */", Ok("Returns a < b<c> now.")),
            (
                "/** Calls {@link java.util.List#add(int, Object) add} of {@link Map#get}. */",
                Ok("Calls add of Map.get."),
            ),
            (
                "/** Calls {@link #size()} and {@link #put(int, Object)}. */",
                Ok("Calls size() and put(int, Object)."),
            ),
            ("/** <p>Returns <b>x</b>.<p>More. */", Ok("Returns x.")),
            ("/** Takes a List<String> here. */", Ok("Takes a List<String> here.")),
            (
                "/** If a &lt; b &amp;&amp; c &#62; d &#x3e; &nope; e. */",
                Ok("If a < b && c > d > &nope; e."),
            ),
            ("/** {@inheritDoc} */", Err(Dropped::Inherited)),
            ("/** @return x */", Err(Dropped::NoSentence)),
            ("/** */", Err(Dropped::NoSentence)),
            ("/** {@return the {@code size} of it} */", Ok("Returns the size of it.")),
            ("/** Broken {@code x", Ok("Broken {@code x")),
            ("/** A mail to a@b.c is\n * sent. */", Ok("A mail to a@b.c is\nsent.")),
            ("/** Uses <!-- not\n * this --> that. */", Ok("Uses  that.")),
            ("/** {@code {}} and {@value #X} are. */", Ok("{} and  are.")),
        ];
        for (comment, expected) in cases {
            assert_eq!(first_paragraph(comment), expected.map(str::to_owned), "{comment}");
        }
    }

    #[test]
    fn javadoc_or_not() {
        for (comment, expected) in [
            ("/** a */", true),
            ("/* a */", false),
            ("/**/", false),
            ("// /** a */", false),
        ] {
            assert_eq!(is_javadoc(comment), expected, "{comment}");
        }
    }
}
