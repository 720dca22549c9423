//! For CPUs with AVX2: eight columns a register, of which four products each become two sums in 16 bits.

use std::arch::x86_64::*;

use half::f16;

use super::super::super::rounded::{Part, ROWS, Rounded};
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
