//! For CPUs with AVX2 and FMA: eight floats a register, product and sum in one instruction.

use std::arch::x86_64::*;

use super::super::blocks::{BLOCK, Block, GROUP};
use super::HEAD_DIM;
use crate::cpu::memory::Element;

pub(super) mod attention;

/// How far ahead of what is multiplied memory is asked for, in bytes: some hundred nanoseconds of reading.
const AHEAD: usize = 2048;

/// From how many inputs on the columns are unpacked into memory first, once for all inputs, which are then multiplied at twice the
/// speed.
const UNPACKED: usize = 3;

/// Most queries that are looked at together, and keys whose scores are summed up together: as many as there are registers for.
pub(super) const QUERIES: usize = 3;
const KEYS: usize = 4;

pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// [`super::multiply`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply<B: Block>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    let groups = groups.chunks_exact(width / BLOCK).enumerate();
    if out.len() < UNPACKED {
        for (index, group) in groups {
            for (x, out) in x.chunks_exact(width).zip(out.iter_mut()) {
                store(out, index, packed(group, x.as_chunks::<BLOCK>().0));
            }
        }
        return;
    }
    let mut weights = vec![0.0; GROUP * width];
    for (index, group) in groups {
        unpack(group, &mut weights);
        // Three inputs and four columns: as many sums as there are registers for.
        let threes = x.chunks_exact(3 * width);
        let (out_threes, out_rest) = out.as_chunks_mut::<3>();
        for (x, out) in threes.remainder().chunks_exact(width).zip(out_rest) {
            let [sums] = dense::<1>(x, &weights);
            store(out, index, sums);
        }
        for (x, out) in threes.zip(out_threes) {
            for (out, sums) in out.iter_mut().zip(dense::<3>(x, &weights)) {
                store(out, index, sums);
            }
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
pub(super) fn ask_for<B>(blocks: &[B; GROUP]) {
    const LINE: usize = 64;
    let ahead = blocks.as_ptr().cast::<i8>().wrapping_add(AHEAD);
    for line in 0..size_of::<[B; GROUP]>().div_ceil(LINE) {
        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line * LINE));
    }
}

/// The products of some inputs, `[ROWS, width]`, with the columns of a group, `[GROUP, width]`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dense<const ROWS: usize>(x: &[f32], weights: &[f32]) -> [[f32; GROUP]; ROWS] {
    let width = weights.len() / GROUP;
    assert!(
        x.len() == ROWS * width && width.is_multiple_of(8),
        "inputs of another width"
    );
    let mut sums = [[_mm256_setzero_ps(); GROUP]; ROWS];
    for at in (0..width).step_by(8) {
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `at + 8 <= width`, and there are `ROWS` times as many numbers.
            let x = unsafe { _mm256_loadu_ps(x.as_ptr().add(row * width + at)) };
            for (column, sum) in sums.iter_mut().enumerate() {
                // SAFETY: likewise, `GROUP` times as many.
                let weights = unsafe { _mm256_loadu_ps(weights.as_ptr().add(column * width + at)) };
                *sum = _mm256_fmadd_ps(x, weights, *sum);
            }
        }
    }
    let mut totals = [[0.0; GROUP]; ROWS];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for (all, sum) in totals.iter_mut().zip(sums) {
            *all = total(sum);
        }
    }
    totals
}

/// `scores[query][key] = queries[query] . keys[key]`, of up to [`QUERIES`] queries.
#[target_feature(enable = "avx2,fma")]
pub(super) fn score<E: Element>(queries: &[f32], keys: &[E], scores: &mut [f32]) {
    match queries.len() / HEAD_DIM {
        1 => score_of::<E, 1>(queries, keys, scores),
        2 => score_of::<E, 2>(queries, keys, scores),
        _ => score_of::<E, QUERIES>(queries, keys, scores),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn score_of<E: Element, const COUNT: usize>(queries: &[f32], keys: &[E], scores: &mut [f32]) {
    let ((queries, _), (keys, _)) = (queries.as_chunks::<HEAD_DIM>(), keys.as_chunks::<HEAD_DIM>());
    assert!(queries.len() == COUNT && scores.len() == COUNT * keys.len());
    for (at, some) in (0..).step_by(KEYS).zip(keys.chunks(KEYS)) {
        let mut products = [[_mm256_setzero_ps(); KEYS]; COUNT];
        for (place, key) in some.iter().enumerate() {
            for (part, numbers) in key.as_chunks::<8>().0.iter().enumerate() {
                // SAFETY: this function is for CPUs with AVX2, too.
                let numbers = unsafe { E::load_avx2(numbers) };
                for (products, query) in products.iter_mut().zip(queries) {
                    // SAFETY: eight floats are read.
                    let query = unsafe { _mm256_loadu_ps(query[8 * part..][..8].as_ptr()) };
                    products[place] = _mm256_fmadd_ps(query, numbers, products[place]);
                }
            }
        }
        for (products, scores) in products.into_iter().zip(scores.chunks_exact_mut(keys.len())) {
            for (score, products) in scores[at..].iter_mut().zip(products).take(some.len()) {
                *score = total(products);
            }
        }
    }
}

/// `out[query] = sum of scores[query][token] * values[token]`, of up to [`QUERIES`] queries.
#[target_feature(enable = "avx2,fma")]
pub(super) fn weigh<E: Element>(values: &[E], scores: &[f32], out: &mut [f32]) {
    match out.len() / HEAD_DIM {
        1 => weigh_of::<E, 1>(values, scores, out),
        2 => weigh_of::<E, 2>(values, scores, out),
        _ => weigh_of::<E, QUERIES>(values, scores, out),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn weigh_of<E: Element, const COUNT: usize>(values: &[E], scores: &[f32], out: &mut [f32]) {
    let ((values, _), (out, _)) = (values.as_chunks::<HEAD_DIM>(), out.as_chunks_mut::<HEAD_DIM>());
    assert!(out.len() == COUNT && scores.len() == COUNT * values.len());
    // The sums of half of a head have registers.
    for half in (0..HEAD_DIM).step_by(HEAD_DIM / 2) {
        let mut sums = [[_mm256_setzero_ps(); HEAD_DIM / 16]; COUNT];
        for (token, value) in values.iter().enumerate() {
            let mut parts = [_mm256_setzero_ps(); HEAD_DIM / 16];
            for (part, numbers) in parts.iter_mut().zip(value[half..].as_chunks::<8>().0) {
                // SAFETY: this function is for CPUs with AVX2, too.
                *part = unsafe { E::load_avx2(numbers) };
            }
            for (query, sums) in sums.iter_mut().enumerate() {
                let score = _mm256_set1_ps(scores[query * values.len() + token]);
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum = _mm256_fmadd_ps(part, score, *sum);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            for (out, sum) in out[half..].as_chunks_mut::<8>().0.iter_mut().zip(sums) {
                // SAFETY: eight floats are written.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
            }
        }
    }
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
