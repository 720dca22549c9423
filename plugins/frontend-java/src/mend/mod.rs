//! Broken code, made whole for the parser: brackets, semicolons and quotes are put in where they are missing, and what
//! stands in the way is blanked, so that the damage stays in the statement that has it.
//!
//! A parser that recovers from an error drops or invents tokens to go on; what it drops are as often as not the good ones. Here
//! the tokens are gone over once, with the brackets open so far on a stack: line breaks and indentation, which the grammar
//! knows nothing of, tell where a statement or a block was meant to end. No byte of the source moves: what is blanked leaves
//! blanks, and what is put in is kept apart ([`Mended::insertions`]), so that every span is still one of the source.

mod ending;
mod headers;
mod mender;
mod repairs;
mod tokens;

use std::ops::Range;

use transducer_treesitter::Insertions;

pub(crate) use headers::begins_statement;

/// What is put in behind a head that lacks its block.
const OPENING: &str = " {";

/// A change to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Edit {
    /// Another byte in place of an ASCII one.
    Put { at: usize, byte: u8 },
    /// Blanks in place of whole characters.
    Blank(Range<usize>),
    /// Text put in between two characters.
    Insert { at: usize, text: &'static str },
}

impl Edit {
    fn put(at: usize, byte: u8) -> Self {
        Edit::Put { at, byte }
    }

    fn blank(range: Range<usize>) -> Self {
        Edit::Blank(range)
    }

    fn insert(at: usize, text: &'static str) -> Self {
        Edit::Insert { at, text }
    }

    fn at(&self) -> usize {
        match self {
            Edit::Put { at, .. } | Edit::Insert { at, .. } => *at,
            Edit::Blank(range) => range.start,
        }
    }
}

/// Something that was changed, to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Byte of the source.
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// A text as it was mended.
#[derive(Debug)]
pub(crate) struct Mended {
    pub(crate) text: String,
    pub(crate) insertions: Insertions,
    pub(crate) notes: Vec<Note>,
}

/// Mends a text; `None` where nothing was found to mend.
pub(crate) fn mend(source: &str) -> Option<Mended> {
    let mut edits = Vec::new();
    let tokens = tokens::tokens(source, &mut edits);
    mender::mend(source, tokens, &mut edits);
    if edits.is_empty() {
        return None;
    }
    // Stable: what was put in at the same place stays in order.
    edits.sort_by_key(Edit::at);
    // The line of a head without its brace seemed to lack a semicolon.
    edits.dedup_by(|next, edit| {
        let is_head = *next == Edit::insert(next.at(), OPENING) && *edit == Edit::insert(next.at(), ";");
        if is_head {
            std::mem::swap(next, edit);
        }
        is_head
    });
    Some(apply(source, &edits))
}

fn apply(source: &str, edits: &[Edit]) -> Mended {
    let mut bytes = source.as_bytes().to_vec();
    let mut notes = Vec::new();
    for edit in edits {
        match edit {
            Edit::Put { at, byte } => {
                notes.push(Note {
                    at: *at,
                    text: format!("read as `{}`", char::from(*byte)),
                });
                bytes[*at] = *byte;
            }
            Edit::Blank(range) => {
                let what = source.get(range.clone()).unwrap_or_default();
                notes.push(Note {
                    at: range.start,
                    text: format!("left out `{}`", &what[..what.floor_char_boundary(60)]),
                });
                bytes[range.clone()].fill(b' ');
            }
            Edit::Insert { at, text } => notes.push(Note {
                at: *at,
                text: format!("put in `{}`", text.trim()),
            }),
        }
    }
    let mut text = Vec::with_capacity(bytes.len() + edits.len());
    let mut insertions = Insertions::default();
    let mut done = 0;
    for edit in edits {
        if let Edit::Insert { at, text: put_in } = edit {
            text.extend_from_slice(&bytes[done..*at]);
            done = *at;
            insertions.push(text.len(), put_in);
            text.extend_from_slice(put_in.as_bytes());
        }
    }
    text.extend_from_slice(&bytes[done..]);
    Mended {
        // Whole characters were blanked, and ASCII put in; should that ever fail, the text is left as it is.
        text: String::from_utf8(text).unwrap_or_else(|_| source.to_owned()),
        insertions,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::mend;

    #[test]
    fn what_is_put_in_takes_no_place_in_the_source() {
        let source = "void m() { f(a; if (b + ) { g(\"x); }";
        let mended = mend(source).unwrap();
        assert_eq!(mended.text, "void m() { f(a); if (b   ) { g(\"x\"); }}");
        let places: Vec<usize> = (0..=mended.text.len())
            .map(|byte| mended.insertions.in_source(byte))
            .collect();
        assert!(places.is_sorted());
        assert_eq!(places[mended.text.len()], source.len());
        for (byte, character) in mended
            .text
            .char_indices()
            .filter(|(_, character)| !")}\" ".contains(*character))
        {
            assert!(source[places[byte]..].starts_with(character), "{character} at {byte}");
        }
    }

    #[test]
    fn code_in_order_is_left_alone() {
        let source = "class A { int f(List<int[]> a) throws B { for (;;) { g(x -> { return a; }, new C() { }); } } }";
        assert!(mend(source).is_none());
        let fields = "int[] a = { 1, 2 }; Runnable r = () -> { }; enum E { A(1) { void f() { } }, B; int g; }";
        assert!(mend(fields).is_none());
    }

    #[test]
    fn a_megabyte_of_brackets_is_mended_in_proportion() {
        const BYTES: usize = 1 << 20;
        let pieces = [
            "}\n",
            "  }\n }\n",
            "(]",
            "{)",
            "if (a > 0) {\n",
            "int f(int a) {\n",
            "a.\nreturn ",
            "\"\n",
            "<A>",
            "else {",
            "try {\n",
            "f(a\nint g(",
            "@A(",
            "...",
            "case 1:",
            "class A { int f(",
            "&amp;",
            "(",
            "{",
            "[",
            "a(\n",
        ];
        for piece in pieces {
            let source = piece.repeat(BYTES / piece.len());
            let start = Instant::now();
            mend(&source);
            // A slow, busy machine needs a second; what is quadratic takes minutes.
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{piece:?}: {:?}",
                start.elapsed()
            );
        }
    }
}
