//! Products of whole numbers: inputs in eight bits, weights in four or eight. CPUs with AVX-512 and VNNI add up 64 of them an
//! instruction, those with AVX2 32 in two or four; a plain loop does the same on any other.
//!
//! Of a block of 32 the sum of `weight * input` is `scale * input scale * (sum of codes' products) + min * (sum of inputs)`: two float
//! products for 32 whole ones. The order of all sums is the same however many inputs there are.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::super::blocks::BLOCK;
use super::super::rounded::{Inputs, Part, ROWS, Rounded, round};
use super::super::tiles::{BLOCKS, COLUMNS, FOURS, Lanes4, Lanes8, SHIFT, Tile};
use super::gate;
use crate::cpu::team;

/// Calls what is compiled for as many rows as the part has, each of whose sums has a register.
#[cfg(target_arch = "x86_64")]
macro_rules! with_rows {
    ($part:expr, $of:ident::<$tile:ty>$arguments:tt) => {
        match $part.rows {
            1 => $of::<$tile, 1>$arguments,
            2 => $of::<$tile, 2>$arguments,
            3 => $of::<$tile, 3>$arguments,
            4 => $of::<$tile, 4>$arguments,
            5 => $of::<$tile, 5>$arguments,
            6 => $of::<$tile, 6>$arguments,
            7 => $of::<$tile, 7>$arguments,
            _ => $of::<$tile, ROWS>$arguments,
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

/// Columns of gates before those of what they are for, and so on: a block of the next product's inputs.
pub(in super::super) const TURNS: usize = BLOCK;

/// How far ahead of what is multiplied memory is asked for, in bytes.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 6144;

/// Whether the CPU has instructions for it.
pub(in super::super) fn is_there() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx512::is_there() || avx2::is_there();
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
    /// For CPUs that [`avx512`] is for.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_avx512(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512);

    /// Of one block of the first eight columns, or the last, the scales, and what is added to each weight.
    ///
    /// # Safety
    /// For CPUs that [`avx2`] is for.
    #[cfg(target_arch = "x86_64")]
    unsafe fn scales_avx2(&self, block: usize, half: usize) -> (__m256, __m256);

    /// Likewise the sums of codes' products with those of some inputs.
    ///
    /// # Safety
    /// For CPUs that [`avx2`] is for.
    #[cfg(target_arch = "x86_64")]
    unsafe fn sums_avx2<const COUNT: usize>(&self, block: usize, half: usize, x: &[Rounded; COUNT])
    -> [__m256i; COUNT];
}

/// The codes of one column, one after the other.
fn of_column(lanes: &[[[u8; 4]; COLUMNS]; FOURS], column: usize) -> [u8; BLOCK] {
    std::array::from_fn(|place| lanes[place / 4][column][place % 4])
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
    unsafe fn load_avx512(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512) {
        let mut codes = [_mm512_setzero_si512(); FOURS];
        for (codes, lanes) in codes.iter_mut().zip(&self.codes) {
            // SAFETY: the lanes are 64 bytes.
            let both = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
            let both = if block == 0 { both } else { _mm512_srli_epi16::<4>(both) };
            *codes = _mm512_and_si512(both, _mm512_set1_epi8(15));
        }
        (
            codes,
            avx512::halves(&self.scale[block]),
            avx512::halves(&self.min[block]),
        )
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scales_avx2(&self, block: usize, half: usize) -> (__m256, __m256) {
        (
            avx2::halves(&self.scale[block], half),
            avx2::halves(&self.min[block], half),
        )
    }

    /// Two products of codes up to 15 and 127 are 3,810 at most, so that all eight pairs of a block fit into 16 bits.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sums_avx2<const COUNT: usize>(
        &self,
        block: usize,
        half: usize,
        x: &[Rounded; COUNT],
    ) -> [__m256i; COUNT] {
        let mut pairs = [_mm256_setzero_si256(); COUNT];
        for (four, lanes) in self.codes.iter().enumerate() {
            let both = avx2::eight_columns(lanes, half);
            let both = if block == 0 { both } else { _mm256_srli_epi16::<4>(both) };
            let codes = _mm256_and_si256(both, _mm256_set1_epi8(15));
            for (pairs, x) in pairs.iter_mut().zip(x) {
                *pairs = _mm256_add_epi16(*pairs, _mm256_maddubs_epi16(codes, avx2::four_of(x, four)));
            }
        }
        for pairs in &mut pairs {
            *pairs = _mm256_madd_epi16(*pairs, _mm256_set1_epi16(1));
        }
        pairs
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
    unsafe fn load_avx512(&self, block: usize) -> ([__m512i; FOURS], __m512, __m512) {
        let mut codes = [_mm512_setzero_si512(); FOURS];
        for (codes, lanes) in codes.iter_mut().zip(&self.codes[block]) {
            // SAFETY: the lanes are 64 bytes.
            *codes = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
        }
        let scale = avx512::halves(&self.scale[block]);
        (codes, scale, _mm512_mul_ps(scale, _mm512_set1_ps(-f32::from(SHIFT))))
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scales_avx2(&self, block: usize, half: usize) -> (__m256, __m256) {
        let scale = avx2::halves(&self.scale[block], half);
        (scale, _mm256_mul_ps(scale, _mm256_set1_ps(-f32::from(SHIFT))))
    }

    /// Two products of eight bits do not fit into 16, so the high and the low halves of codes are multiplied by themselves; of four inputs
    /// at a time both sums have a register.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sums_avx2<const COUNT: usize>(
        &self,
        block: usize,
        half: usize,
        x: &[Rounded; COUNT],
    ) -> [__m256i; COUNT] {
        const TOGETHER: usize = 4;
        let mut sums = [_mm256_setzero_si256(); COUNT];
        for (sums, x) in sums.chunks_mut(TOGETHER).zip(x.chunks(TOGETHER)) {
            let (mut high, mut low) = ([_mm256_setzero_si256(); TOGETHER], [_mm256_setzero_si256(); TOGETHER]);
            for (four, lanes) in self.codes[block].iter().enumerate() {
                let codes = avx2::eight_columns(lanes, half);
                let of_high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), _mm256_set1_epi8(15));
                let of_low = _mm256_and_si256(codes, _mm256_set1_epi8(15));
                for ((high, low), x) in high.iter_mut().zip(&mut low).zip(x) {
                    let four = avx2::four_of(x, four);
                    *high = _mm256_add_epi16(*high, _mm256_maddubs_epi16(of_high, four));
                    *low = _mm256_add_epi16(*low, _mm256_maddubs_epi16(of_low, four));
                }
            }
            for ((sum, high), low) in sums.iter_mut().zip(high).zip(low) {
                let of_high = _mm256_madd_epi16(high, _mm256_set1_epi16(16));
                *sum = _mm256_add_epi32(of_high, _mm256_madd_epi16(low, _mm256_set1_epi16(1)));
            }
        }
        sums
    }
}

/// Columns of gates and of what they are for, of one block.
const GROUPS: usize = 2 * TURNS / COLUMNS;

/// `out[row][column] = x[row] . weights[column]` for the columns of these tiles; there may be less room in `out`.
pub(in super::super) fn multiply<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    assert!(out.len() == inputs.rows(), "room for another number of inputs");
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { avx512::multiply(tiles, inputs, out) };
    }
    // The columns one after the other for some inputs, which all the while are near.
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (index, (part, out)) in inputs.parts().zip(out.chunks_mut(ROWS)).enumerate() {
        for (group, tiles) in tiles.chunks_exact(inputs.depth()).enumerate() {
            products(tiles, part, index == 0, &mut sums);
            for (out, sums) in out.iter_mut().zip(&sums) {
                let out = out.get_mut(group * COLUMNS..).unwrap_or_default();
                match out.first_chunk_mut() {
                    Some(out) => *out = *sums,
                    None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum),
                }
            }
        }
    }
}

