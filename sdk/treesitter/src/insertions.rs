//! Where a text that was mended to be parsed differs from its source.

/// What a text to be parsed has more than the source.
#[derive(Clone, Debug, Default)]
pub struct Insertions(Vec<Insertion>);

#[derive(Clone, Copy, Debug)]
struct Insertion {
    /// Where it is in the text.
    at: usize,
    len: usize,
    /// Bytes of all insertions before it.
    before: usize,
    /// Line ends in it, and in all before it.
    lines: u32,
}

impl Insertions {
    /// Says that `inserted`, which stands at byte `at` of the text, is not the source's. In order.
    pub fn push(&mut self, at: usize, inserted: &str) {
        let (before, lines) = self
            .0
            .last()
            .map_or((0, 0), |last| (last.before + last.len, last.lines));
        if !inserted.is_empty() {
            self.0.push(Insertion {
                at,
                len: inserted.len(),
                before,
                lines: lines + inserted.bytes().filter(|&byte| byte == b'\n').count() as u32,
            });
        }
    }

    /// The insertion that begins last before a byte of the text.
    fn before(&self, byte: usize) -> Option<&Insertion> {
        let after = self.0.partition_point(|insertion| insertion.at < byte);
        after.checked_sub(1).map(|last| &self.0[last])
    }

    /// The place in the source of a byte of the text: that of an insertion for all of its bytes.
    pub(crate) fn in_source(&self, byte: usize) -> usize {
        self.before(byte).map_or(byte, |&Insertion { at, len, before, .. }| {
            byte - before - len.min(byte - at)
        })
    }

    /// The line in the source, from 1, of a byte that stands in a row of the text, from 0.
    pub(crate) fn line(&self, byte: usize, row: usize) -> u32 {
        let inserted = self.before(byte).map_or(0, |last| last.lines);
        (row as u32 + 1).saturating_sub(inserted).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Insertions;

    /// `ab` + `)` + `c` + `x:\n ` + `d`, made of `abcd`.
    fn mended() -> Insertions {
        let mut insertions = Insertions::default();
        insertions.push(2, ")");
        insertions.push(4, "x:\n ");
        insertions.push(9, "");
        insertions
    }

    #[test]
    fn bytes_of_the_text_have_a_place_in_the_source() {
        let places: Vec<usize> = (0..=9).map(|byte| mended().in_source(byte)).collect();
        assert_eq!(places, [0, 1, 2, 2, 3, 3, 3, 3, 3, 4]);
    }

    #[test]
    fn inserted_lines_are_not_counted() {
        assert_eq!(mended().line(3, 0), 1);
        assert_eq!(mended().line(8, 1), 1);
        assert_eq!(Insertions::default().line(8, 1), 2);
    }
}
