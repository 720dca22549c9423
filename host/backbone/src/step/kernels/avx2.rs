//! For CPUs with AVX2 and FMA: eight floats a register, product and sum in one instruction.

use std::arch::x86_64::*;

use super::super::blocks::{BLOCK, Block, GROUP};
use super::super::memory::Element;

/// How far ahead of what is multiplied memory is asked for, in bytes: some hundred nanoseconds of reading.
const AHEAD: usize = 2048;

/// From how many inputs on the columns are unpacked into memory first, once for all inputs, which are then multiplied at twice the
/// speed.
const UNPACKED: usize = 3;

pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// [`super::multiply`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply<B: Block>(groups: &[[B; GROUP]], x: &[&[f32]], out: &mut [&mut [f32]]) {
    let width = x.first().map_or(0, |x| x.len());
    let groups = groups.chunks_exact(width / BLOCK).enumerate();
    if x.len() < UNPACKED {
        for (index, group) in groups {
            for (x, out) in x.iter().zip(out.iter_mut()) {
                store(out, index, packed(group, x.as_chunks::<BLOCK>().0));
            }
        }
        return;
    }
    let mut weights = vec![0.0; GROUP * width];
    for (index, group) in groups {
        unpack(group, &mut weights);
        let columns: [&[f32]; GROUP] = std::array::from_fn(|column| &weights[column * width..][..width]);
        let (fours, rest) = x.as_chunks::<4>();
        let (out_fours, out_rest) = out.as_chunks_mut::<4>();
        for (x, out) in fours.iter().zip(out_fours) {
            // As many sums as there are registers for.
            let (left, right) = (dense(x, &[columns[0], columns[1]]), dense(x, &[columns[2], columns[3]]));
            for ((out, [a, b]), [c, d]) in out.iter_mut().zip(left).zip(right) {
                store(out, index, [a, b, c, d]);
            }
        }
        for (x, out) in rest.iter().zip(out_rest) {
            let [sums] = dense(&[x], &columns);
            store(out, index, sums);
        }
    }
}

/// Writes the sums of one group; the last may have fewer columns.
fn store(out: &mut [f32], group: usize, sums: [f32; GROUP]) {
    let out = &mut out[group * GROUP..];
    match out.first_chunk_mut::<GROUP>() {
        Some(out) => *out = sums,
        None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum),
    }
}

/// The columns of one group, times one input.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn packed<B: Block>(group: &[[B; GROUP]], x: &[[f32; BLOCK]]) -> [f32; GROUP] {
    let mut sums = [_mm256_setzero_ps(); GROUP];
    for (blocks, x) in group.iter().zip(x) {
        ask_for(blocks);
        for (sum, block) in sums.iter_mut().zip(blocks) {
            // SAFETY: this function is for CPUs with AVX2 and FMA, too.
            let weights = unsafe { block.decode_avx2() };
            for (weights, x) in weights.iter().zip(x.as_chunks::<8>().0) {
                // SAFETY: as above.
                *sum = _mm256_fmadd_ps(*weights, unsafe { f32::load_avx2(x) }, *sum);
            }
        }
    }
    [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
}

/// The weights of one group, column after column.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn unpack<B: Block>(group: &[[B; GROUP]], weights: &mut [f32]) {
    let width = group.len() * BLOCK;
    for (place, blocks) in group.iter().enumerate() {
        ask_for(blocks);
        for (column, block) in blocks.iter().enumerate() {
            // SAFETY: this function is for CPUs with AVX2 and FMA, too.
            let decoded = unsafe { block.decode_avx2() };
            let weights = &mut weights[column * width + place * BLOCK..][..BLOCK];
            for (weights, decoded) in weights.as_chunks_mut::<8>().0.iter_mut().zip(decoded) {
                // SAFETY: eight floats are written.
                unsafe { _mm256_storeu_ps(weights.as_mut_ptr(), decoded) };
            }
        }
    }
}

/// Asks for the memory that is read a little later.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn ask_for<B>(blocks: &[B; GROUP]) {
    const LINE: usize = 64;
    let ahead = blocks.as_ptr().cast::<i8>().wrapping_add(AHEAD);
    for line in 0..size_of::<[B; GROUP]>().div_ceil(LINE) {
        // SAFETY: an address that is asked for may be any; it is not read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line * LINE)) };
    }
}

/// The products of some inputs with some columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dense<const ROWS: usize, const COLUMNS: usize>(x: &[&[f32]; ROWS], weights: &[&[f32]; COLUMNS]) -> [[f32; COLUMNS]; ROWS] {
    let parts = x[0].len() / 8;
    let x: [&[[f32; 8]]; ROWS] = x.map(|x| &x.as_chunks::<8>().0[..parts]);
    let weights: [&[[f32; 8]]; COLUMNS] = weights.map(|weights| &weights.as_chunks::<8>().0[..parts]);
    let mut sums = [[_mm256_setzero_ps(); COLUMNS]; ROWS];
    for part in 0..parts {
        let mut eights = [_mm256_setzero_ps(); COLUMNS];
        for column in 0..COLUMNS {
            // SAFETY: this function is for CPUs with AVX2 and FMA, too.
            eights[column] = unsafe { f32::load_avx2(&weights[column][part]) };
        }
        for row in 0..ROWS {
            // SAFETY: as above.
            let x = unsafe { f32::load_avx2(&x[row][part]) };
            for column in 0..COLUMNS {
                sums[row][column] = _mm256_fmadd_ps(x, eights[column], sums[row][column]);
            }
        }
    }
    let mut totals = [[0.0; COLUMNS]; ROWS];
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            totals[row][column] = total(sums[row][column]);
        }
    }
    totals
}

/// The sum of products; the length is a multiple of 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot<E: Element>(a: &[f32], b: &[E]) -> f32 {
    let mut sum = _mm256_setzero_ps();
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        // SAFETY: this function is for CPUs with AVX2, too.
        let (a, b) = unsafe { (f32::load_avx2(a), E::load_avx2(b)) };
        sum = _mm256_fmadd_ps(a, b, sum);
    }
    total(sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn total(eight: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