/// `silu(gate) * up` as inputs of what comes next: of the products with the columns of `tiles`, [`TURNS`] are gates and the next as many
/// are what they are for, and so on. They take the place of what is in `gated`.
pub(in super::super) fn multiply_gated<T: Lanes>(tiles: &[T], inputs: &Inputs, gated: &mut Inputs) {
    let depth = inputs.depth();
    gated.make_room(inputs.rows(), tiles.len() / depth * COLUMNS / 2);
    let of_blocks = tiles.chunks_exact(GROUPS * depth);
    team::each(of_blocks.zip(gated.places()), |(tiles, mut out)| {
        #[cfg(target_arch = "x86_64")]
        if avx512::is_there() {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { avx512::multiply_gated(tiles, inputs, &mut out) };
        }
        multiply_gated_block(tiles, inputs, &mut out);
    });
}

/// One block of each row.
fn multiply_gated_block<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [Rounded]]) {
    let (mut both, mut sums) = ([[0.0; 2 * TURNS]; ROWS], [[0.0; COLUMNS]; ROWS]);
    for (index, (part, out)) in inputs.parts().zip(out).enumerate() {
        for (group, tiles) in tiles.chunks_exact(inputs.depth()).enumerate() {
            products(tiles, part, index == 0, &mut sums);
            for (both, sums) in both.iter_mut().zip(&sums) {
                both[group * COLUMNS..][..COLUMNS].copy_from_slice(sums);
            }
        }
        for (both, out) in both.iter().zip(out.iter_mut()) {
            let mut numbers = [0.0; TURNS];
            gate(both, TURNS, &mut numbers);
            *out = round(&numbers);
        }
    }
}

