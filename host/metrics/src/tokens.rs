//! How the metrics cut text.

use std::sync::LazyLock;

use regex::Regex;

/// White space as Python's `str.split` and `\s` know it: Unicode's, and the four separators of ASCII.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// What white space separates.
pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split(is_space).filter(|word| !word.is_empty()).collect()
}

/// The tokens of mteval-v13a, sacrebleu's `13a`, separated by white space.
///
/// Punctuation stands alone, but an apostrophe stays with its word, and so does a hyphen unless a digit comes before
/// it; a point or a comma stays between digits.
pub(crate) fn mteval(text: &str) -> String {
    static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let rule = |pattern, with| (Regex::new(pattern).expect("a pattern of ours"), with);
        [
            // The class is that of the original, which takes in the space itself.
            rule(r"([{-~\[-` -&(-+:-@/])", " $1 "),
            rule("([^0-9])([.,])", "$1 $2 "),
            rule("([.,])([^0-9])", " $1 $2"),
            rule("([0-9])(-)", "$1 $2 "),
        ]
    });
    // sacrebleu drops the end of the line first: a hyphen there hyphenates nothing.
    let mut text = text
        .trim_end_matches(is_space)
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    // In this order `&amp;lt;` becomes `<`, as it does there.
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, character);
    }
    text = format!(" {text} ");
    for (pattern, with) in RULES.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text
}

/// The tokens of CodeXGLUE's `bleu.py`, of text in lower case: runs of letters and digits, and every other character
/// that is not white space for itself.
///
/// The script gets there in two steps: it splits words from punctuation, with the underscore in a word, and then
/// applies the rules of mteval, which split the underscore off and find nothing else left to do.
pub(crate) fn punctuated(text: &str) -> Vec<&str> {
    // Python's `\w` is letters and numbers; Rust's would have marks as well.
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)[\p{L}\p{N}]+|.").expect("a pattern of ours"));
    TOKEN
        .find_iter(text)
        .map(|token| token.as_str())
        .filter(|token| !token.chars().all(is_space))
        .collect()
}

/// The tokens of rouge-score, of text in lower case: runs of ASCII letters and digits.
pub(crate) fn alphanumeric(text: &str) -> Vec<&str> {
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|token| !token.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{mteval, punctuated, words};

    #[test]
    fn mteval_keeps_numbers_and_apostrophes_together() {
        let text = mteval("It's 1,234.5-fold (e.g. well-known) &lt;T&gt;, x_y.\n");
        let expected = "It's 1,234.5 - fold ( e . g . well-known ) < T > , x _ y .";
        assert_eq!(words(&text).join(" "), expected);
    }

    #[test]
    fn codexglue_splits_identifiers() {
        assert_eq!(
            punctuated("snake_case x1.get(ключ) 'a'"),
            ["snake", "_", "case", "x1", ".", "get", "(", "ключ", ")", "'", "a", "'"]
        );
    }
}
