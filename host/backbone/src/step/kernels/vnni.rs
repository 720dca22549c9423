//! Products of whole numbers: inputs in eight bits, weights in four or eight. CPUs with AVX-512 and VNNI add up 64 of them an
//! instruction; a plain loop does the same on any other.
//!
//! Of a block of 32 the sum of `weight * input` is `scale * input scale * (sum of codes' products) + min * (sum of inputs)`: two float
//! products for 32 whole ones. The order of all sums is the same however many inputs there are.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::super::blocks::BLOCK;
use super::super::rounded::{Inputs, round};
use super::super::team;
use super::super::tiles::{BLOCKS, COLUMNS, FOURS, Lanes4, Lanes8, SHIFT, Tile};
use super::gate;

/// Inputs that are multiplied with 16 columns at a time: as many sums as there are registers for.
const ROWS: usize = 8;

/// Columns of gates before those of what they are for, and so on: a block of the next product's inputs.
pub(in super::super) const TURNS: usize = BLOCK;

/// How far ahead of what is multiplied memory is asked for, in bytes.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 2048;

/// Whether the CPU has instructions for it.
pub(in super::super) fn is_there() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A tile whose codes are in lanes.
pub(in super::super) trait Lanes: Tile {
    /// Of one block of a column its codes, its scale, and what is added to each weight.
    fn column(&self, block: usize, column: usize) -> ([u8; BLOCK], f32, f32);

    /// Of one block of all columns the codes, the scales, and what is added to each weight.
    ///
    /// # Safety
    /// For CPUs that [are meant](is_there).
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512);
}

/// The codes of one column, one after the other.
fn of_column(lanes: &[[[u8; 4]; COLUMNS]; FOURS], column: usize) -> [u8; BLOCK] {
    std::array::from_fn(|place| lanes[place / 4][column][place % 4])
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(numbers: &[half::f16; COLUMNS]) -> __m512 {
    // SAFETY: sixteen numbers of two bytes are read.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) })
}

impl Lanes for Lanes4 {
    fn column(&self, block: usize, column: usize) -> ([u8; BLOCK], f32, f32) {
        let codes = of_column(&self.codes, column).map(|both| both >> (4 * block) & 15);
        let (scale, min) = (self.scale[block][column], self.min[block][column]);
        (codes, scale.to_f32(), min.to_f32())
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512) {
        let mut codes = [_mm512_setzero_si512(); FOURS];
        for (codes, lanes) in codes.iter_mut().zip(&self.codes) {
            // SAFETY: the lanes are 64 bytes.
            let both = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
            let both = if block == 0 { both } else { _mm512_srli_epi16::<4>(both) };
            *codes = _mm512_and_si512(both, _mm512_set1_epi8(15));
        }
        (codes, halves(&self.scale[block]), halves(&self.min[block]))
    }
}

impl Lanes for Lanes8 {
    fn column(&self, block: usize, column: usize) -> ([u8; BLOCK], f32, f32) {
        let scale = self.scale[block][column].to_f32();
        let codes = of_column(&self.codes[block], column);
        (codes, scale, -f32::from(SHIFT) * scale)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512) {
        let mut codes = [_mm512_setzero_si512(); FOURS];
        for (codes, lanes) in codes.iter_mut().zip(&self.codes[block]) {
            // SAFETY: the lanes are 64 bytes.
            *codes = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
        }
        let scale = halves(&self.scale[block]);
        (codes, scale, _mm512_mul_ps(scale, _mm512_set1_ps(-f32::from(SHIFT))))
    }
}

/// `out[row][column] = x[row] . weights[column]` for the columns of these tiles; there may be less room in `out`.
pub(in super::super) fn multiply<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    assert!(out.len() == inputs.rows(), "room for another number of inputs");
    for (group, tiles) in tiles.chunks_exact(inputs.depth()).enumerate() {
        for (part, out) in out.chunks_mut(ROWS).enumerate() {
            let sums = products(tiles, inputs, part * ROWS, out.len());
            for (out, sums) in out.iter_mut().zip(sums) {
                let out = &mut out[group * COLUMNS..];
                match out.first_chunk_mut::<COLUMNS>() {
                    Some(out) => *out = sums,
                    None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum),
                }
            }
        }
    }
}

/// `silu(gate) * up` as inputs of what comes next: of the products with the columns of `tiles`, [`TURNS`] are gates and the next as many
/// are what they are for, and so on.
pub(in super::super) fn multiply_gated<T: Lanes>(tiles: &[T], inputs: &Inputs) -> Inputs {
    let (rows, depth) = (inputs.rows(), inputs.depth());
    let mut gated = Inputs::zeros(rows, tiles.len() / depth * COLUMNS / 2);
    let of_block = tiles.chunks_exact(2 * TURNS / COLUMNS * depth);
    team::each(of_block.zip(gated.blocks_mut()), |(tiles, out)| {
        for (part, out) in out.chunks_mut(ROWS).enumerate() {
            let mut both = [[[0.0; COLUMNS]; 2 * TURNS / COLUMNS]; ROWS];
            for (group, tiles) in tiles.chunks_exact(depth).enumerate() {
                let sums = products(tiles, inputs, part * ROWS, out.len());
                both.iter_mut().zip(sums).for_each(|(both, sums)| both[group] = sums);
            }
            for (out, both) in out.iter_mut().zip(&both) {
                let mut numbers = [0.0; TURNS];
                gate(both.as_flattened(), TURNS, &mut numbers);
                *out = round(&numbers);
            }
        }
    });
    gated
}

