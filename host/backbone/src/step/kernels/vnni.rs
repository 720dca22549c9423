//! Products of whole numbers: inputs in eight bits, weights in four or eight. CPUs with AVX-512 and VNNI add up 64 of them an
//! instruction; a plain loop does the same on any other.
//!
//! Of a block of 32 the sum of `weight * input` is `scale * input scale * (sum of codes' products) + min * (sum of inputs)`: two float
//! products for 32 whole ones. The order of all sums is the same however many inputs there are.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::super::blocks::BLOCK;
#[cfg(target_arch = "x86_64")]
use super::super::rounded::scales;
use super::super::rounded::{Inputs, Part, ROWS, Rounded, round};
use super::super::tiles::{BLOCKS, COLUMNS, FOURS, Lanes4, Lanes8, SHIFT, Tile};
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::gate;
use crate::cpu::team;

/// Columns of gates before those of what they are for, and so on: a block of the next product's inputs.
pub(in super::super) const TURNS: usize = BLOCK;

/// How far ahead of what is multiplied memory is asked for, in bytes.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 6144;

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

/// Columns of gates and of what they are for, of one block.
const GROUPS: usize = 2 * TURNS / COLUMNS;

/// `out[row][column] = x[row] . weights[column]` for the columns of these tiles; there may be less room in `out`.
pub(in super::super) fn multiply<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    assert!(out.len() == inputs.rows(), "room for another number of inputs");
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { multiply_avx512(tiles, inputs, out) };
    }
    multiply_portable(tiles, inputs, out);
}

fn multiply_portable<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    for (part, out) in inputs.parts().zip(out.chunks_mut(ROWS)) {
        for (group, tiles) in tiles.chunks_exact(inputs.depth()).enumerate() {
            let sums = products_portable(tiles, part);
            for (out, sums) in out.iter_mut().zip(sums) {
                let out = out.iter_mut().skip(group * COLUMNS);
                out.zip(sums).for_each(|(out, sum)| *out = sum);
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
        if is_there() {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { gated_avx512(tiles, inputs, &mut out) };
        }
        gated_portable(tiles, inputs, &mut out);
    });
}

/// One block of each row.
fn gated_portable<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [Rounded]]) {
    for (part, out) in inputs.parts().zip(out) {
        let groups = tiles.chunks_exact(inputs.depth());
        let groups: Vec<_> = groups.map(|tiles| products_portable(tiles, part)).collect();
        for (row, out) in out.iter_mut().enumerate() {
            let both: Vec<f32> = groups.iter().flat_map(|sums| sums[row]).collect();
            let mut numbers = [0.0; TURNS];
            gate(&both, TURNS, &mut numbers);
            *out = round(&numbers);
        }
    }
}

/// The products of 16 columns with some inputs.
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
    if is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { round_rows_avx512(x, width, places) };
    }
    let rows = x.len() / width;
    for (row, x) in x.chunks_exact(width).enumerate() {
        for (places, x) in places.chunks_exact_mut(rows).zip(x.as_chunks::<BLOCK>().0) {
            places[row] = round(x);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn round_rows_avx512(x: &[f32], width: usize, places: &mut [Rounded]) {
    let rows = x.len() / width;
    for (row, x) in x.chunks_exact(width).enumerate() {
        for (places, x) in places.chunks_exact_mut(rows).zip(x.as_chunks::<BLOCK>().0) {
            // SAFETY: thirty-two floats are read.
            let (first, second) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
            round_avx512(first, second, &mut places[row]);
        }
    }
}

/// [`round`].
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn round_avx512(first: __m512, second: __m512, out: &mut Rounded) {
    let most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(first), _mm512_abs_ps(second)));
    let is_number = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(first, second) == 0;
    let (scale, inverse) = scales(if is_number { most } else { f32::NAN });
    let inverse = _mm512_set1_ps(inverse);
    let whole = [
        _mm512_cvtps_epi32(_mm512_mul_ps(first, inverse)),
        _mm512_cvtps_epi32(_mm512_mul_ps(second, inverse)),
    ];
    for (codes, whole) in out.codes.as_chunks_mut::<16>().0.iter_mut().zip(whole) {
        // SAFETY: sixteen bytes are written.
        unsafe { _mm_storeu_si128(codes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(whole)) };
    }
    out.scale = scale;
    out.sum = scale * _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1])) as f32;
}

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

