//! Inputs of products in eight bits: blocks of 32 that share a scale, as weights are held, so that a product is a sum of products of
//! whole numbers.

use multiversion::multiversion;

use super::blocks::BLOCK;
use super::kernels::whole;
use super::tiles::{BLOCKS, DEPTH};
use crate::cpu::team;

/// Rows whose blocks lie next to one another: they are multiplied together.
pub(super) const ROWS: usize = 8;

/// From how many numbers on inputs are rounded by several threads.
const SHARED: usize = 20_000;

/// 32 numbers of one input: `scale * code`, codes from -127 to 127.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounded {
    pub(super) codes: [i8; BLOCK],
    pub(super) scale: f32,
    /// `scale` times all codes together: what a product has of a number that is added to each weight.
    pub(super) sum: f32,
}

const ZEROS: Rounded = Rounded {
    codes: [0; BLOCK],
    scale: 0.0,
    sum: 0.0,
};

/// Inputs `[rows, width]`, rounded. Their memory is used again by the next ones: to clear it for each product took a fourteenth of the time
/// of reading a prompt, of one thread while the others waited.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    rows: usize,
    /// Blocks of a row, as many as there are in whole tiles of weights.
    per_row: usize,
    /// Of the first [`ROWS`] rows the first blocks, their second ones and so on, then those of the next rows; the last may be fewer.
    blocks: Vec<Rounded>,
}

impl Inputs {
    /// Of numbers whose width is one of whole blocks, in place of what was here.
    pub(super) fn round(&mut self, x: &[f32], rows: usize) -> &Self {
        let width = x.len() / rows;
        self.make_room(rows, width);
        let places = self.blocks.chunks_mut(ROWS * self.per_row);
        team::each_if(
            rows * width >= SHARED,
            x.chunks(ROWS * width).zip(places),
            |(x, places)| whole::round_rows(x, width, places),
        );
        self
    }

    /// Room for so many inputs of whole blocks, each of which has to be written to: what is there is of other inputs. What rows have beyond
    /// their width is zeros.
    pub(super) fn make_room(&mut self, rows: usize, width: usize) {
        assert!(width.is_multiple_of(BLOCK), "inputs of no whole blocks");
        self.rows = rows;
        self.per_row = width.div_ceil(DEPTH) * BLOCKS;
        self.blocks.resize(self.per_row * rows, ZEROS);
        if width.is_multiple_of(DEPTH) {
            return;
        }
        for part in self.blocks.chunks_mut(ROWS * self.per_row) {
            let rows = part.len() / self.per_row;
            part[width / BLOCK * rows..].fill(ZEROS);
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Tiles of weights that a column has.
    pub(super) fn depth(&self) -> usize {
        self.per_row / BLOCKS
    }

    /// The blocks of [`ROWS`] rows at a time.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.blocks.chunks(ROWS * self.per_row).map(|blocks| Part {
            blocks,
            rows: blocks.len() / self.per_row,
        })
    }

    /// Of each block of a row the places of all rows, part by part, to write to.
    pub(super) fn places(&mut self) -> Vec<Vec<&mut [Rounded]>> {
        let mut places: Vec<Vec<_>> = (0..self.per_row).map(|_| Vec::new()).collect();
        for part in self.blocks.chunks_mut(ROWS * self.per_row) {
            let rows = part.len() / self.per_row;
            let of_blocks = places.iter_mut().zip(part.chunks_exact_mut(rows));
            of_blocks.for_each(|(places, rows)| places.push(rows));
        }
        places
    }
}

/// Some rows of inputs.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The first block of every row, then the second ones.
    pub(super) blocks: &'a [Rounded],
    pub(super) rows: usize,
}

/// The nearest block. Where a number is infinite or none, every product is infinite or none.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn round(numbers: &[f32; BLOCK]) -> Rounded {
    // From here on to half as much again, floats are whole numbers: a sum is rounded, and its lowest bits are the code.
    const WHOLE: f32 = 3.0 * (1 << 22) as f32;
    let most = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
    let is_number = numbers.iter().all(|number| !number.is_nan());
    let (scale, inverse) = scales(if is_number { most } else { f32::NAN });
    let mut codes = [0; BLOCK];
    let mut sum = 0;
    for (code, number) in codes.iter_mut().zip(numbers) {
        let whole = (number * inverse + WHOLE).to_bits() as i32 - WHOLE.to_bits() as i32;
        *code = whole as i8;
        sum += i32::from(*code);
    }
    Rounded {
        codes,
        scale,
        sum: scale * sum as f32,
    }
}

/// The scale of a block whose largest number this is, and its inverse; 0 where there is none.
#[inline(always)]
pub(super) fn scales(most: f32) -> (f32, f32) {
    const TINY: f32 = 1e-36;
    (most / 127.0, if most > TINY { 127.0 / most } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Inputs, ROWS, round};

    fn numbers(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (i as f32 * 1.7).sin() * (1 + i % 7) as f32)
            .collect()
    }

    #[test]
    fn a_number_is_off_by_half_a_step_at_most() {
        for block in numbers(4 * BLOCK).as_chunks::<BLOCK>().0 {
            let rounded = round(block);
            let most = block.iter().fold(0.0, |most: f32, number| most.max(number.abs()));
            assert!((rounded.scale - most / 127.0).abs() < 1e-6 * most);
            let mut sum = 0.0;
            for (number, code) in block.iter().zip(rounded.codes) {
                let decoded = rounded.scale * f32::from(code);
                assert!(
                    (number - decoded).abs() <= 0.5001 * rounded.scale,
                    "{number}, not {decoded}"
                );
                sum += decoded;
            }
            assert!((sum - rounded.sum).abs() < 1e-4);
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let [zeros, tiny] = [0.0, 1e-40].map(|number| round(&[number; BLOCK]));
        assert_eq!((zeros.codes, zeros.sum), ([0; BLOCK], 0.0));
        assert_eq!((tiny.codes, tiny.sum), ([0; BLOCK], 0.0));
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut numbers = [1.0; BLOCK];
            numbers[20] = wrong;
            assert!(!round(&numbers).scale.is_finite(), "{wrong}");
            let mut inputs = Inputs::default();
            inputs.round(&numbers, 1);
            assert!(!inputs.blocks[0].scale.is_finite(), "{wrong}");
        }
    }

    /// The second width has no whole tiles. Of what was there before nothing is left.
    #[test]
    fn blocks_of_all_rows_lie_side_by_side() {
        let mut inputs = Inputs::default();
        inputs.round(&numbers(40 * BLOCK), 4);
        for (rows, width) in [(3, 2 * BLOCK), (5, 3 * BLOCK), (300, 3 * BLOCK)] {
            let x = numbers(rows * width);
            inputs.round(&x, rows);
            assert_eq!((inputs.rows(), inputs.depth()), (rows, (width / BLOCK).div_ceil(2)));
            for (part, x) in inputs.parts().zip(x.chunks(ROWS * width)) {
                assert_eq!(part.rows, x.len() / width);
                for (place, blocks) in part.blocks.chunks(part.rows).enumerate() {
                    for (row, found) in blocks.iter().enumerate() {
                        let expected = x[row * width..][..width].as_chunks::<BLOCK>().0.get(place);
                        let expected = round(expected.unwrap_or(&[0.0; BLOCK]));
                        assert_eq!(found.codes, expected.codes);
                        assert_eq!((found.scale, found.sum), (expected.scale, expected.sum));
                    }
                }
            }
        }
    }
}