/// The products of 16 columns with some inputs, row by row. The first time, memory is asked for.
fn products<T: Lanes>(tiles: &[T], part: Part<'_>, is_first: bool, out: &mut [[f32; COLUMNS]; ROWS]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { avx2::products(tiles, part, is_first, out) };
    }
    let _ = is_first;
    *out = products_portable(tiles, part);
}

fn products_portable<T: Lanes>(tiles: &[T], part: Part<'_>) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (place, x) in part.blocks.chunks_exact(part.rows).enumerate() {
        for column in 0..COLUMNS {
            let (codes, scale, min) = tiles[place / BLOCKS].column(place % BLOCKS, column);
            for (sums, x) in sums.iter_mut().zip(x) {
                let products = codes.iter().zip(&x.codes).map(|(&a, &b)| i32::from(a) * i32::from(b));
                let whole = products.sum::<i32>() as f32 * x.scale;
                sums[column] = min.mul_add(x.sum, whole.mul_add(scale, sums[column]));
            }
        }
    }
    sums
}

/// Rounds rows of so many numbers to places as [`Inputs`] has them.
pub(in super::super) fn round_rows(x: &[f32], width: usize, places: &mut [Rounded]) {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { avx512::round_rows(x, width, places) };
    }
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: likewise.
        return unsafe { avx2::round_rows(x, width, places) };
    }
    let rows = x.len() / width;
    for (row, x) in x.chunks_exact(width).enumerate() {
        for (places, x) in places.chunks_exact_mut(rows).zip(x.as_chunks::<BLOCK>().0) {
            places[row] = round(x);
        }
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
    use super::super::super::rounded::{Inputs, ROWS};
    use super::super::super::tiles::{COLUMNS, Lanes4, Lanes8, Tile, pack};
    use super::{Lanes, multiply, products as products_here, products_portable};

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + seed) * 1.618).sin()).collect()
    }

    /// Of what both factors are rounded to, on any CPU, whatever else is in a step; the last columns and blocks are missing.
    fn products<T: Lanes>() {
        let (width, columns) = (3 * BLOCK, COLUMNS + 5);
        let weights = numbers(columns * width, 0.3);
        let tiles: Vec<T> = pack(&weights, width, COLUMNS);
        let decoded = weights.as_chunks::<BLOCK>().0.iter();
        let decoded: Vec<f32> = decoded
            .flat_map(|block| <T as Tile>::Block::encode(block).decode())
            .collect();
        let x = numbers(21 * width, 7.1);
        let of = |x: &[f32]| {
            let rows = x.len() / width;
            let mut out = vec![f32::NAN; rows * columns];
            multiply(
                &tiles,
                Inputs::default().round(x, rows),
                &mut out.chunks_mut(columns).collect::<Vec<_>>(),
            );
            out
        };
        let alone: Vec<f32> = x.chunks(width).flat_map(of).collect();
        for together in [2, 3, 4, 5, 6, 7, 8, 9, 21] {
            let found: Vec<f32> = x.chunks(together * width).flat_map(of).collect();
            assert_eq!(found, alone, "{together} at once");
        }
        let mut inputs = Inputs::default();
        inputs.round(&x, 21);
        for (group, tiles) in tiles.chunks(inputs.depth()).enumerate() {
            for (part, rows) in inputs.parts().zip(alone.chunks(ROWS * columns)) {
                // With AVX2 where it is there, on a CPU with AVX-512, too.
                let (mut here, portable) = ([[f32::NAN; COLUMNS]; ROWS], products_portable(tiles, part));
                products_here(tiles, part, group == 0, &mut here);
                assert_eq!(here[..part.rows], portable[..part.rows]);
                for (row, sums) in rows.chunks(columns).zip(portable) {
                    let found = row.chunks(COLUMNS).nth(group).expect("columns");
                    assert_eq!(found[..], sums[..found.len()]);
                }
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
