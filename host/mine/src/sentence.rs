//! The first sentence of a text, and whether it is one to learn from.

use std::ops::RangeInclusive;

use crate::report::Dropped;

/// What ends in a full stop without ending a sentence, in lower case and without that stop.
const ABBREVIATIONS: &[&str] = &[
    "approx", "cf", "e.g", "eg", "etc", "excl", "fig", "i.e", "ie", "incl", "resp", "vs", "w.r.t",
];

/// Largest share of characters of a target that are not ASCII, in percent: a name or a dash may be, a sentence in another
/// script is not what an English model learns from.
const MAX_NON_ASCII_PERCENT: usize = 10;

/// The first sentence of a paragraph, spaces between its words single. All of it where no sentence ends.
pub(crate) fn first_sentence(paragraph: &str) -> String {
    let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '.' | '!' | '?' if depth == 0 && ends_sentence(&text, at) => return text[..=at].to_owned(),
            _ => {}
        }
    }
    text
}

/// Whether the full stop (or `!`, `?`) at `at` ends a sentence.
fn ends_sentence(text: &str, at: usize) -> bool {
    let after = &text[at + 1..];
    if after.is_empty() {
        return true;
    }
    if !after.starts_with(' ') {
        return false;
    }
    // Sentences start with a capital; after an abbreviation the same one may go on with a name.
    let goes_on = after
        .trim_start()
        .starts_with(|next: char| next.is_lowercase() || ",;:)".contains(next));
    let word = text[..at].rsplit([' ', '(']).next().unwrap_or_default();
    let abbreviated = text[at..].starts_with('.')
        && (ABBREVIATIONS.contains(&word.to_lowercase().as_str())
            // An initial, as in `D. Knuth`.
            || (word.len() == 1 && word.starts_with(|letter: char| letter.is_ascii_uppercase())));
    !goes_on && !abbreviated
}

/// Whether a sentence can be a target.
pub(crate) fn check(sentence: &str, words: &RangeInclusive<usize>) -> Result<(), Dropped> {
    let starts = |prefix: &str| sentence.to_ascii_lowercase().starts_with(prefix);
    if !sentence.chars().any(char::is_alphabetic) {
        return Err(Dropped::NoSentence);
    }
    let characters = sentence.chars().count();
    let foreign = sentence.chars().filter(|character| !character.is_ascii()).count();
    if foreign * 100 > characters * MAX_NON_ASCII_PERCENT {
        return Err(Dropped::NotAscii);
    }
    // Prose starts with a word; rulers, lists and prompts do not.
    let prose = sentence.starts_with(|first: char| first.is_alphabetic() || "\"'`(_".contains(first));
    let setting = sentence.split(' ').next().is_some_and(|word| word.contains('='));
    let note = ["todo", "fixme", "xxx", "(non-javadoc)", "see ", "@"]
        .into_iter()
        .any(starts);
    if !prose || setting || note || sentence.ends_with(':') {
        return Err(Dropped::NotASummary);
    }
    match sentence.split_whitespace().count() {
        count if count < *words.start() => Err(Dropped::TooShort),
        count if count > *words.end() => Err(Dropped::TooLong),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sentences() {
        let cases = [
            ("Returns x. Then y.", "Returns x."),
            ("Returns   x\n of y", "Returns x of y"),
            (
                "Reads a file, e.g. Foo.java, at once. Or not.",
                "Reads a file, e.g. Foo.java, at once.",
            ),
            ("Uses i.e. Bar here. More.", "Uses i.e. Bar here."),
            ("Version 1.2 of it. More.", "Version 1.2 of it."),
            ("Sorts (quickly. Mostly.) all. More.", "Sorts (quickly. Mostly.) all."),
            ("By D. Knuth, as told. More.", "By D. Knuth, as told."),
            ("Is it so? Yes.", "Is it so?"),
            ("Stops at foo. bar goes on. Then.", "Stops at foo. bar goes on."),
            ("Items, etc. More.", "Items, etc. More."),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(first_sentence(text), expected);
        }
    }

    #[test]
    fn checks() {
        let cases = [
            ("Returns the number of items.", Ok(())),
            ("Constructor.", Err(Dropped::TooShort)),
            ("a b c d e f g h i", Err(Dropped::TooLong)),
            ("--------", Err(Dropped::NoSentence)),
            ("", Err(Dropped::NoSentence)),
            ("- one two three", Err(Dropped::NotASummary)),
            ("key.of.a.message=\\ the message here", Err(Dropped::NotASummary)),
            ("One of the following:", Err(Dropped::NotASummary)),
            ("TODO write this comment", Err(Dropped::NotASummary)),
            ("Возвращает число всех элементов", Err(Dropped::NotAscii)),
            ("Returns the café's opening hours.", Ok(())),
        ];
        for (sentence, expected) in cases {
            assert_eq!(check(sentence, &(3..=8)), expected, "{sentence}");
        }
    }
}
