//! What keeps the grammar's scanner from ending the process.
//!
//! Between two tokens tree-sitter has the scanner put away its state in 1,024 bytes: two, one for each string that is open (255 at most are
//! counted), two for each level of indentation. Where an odd number of strings is open it writes one byte too many instead of stopping, and
//! tree-sitter aborts. The Python front end has the same loop: neither may use anything of the other.

use std::collections::HashSet;

/// Whether the state is never too long.
pub(crate) fn fit(text: &str) -> bool {
    const ROOM: usize = 1_024;
    let quotes = text.bytes().filter(|byte| matches!(byte, b'"' | b'\'' | b'`')).count();
    quotes == 0 || 2 + quotes.min(255) + 2 * levels(text) < ROOM
}

/// At least as many levels of indentation as the scanner has at once, whatever it takes for code: each level is deeper than the one before, so
/// that there are no more of them than there are different depths of lines.
fn levels(text: &str) -> usize {
    let mut depths = HashSet::new();
    // How deep the line is so far, where nothing but blanks has come; as the scanner counts it.
    let mut depth: Option<u16> = None;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        depth = match (byte, depth) {
            (b'\n', _) => Some(0),
            (_, None) => None,
            (b' ', Some(depth)) => Some(depth.wrapping_add(1)),
            (b'\t', Some(depth)) => Some(depth.wrapping_add(8)),
            (b'\r' | 0x0c, Some(_)) => Some(0),
            // A line that goes on in the next one goes on being indented.
            (b'\\', Some(depth)) => {
                bytes.next_if_eq(&b'\r');
                bytes.next_if_eq(&b'\n').map(|_| depth)
            }
            (_, Some(depth)) => {
                depths.insert(depth);
                None
            }
        };
    }
    depths.remove(&0);
    depths.len()
}

#[cfg(test)]
mod tests {
    use super::{fit, levels};

    #[test]
    fn levels_are_different_depths() {
        assert_eq!(levels(""), 0);
        assert_eq!(levels("if a:\n  if b:\n    c\n  d\ne\n"), 2);
        assert_eq!(levels("if a:\n\tb\n        c\n"), 1, "a tab is eight blanks");
        assert_eq!(levels("a\n  \\\n  b\n  c\n"), 2, "over two lines it is twice as deep");
        assert_eq!(levels("a\n    \x0c  b\n"), 1);
        assert_eq!(levels("    a\n\n   \n"), 0, "neither the first line nor empty ones");
    }

    #[test]
    fn strings_and_levels_share_the_room() {
        let deep = |levels: usize| -> String { (0..=levels).map(|depth| " ".repeat(depth) + "if a:\n").collect() };
        assert!(fit(&deep(2_000)), "without strings all is well");
        assert!(fit(&(deep(509) + "'a'")) && !fit(&(deep(510) + "'a'")));
        assert!(fit(&(deep(383) + &"f'".repeat(1_000))) && !fit(&(deep(384) + &"f'".repeat(1_000))));
    }
}
