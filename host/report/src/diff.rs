//! What two texts do not share, by words.

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part<'a> {
    /// Its text.
    pub(crate) text: &'a str,
    /// Whether the other text has it, too. White space between words is never told apart.
    pub(crate) shared: bool,
}

/// How two texts differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diff<'a> {
    /// The parts of the first; joined they are that text.
    pub(crate) old: Vec<Part<'a>>,
    /// Likewise, of the second.
    pub(crate) new: Vec<Part<'a>>,
}

impl<'a> Diff<'a> {
    /// Compares two texts.
    pub(crate) fn new(old: &'a str, new: &'a str) -> Self {
        let (old_words, new_words) = (words(old), words(new));
        let texts = |text: &'a str, words: &[Range<usize>]| -> Vec<&'a str> {
            words.iter().map(|word| &text[word.clone()]).collect()
        };
        let operations = capture_diff_slices(Algorithm::Myers, &texts(old, &old_words), &texts(new, &new_words));
        let only = |range: fn(&similar::DiffOp) -> Range<usize>| -> Vec<Range<usize>> {
            let differing = operations.iter().filter(|operation| operation.tag() != DiffTag::Equal);
            differing.map(range).filter(|words| !words.is_empty()).collect()
        };
        Self {
            old: parts(old, &old_words, &only(similar::DiffOp::old_range)),
            new: parts(new, &new_words, &only(similar::DiffOp::new_range)),
        }
    }

    /// Whether both have the same words.
    pub(crate) fn same_words(&self) -> bool {
        self.old.iter().chain(&self.new).all(|part| part.shared)
    }
}

/// Where the words of a text are. It serves prose and code alike: a word is as long as it has letters, digits, underscores
/// and characters beyond ASCII, and any other character is one by itself. White space belongs to none.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    // Whether the last one goes on with the next letter.
    let mut open = false;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        let letter = !character.is_whitespace()
            && (!character.is_ascii() || character.is_ascii_alphanumeric() || character == '_');
        match words.last_mut() {
            Some(word) if open && letter => word.end = end,
            _ if !character.is_whitespace() => words.push(at..end),
            _ => {}
        }
        open = letter;
    }
    words
}

/// Cuts a text into what is shared and what is not, which is given as runs of its words.
fn parts<'a>(text: &'a str, words: &[Range<usize>], runs: &[Range<usize>]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut done = 0;
    let mut push = |range: Range<usize>, shared| {
        if !range.is_empty() {
            let text = &text[range];
            parts.push(Part { text, shared });
        }
    };
    for run in runs {
        let (start, end) = (words[run.start].start, words[run.end - 1].end);
        push(done..start, true);
        push(start..end, false);
        done = end;
    }
    push(done..text.len(), true);
    parts
}

#[cfg(test)]
mod tests {
    use super::{Diff, Part, words};

    /// As `wdiff` writes it.
    fn marked(parts: &[Part<'_>]) -> String {
        let mark = |part: &Part<'_>| match part.shared {
            true => part.text.to_owned(),
            false => format!("[{}]", part.text),
        };
        parts.iter().map(mark).collect()
    }

    fn both(old: &str, new: &str) -> (String, String) {
        let diff = Diff::new(old, new);
        (marked(&diff.old), marked(&diff.new))
    }

    #[test]
    fn prose_and_code_have_words() {
        let of = |text| -> Vec<&str> { words(text).into_iter().map(|word| &text[word]).collect() };
        assert_eq!(of(" It's  so.\n"), ["It", "'", "s", "so", "."]);
        assert_eq!(
            of("foo.bar_2(x)==1"),
            ["foo", ".", "bar_2", "(", "x", ")", "=", "=", "1"]
        );
        assert_eq!(of("größe→e\u{301} 数\u{3000}据"), ["größe→e\u{301}", "数", "据"]);
        assert!(of(" \t\n").is_empty());
    }

    #[test]
    fn what_one_side_lacks_is_marked_with_the_spaces_inside() {
        assert_eq!(
            both("returns the first even number", "returns the number"),
            (
                "returns the [first even] number".to_owned(),
                "returns the number".to_owned()
            )
        );
        assert_eq!(
            both("assertEquals(1, foo.bar())", "assertEquals(12, foo.baz())"),
            (
                "assertEquals([1], foo.[bar]())".to_owned(),
                "assertEquals([12], foo.[baz]())".to_owned()
            )
        );
        assert_eq!(both("", "new"), (String::new(), "[new]".to_owned()));
    }

    #[test]
    fn white_space_makes_no_difference() {
        let diff = Diff::new("a  b\n", "a b");
        assert!(diff.same_words());
        assert!(!Diff::new("ab", "a b").same_words());
    }

    #[test]
    fn nothing_of_a_text_is_lost() {
        let texts = [
            "",
            " ",
            "a",
            " a b\n",
            "a  b",
            "b a, c",
            "größe 数\u{3000}据",
            "👩\u{200d}👧 e\u{301}.",
            "f(x)\n\t= x",
        ];
        let joined = |parts: &[Part<'_>]| parts.iter().map(|part| part.text).collect::<String>();
        for old in texts {
            for new in texts {
                let diff = Diff::new(old, new);
                assert_eq!((joined(&diff.old), joined(&diff.new)), (old.to_owned(), new.to_owned()));
                assert!(diff.same_words() || !old.split_whitespace().eq(new.split_whitespace()));
            }
        }
    }
}
