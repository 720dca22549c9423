//! For CPUs with AVX-512 and VNNI: sixteen columns a register, four products and their sum in one instruction for each.

use std::arch::x86_64::*;

use super::super::super::blocks::BLOCK;
use super::super::super::rounded::{Inputs, Part, ROWS, Rounded, scales};
use super::super::super::tiles::{BLOCKS, COLUMNS};
use super::super::avx512;
use super::{GROUPS, Lanes, ask_for};

/// Whether the CPU has instructions for it.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn halves(numbers: &[half::f16; COLUMNS]) -> __m512 {
    // SAFETY: sixteen numbers of two bytes are read.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f")]
pub(super) fn round_rows(x: &[f32], width: usize, places: &mut [Rounded]) {
    let rows = x.len() / width;
    for (row, x) in x.chunks_exact(width).enumerate() {
        for (places, x) in places.chunks_exact_mut(rows).zip(x.as_chunks::<BLOCK>().0) {
            // SAFETY: thirty-two floats are read.
            let (first, second) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
            round(first, second, &mut places[row]);
        }
    }
}

/// [`super::round`].
#[inline]
#[target_feature(enable = "avx512f")]
fn round(first: __m512, second: __m512, out: &mut Rounded) {
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

/// [`super::multiply`], the columns one after the other for some inputs, which all the while are near.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn multiply<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
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

/// [`super::multiply_gated`], of one block of each row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn multiply_gated<T: Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [Rounded]]) {
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
            round(first, avx512::gate(second[row], for_second[row]), out);
        }
    }
    let depth = inputs.depth();
    for (index, (part, out)) in inputs.parts().zip(out).enumerate() {
        let is_first = index == 0;
        with_rows!(part, of::<T>(tiles, depth, part, is_first, out));
    }
}

/// The products of 16 columns with some inputs. The first time, memory is asked for.
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
            let (codes, scale, min) = unsafe { tile.load_avx512(block) };
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