/// The products of 16 columns with some inputs from this one on, up to [`ROWS`].
fn products<T: Lanes>(tiles: &[T], inputs: &Inputs, first: usize, count: usize) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: the CPU has what the functions are compiled for.
        unsafe {
            match count {
                1 => some::<T, 1>(tiles, inputs, first, &mut sums),
                2 => some::<T, 2>(tiles, inputs, first, &mut sums),
                3 => some::<T, 3>(tiles, inputs, first, &mut sums),
                4 => some::<T, 4>(tiles, inputs, first, &mut sums),
                5 => some::<T, 5>(tiles, inputs, first, &mut sums),
                6 => some::<T, 6>(tiles, inputs, first, &mut sums),
                7 => some::<T, 7>(tiles, inputs, first, &mut sums),
                _ => some::<T, ROWS>(tiles, inputs, first, &mut sums),
            }
        }
        return sums;
    }
    products_portable(tiles, inputs, first, &mut sums[..count]);
    sums
}

fn products_portable<T: Lanes>(tiles: &[T], inputs: &Inputs, first: usize, sums: &mut [[f32; COLUMNS]]) {
    for (place, x) in inputs.blocks().enumerate() {
        for column in 0..COLUMNS {
            let (codes, scale, min) = tiles[place / BLOCKS].column(place % BLOCKS, column);
            for (sums, x) in sums.iter_mut().zip(&x[first..]) {
                let products = codes.iter().zip(&x.codes).map(|(&a, &b)| i32::from(a) * i32::from(b));
                let whole = products.sum::<i32>() as f32 * x.scale;
                sums[column] = min.mul_add(x.sum, whole.mul_add(scale, sums[column]));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn some<T: Lanes, const COUNT: usize>(tiles: &[T], inputs: &Inputs, first: usize, out: &mut [[f32; COLUMNS]; ROWS]) {
    let mut sums = [_mm512_setzero_ps(); COUNT];
    let mut blocks = inputs.blocks();
    for tile in tiles {
        ask_for(tile);
        for block in 0..BLOCKS {
            // SAFETY: this function is for such CPUs, too.
            let (codes, scale, min) = unsafe { tile.load(block) };
            let Some(x) = blocks.next().and_then(|rows| rows[first..].first_chunk::<COUNT>()) else {
                unreachable!("inputs have as many tiles as columns");
            };
            for (sum, x) in sums.iter_mut().zip(x) {
                let mut whole = _mm512_setzero_si512();
                for (codes, four) in codes.iter().zip(x.codes.as_chunks::<4>().0) {
                    whole = _mm512_dpbusd_epi32(whole, *codes, _mm512_set1_epi32(i32::from_ne_bytes(four.map(i8::cast_unsigned))));
                }
                let whole = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x.scale));
                *sum = _mm512_fmadd_ps(min, _mm512_set1_ps(x.sum), _mm512_fmadd_ps(whole, scale, *sum));
            }
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        // SAFETY: sixteen floats are written.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
    }
}

/// Asks for what lies so far ahead.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask_for<T>(tile: &T) {
    for line in (0..size_of::<T>()).step_by(64) {
        let address = std::ptr::from_ref(tile).cast::<i8>().wrapping_add(AHEAD + line);
        // SAFETY: asking for memory has no effect but on caches, wherever it is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::blocks::{BLOCK, Block};
    use super::super::super::rounded::Inputs;
    use super::super::super::tiles::{COLUMNS, Lanes4, Lanes8, Tile, pack};
    use super::{Lanes, multiply, products_portable};

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + seed) * 1.618).sin()).collect()
    }

    /// Of what both factors are rounded to, on any CPU, whatever else is in a step; the last columns and blocks are missing.
    fn products<T: Lanes>() {
        let (width, columns) = (3 * BLOCK, COLUMNS + 5);
        let weights = numbers(columns * width, 0.3);
        let tiles: Vec<T> = pack(&weights, width, COLUMNS);
        let decoded = weights.as_chunks::<BLOCK>().0.iter();
        let decoded: Vec<f32> = decoded.flat_map(|block| <T as Tile>::Block::encode(block).decode()).collect();
        let x = numbers(21 * width, 7.1);
        let of = |x: &[f32]| {
            let rows = x.len() / width;
            let mut out = vec![f32::NAN; rows * columns];
            multiply(&tiles, &Inputs::new(x, rows), &mut out.chunks_mut(columns).collect::<Vec<_>>());
            out
        };
        let alone: Vec<f32> = x.chunks(width).flat_map(of).collect();
        for together in [2, 3, 4, 5, 6, 7, 8, 9, 21] {
            let found: Vec<f32> = x.chunks(together * width).flat_map(of).collect();
            assert_eq!(found, alone, "{together} at once");
        }
        let inputs = Inputs::new(&x, 21);
        for (group, tiles) in tiles.chunks(inputs.depth()).enumerate() {
            let mut sums = [[0.0; COLUMNS]; 8];
            products_portable(tiles, &inputs, 13, &mut sums);
            for (row, sums) in (13..).zip(sums) {
                let found = &alone[row * columns..][..columns].chunks(COLUMNS).nth(group).expect("columns");
                assert_eq!(found[..], sums[..found.len()]);
            }
        }
        for (row, x) in x.chunks(width).enumerate() {
            for (column, weights) in decoded.chunks(width).enumerate() {
                let expected: f32 = x.iter().zip(weights).map(|(x, weight)| x * weight).sum();
                let found = alone[row * columns + column];
                assert!((found - expected).abs() < 0.1, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn products_with_weights_of_four_and_eight_bits() {
        products::<Lanes4>();
        products::<Lanes8>();
    }
}
