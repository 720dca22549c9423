//! For CPUs with AVX2: eight columns a register, of which four products each become two sums in 16 bits.

use std::arch::x86_64::*;

use half::f16;

use super::super::super::blocks::BLOCK;
use super::super::super::rounded::{Part, ROWS, Rounded, scales};
use super::super::super::tiles::{self, BLOCKS, COLUMNS};
use super::{Lanes, ask_for};

/// Columns of a register.
const HALF: usize = COLUMNS / 2;

pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// [`super::products`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn products<T: Lanes>(tiles: &[T], part: Part<'_>, is_first: bool, out: &mut [[f32; COLUMNS]; ROWS]) {
    with_rows!(part, of::<T>(tiles, part, is_first, out));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn of<T: Lanes, const COUNT: usize>(tiles: &[T], part: Part<'_>, is_first: bool, out: &mut [[f32; COLUMNS]; ROWS]) {
    let (blocks, _) = part.blocks.as_chunks::<COUNT>();
    assert!(
        part.rows == COUNT && blocks.len() == BLOCKS * tiles.len(),
        "inputs of another width"
    );
    // All sums have a register only with half of the columns.
    for half in 0..2 {
        let mut sums = [_mm256_setzero_ps(); COUNT];
        for (tile, blocks) in tiles.iter().zip(blocks.as_chunks::<BLOCKS>().0) {
            if is_first && half == 0 {
                ask_for(tile);
            }
            for (block, x) in blocks.iter().enumerate() {
                // SAFETY: this function is for such CPUs, too.
                let (whole, (scale, min)) = unsafe { (tile.sums_avx2(block, half, x), tile.scales_avx2(block, half)) };
                for ((sum, whole), x) in sums.iter_mut().zip(whole).zip(x) {
                    let whole = _mm256_mul_ps(_mm256_cvtepi32_ps(whole), _mm256_set1_ps(x.scale));
                    *sum = _mm256_fmadd_ps(min, _mm256_set1_ps(x.sum), _mm256_fmadd_ps(whole, scale, *sum));
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            let out = &mut out[half * HALF..][..HALF];
            // SAFETY: eight floats are written.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}

/// Rounds rows of so many numbers to places as [`super::Inputs`] has them.
#[target_feature(enable = "avx2,fma")]
pub(super) fn round_rows(x: &[f32], width: usize, places: &mut [Rounded]) {
    let rows = x.len() / width;
    for (row, x) in x.chunks_exact(width).enumerate() {
        for (places, x) in places.chunks_exact_mut(rows).zip(x.as_chunks().0) {
            round(x, &mut places[row]);
        }
    }
}

/// [`super::round`].
#[inline]
#[target_feature(enable = "avx2,fma")]
fn round(numbers: &[f32; BLOCK], out: &mut Rounded) {
    let mut eights = [_mm256_setzero_ps(); BLOCK / 8];
    for (eight, numbers) in eights.iter_mut().zip(numbers.as_chunks::<8>().0) {
        // SAFETY: eight floats are read.
        *eight = unsafe { _mm256_loadu_ps(numbers.as_ptr()) };
    }
    // The largest of all but their signs; a number that is none is left out of a maximum, and looked for by itself.
    let sign = _mm256_set1_ps(-0.0);
    let mut most = _mm256_setzero_ps();
    let mut none = _mm256_setzero_ps();
    for eight in eights {
        most = _mm256_max_ps(_mm256_andnot_ps(sign, eight), most);
        none = _mm256_or_ps(none, _mm256_cmp_ps::<_CMP_UNORD_Q>(eight, eight));
    }
    let most = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps::<1>(most));
    let most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    let most = _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
    let is_number = _mm256_movemask_ps(none) == 0;
    let (scale, inverse) = scales(if is_number { most } else { f32::NAN });
    let mut whole = [_mm256_setzero_si256(); BLOCK / 8];
    for (whole, eight) in whole.iter_mut().zip(eights) {
        *whole = _mm256_cvtps_epi32(_mm256_mul_ps(eight, _mm256_set1_ps(inverse)));
    }
    // Packed half by half of each register: fours of numbers come out as 0, 2, 4, 6 and 1, 3, 5, 7.
    let [a, b, c, d] = whole;
    let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let codes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    // SAFETY: thirty-two bytes are written.
    unsafe { _mm256_storeu_si256(out.codes.as_mut_ptr().cast(), codes) };
    let sums = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b01_00_11_10>(sums));
    let sum = _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<0b10_11_00_01>(sums)));
    out.scale = scale;
    out.sum = scale * sum as f32;
}

/// A number of each of the first eight columns, or the last.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn halves(numbers: &[f16; COLUMNS], half: usize) -> __m256 {
    let numbers = &numbers[half * HALF..][..HALF];
    // SAFETY: eight numbers of two bytes are read.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) })
}

/// Four codes of each of the first eight columns, or the last.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn eight_columns(lanes: &tiles::Lanes, half: usize) -> __m256i {
    let lanes = &lanes[half * HALF..][..HALF];
    // SAFETY: eight times four bytes are read.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// Four codes of an input, for every column.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn four_of(x: &Rounded, four: usize) -> __m256i {
    let four = x.codes.as_chunks::<4>().0[four].map(i8::cast_unsigned);
    _mm256_set1_epi32(i32::from_ne_bytes(four))
}

#[cfg(test)]
mod tests {
    use super::super::super::super::rounded::{Rounded, round};
    use super::{BLOCK, is_there, round_rows};

    /// Zeros, a tie, and what is no number among them.
    #[test]
    fn numbers_are_rounded_as_by_a_plain_loop() {
        if !is_there() {
            return;
        }
        let (width, rows) = (2 * BLOCK, 3);
        let mut x: Vec<f32> = (0..rows * width)
            .map(|i| (i as f32 * 1.7).sin() * (1 + i % 7) as f32)
            .collect();
        x[..BLOCK].fill(0.0);
        (x[BLOCK], x[BLOCK + 1]) = (-127.0, 0.5);
        (x[2 * BLOCK + 3], x[3 * BLOCK + 31]) = (f32::NAN, f32::NEG_INFINITY);
        let mut places = vec![round(&[1.0; BLOCK]); x.len() / BLOCK];
        // SAFETY: the CPU has what the function is compiled for.
        unsafe { round_rows(&x, width, &mut places) };
        for (index, numbers) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
            let (row, block) = (index / (width / BLOCK), index % (width / BLOCK));
            let Rounded { codes, scale, sum } = places[block * rows + row];
            let expected = round(numbers);
            assert_eq!(scale.to_bits(), expected.scale.to_bits(), "block {index}");
            if scale.is_finite() {
                assert_eq!((codes, sum), (expected.codes, expected.sum), "block {index}");
            } else {
                assert!(!sum.is_finite(), "block {index}");
            }
        }
    }
}
