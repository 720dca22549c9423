//! Inputs of products in eight bits: blocks of 32 that share a scale, as weights are held, so that a product is a sum of products of
//! whole numbers.

use multiversion::multiversion;

use super::blocks::BLOCK;
use super::team;
use super::tiles::{BLOCKS, DEPTH};

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

/// Inputs `[rows, width]`, rounded.
#[derive(Debug)]
pub(super) struct Inputs {
    rows: usize,
    /// The first block of every row, then the second, as many as there are in whole tiles of weights.
    blocks: Vec<Rounded>,
}

impl Inputs {
    /// Of numbers whose width is one of whole blocks.
    pub(super) fn new(x: &[f32], rows: usize) -> Self {
        let width = x.len() / rows;
        assert!(width.is_multiple_of(BLOCK), "inputs of no whole blocks");
        let mut inputs = Self::zeros(rows, width);
        let (x, _) = x.as_chunks::<BLOCK>();
        let per_row = width / BLOCK;
        let together = SHARED / 4 / (rows * BLOCK) + 1;
        let places = inputs.blocks.chunks_mut(rows * together).enumerate();
        team::each_if(rows * width >= SHARED, places, |(part, places)| {
            for (block, places) in (part * together..per_row).zip(places.chunks_exact_mut(rows)) {
                for (row, place) in places.iter_mut().enumerate() {
                    *place = round(&x[row * per_row + block]);
                }
            }
        });
        inputs
    }

    /// Room for so many inputs.
    pub(super) fn zeros(rows: usize, width: usize) -> Self {
        Self {
            rows,
            blocks: vec![ZEROS; width.div_ceil(DEPTH) * BLOCKS * rows],
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Tiles of weights that a column has.
    pub(super) fn depth(&self) -> usize {
        self.blocks.len() / (BLOCKS * self.rows)
    }

    /// Of each block, the rows.
    pub(super) fn blocks(&self) -> std::slice::ChunksExact<'_, Rounded> {
        self.blocks.chunks_exact(self.rows)
    }

    /// Of each block, the rows, to write to.
    pub(super) fn blocks_mut(&mut self) -> std::slice::ChunksExactMut<'_, Rounded> {
        self.blocks.chunks_exact_mut(self.rows)
    }
}

/// The nearest block. Where a number is infinite or none, so are the scale and every product.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn round(numbers: &[f32; BLOCK]) -> Rounded {
    // From here on to half as much again, floats are whole numbers: a sum is rounded, and its lowest bits are the code.
    const WHOLE: f32 = 3.0 * (1 << 22) as f32;
    // Numbers whose steps have no inverse.
    const TINY: f32 = 1e-36;
    let (mut most, mut nothing) = ([0.0_f32; 16], [0.0_f32; 16]);
    for numbers in numbers.as_chunks::<16>().0 {
        for ((most, nothing), number) in most.iter_mut().zip(&mut nothing).zip(numbers) {
            let size = number.abs();
            *most = if size > *most { size } else { *most };
            *nothing += number * 0.0;
        }
    }
    let most = most.into_iter().fold(0.0, |most, one| if one > most { one } else { most });
    let scale = most / 127.0 + nothing.into_iter().sum::<f32>();
    let inverse = if most > TINY { 127.0 / most } else { 0.0 };
    let mut codes = [0; BLOCK];
    let mut sum = 0;
    for (code, number) in codes.iter_mut().zip(numbers) {
        let whole = (number * inverse + WHOLE).to_bits() as i32 - WHOLE.to_bits() as i32;
        *code = whole as i8;
        sum += whole;
    }
    Rounded {
        codes,
        scale,
        sum: scale * sum as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Inputs, round};

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
                assert!((number - decoded).abs() <= 0.5001 * rounded.scale, "{number}, not {decoded}");
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
            assert!(round(&numbers).scale.is_nan(), "{wrong}");
        }
    }

    /// The second width has no whole tiles.
    #[test]
    fn blocks_of_all_rows_lie_side_by_side() {
        for (rows, width) in [(3, 2 * BLOCK), (5, 3 * BLOCK), (300, 3 * BLOCK)] {
            let x = numbers(rows * width);
            let inputs = Inputs::new(&x, rows);
            assert_eq!((inputs.rows(), inputs.depth()), (rows, (width / BLOCK).div_ceil(2)));
            for (place, blocks) in inputs.blocks().enumerate() {
                for (row, found) in blocks.iter().enumerate() {
                    let expected = x[row * width..][..width].as_chunks::<BLOCK>().0.get(place);
                    let expected = round(expected.unwrap_or(&[0.0; BLOCK]));
                    assert_eq!((found.codes, found.scale), (expected.codes, expected.scale));
                }
            }
        }
    }
}
