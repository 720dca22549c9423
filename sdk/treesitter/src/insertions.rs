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
}

impl Insertions {
    /// Says that `inserted`, which stands at byte `at` of the text, is not the source's. In order.
    pub fn push(&mut self, at: usize, inserted: &str) {
        let before = self.0.last().map_or(0, |last| last.before + last.len);
        if !inserted.is_empty() {
            self.0.push(Insertion {
                at,
                len: inserted.len(),
                before,
            });
        }
    }

    /// The same of a text that has `first` put in front of it.
    pub fn behind(&self, first: &str) -> Self {
        let mut all = Self::default();
        all.push(0, first);
        all.0.extend(self.0.iter().map(|insertion| Insertion {
            at: insertion.at + first.len(),
            before: insertion.before + first.len(),
            len: insertion.len,
        }));
        all
    }

    /// The insertion that begins last before a byte of the text.
    fn before(&self, byte: usize) -> Option<&Insertion> {
        let after = self.0.partition_point(|insertion| insertion.at < byte);
        after.checked_sub(1).map(|last| &self.0[last])
    }

    /// The place in the source of a byte of the text: that of an insertion for all of its bytes.
    pub fn in_source(&self, byte: usize) -> usize {
        self.before(byte).map_or(byte, |&Insertion { at, len, before, .. }| {
            byte - before - len.min(byte - at)
        })
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
    fn what_stands_in_front_of_all_is_an_insertion_more() {
        let behind = mended().behind("{\n");
        let places: Vec<usize> = (0..=11).map(|byte| behind.in_source(byte)).collect();
        assert_eq!(places, [0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 3, 4]);
    }
}