/// [`multiply`], the columns one after the other for some inputs, which all the while are near.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_avx512<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn of<T: Lanes, const COUNT: usize>(
        tiles: &[T],
        depth: usize,
        part: Part<'_>,
        is_first: bool,
        out: &mut [&mut [f32]],
    ) {
        for (group, tiles) in tiles.chunks_exact(depth).enumerate() {
            for (out, sum) in out.iter_mut().zip(products::<T, COUNT>(tiles, part, is_first)) {
                avx512::store_columns(out, group, sum);
            }
        }
    }
    let depth = inputs.depth();
    for (index, (part, out)) in inputs.parts().zip(out.chunks_mut(ROWS)).enumerate() {
        let is_first = index == 0;
        with_rows!(part, of::<T>(tiles, depth, part, is_first, out));
    }
}

/// [`gated_portable`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn gated_avx512<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [Rounded]]) {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn of<T: Lanes, const COUNT: usize>(
        tiles: &[T],
        depth: usize,
        part: Part<'_>,
        is_first: bool,
        out: &mut [Rounded],
    ) {
        let mut sums = [[_mm512_setzero_ps(); COUNT]; GROUPS];
        for (sums, tiles) in sums.iter_mut().zip(tiles.chunks_exact(depth)) {
            *sums = products::<T, COUNT>(tiles, part, is_first);
        }
        let [first, second, for_first, for_second] = sums;
        for (row, out) in out.iter_mut().enumerate() {
            let first = avx512::gate(first[row], for_first[row]);
            round_avx512(first, avx512::gate(second[row], for_second[row]), out);
        }
    }
    let depth = inputs.depth();
    for (index, (part, out)) in inputs.parts().zip(out).enumerate() {
        let is_first = index == 0;
        with_rows!(part, of::<T>(tiles, depth, part, is_first, out));
    }
}

/// The products of 16 columns with some inputs. The first time, memory is asked for.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn products<T: Lanes, const COUNT: usize>(tiles: &[T], part: Part<'_>, is_first: bool) -> [__m512; COUNT] {
    let (blocks, _) = part.blocks.as_chunks::<COUNT>();
    assert!(
        part.rows == COUNT && blocks.len() == BLOCKS * tiles.len(),
        "inputs of another width"
    );
    let mut sums = [_mm512_setzero_ps(); COUNT];
    for (tile, blocks) in tiles.iter().zip(blocks.as_chunks::<BLOCKS>().0) {
        if is_first {
            ask_for(tile);
        }
        for (block, x) in blocks.iter().enumerate() {
            // SAFETY: this function is for such CPUs, too.
            let (codes, scale, min) = unsafe { tile.load(block) };
            // Row by row, each sum would wait for its last product, and the CPU can look ahead for so many only.
            let mut whole = [_mm512_setzero_si512(); COUNT];
            for (four, codes) in codes.iter().enumerate() {
                for (whole, x) in whole.iter_mut().zip(x) {
                    let four = x.codes.as_chunks::<4>().0[four].map(i8::cast_unsigned);
                    *whole = _mm512_dpbusd_epi32(*whole, *codes, _mm512_set1_epi32(i32::from_ne_bytes(four)));
                }
            }
            for ((sum, whole), x) in sums.iter_mut().zip(whole).zip(x) {
                let whole = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x.scale));
                *sum = _mm512_fmadd_ps(min, _mm512_set1_ps(x.sum), _mm512_fmadd_ps(whole, scale, *sum));
            }
        }
    }
    sums
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
                for (row, sums) in rows.chunks(columns).zip(products_portable(tiles, part)) {
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
