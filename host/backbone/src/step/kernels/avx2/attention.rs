//! Attention of a prompt's tokens (see [`super::super::prompt`]), 8 at a time.

use std::arch::x86_64::*;

use super::super::HEAD_DIM;
use super::super::prompt::{Heads, HeadsMut, Seen};
use crate::cpu::math::exp;

/// Tokens that attend together, keys that are multiplied together, and numbers of a value: registers for as many sums, and some.
const TOKENS: usize = 8;

/// A number of each query.
type Lanes = [f32; TOKENS];

/// One head of queries of up to 8 tokens, of which the first sees `before` others.
#[target_feature(enable = "avx2,fma")]
pub(in super::super) fn attend(
    seen: &Seen,
    before: usize,
    (queries, per_row): Heads<'_>,
    scores: &mut Vec<Lanes>,
    (out, width): HeadsMut<'_>,
) {
    let queries = queries.chunks(per_row);
    let keys = before + queries.len();
    scores.resize(keys.next_multiple_of(TOKENS), [0.0; TOKENS]);
    score(&in_lanes(queries), &seen.keys, scores);
    let inverse = to_weights(before, &mut scores[..keys]);
    for at in (0..HEAD_DIM).step_by(TOKENS) {
        let mut weighed = weigh(&seen.values[..keys], at, scores);
        for row in &mut weighed {
            *row = _mm256_mul_ps(*row, load(&inverse));
        }
        transpose(&mut weighed);
        for (out, row) in out.chunks_mut(width).zip(weighed) {
            let out = &mut out[at..][..TOKENS];
            // SAFETY: eight floats are written.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), row) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(lanes: &Lanes) -> __m256 {
    // SAFETY: eight floats are read.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store(lanes: &mut Lanes, numbers: __m256) {
    // SAFETY: eight floats are written.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), numbers) };
}

/// Number by number of a head, that of every query; zeros where there are fewer queries.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn in_lanes<'a>(queries: impl Iterator<Item = &'a [f32]> + Clone) -> [Lanes; HEAD_DIM] {
    let mut lanes = [[0.0; TOKENS]; HEAD_DIM];
    for (part, lanes) in lanes.as_chunks_mut::<TOKENS>().0.iter_mut().enumerate() {
        let mut rows = [_mm256_setzero_ps(); TOKENS];
        for (row, query) in rows.iter_mut().zip(queries.clone()) {
            *row = load(&query.as_chunks().0[part]);
        }
        transpose(&mut rows);
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            store(lanes, row);
        }
    }
    lanes
}

/// `scores[key][query] = keys[key] . queries[query]`, of whole blocks of keys.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn score(queries: &[Lanes; HEAD_DIM], keys: &[[f32; HEAD_DIM]], scores: &mut [Lanes]) {
    let (keys, _) = keys.as_chunks::<TOKENS>();
    for (keys, scores) in keys.iter().zip(scores.as_chunks_mut::<TOKENS>().0) {
        let mut sums = [_mm256_setzero_ps(); TOKENS];
        for (at, queries) in queries.iter().enumerate() {
            let queries = load(queries);
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = _mm256_fmadd_ps(queries, _mm256_set1_ps(key[at]), *sum);
            }
        }
        for (scores, sum) in scores.iter_mut().zip(sums) {
            store(scores, sum);
        }
    }
}

/// Turns scores into `exp(score - the most that the query has)` and gives one over each query's sum. A query's weights of tokens behind it
/// are zero.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn to_weights(before: usize, scores: &mut [Lanes]) -> Lanes {
    // Query `i` sees the key `before + i`, and those before it.
    for (behind, scores) in scores[before..].iter_mut().enumerate() {
        scores[..behind].fill(f32::NEG_INFINITY);
    }
    let mut most = _mm256_set1_ps(f32::NEG_INFINITY);
    for scores in scores.iter() {
        most = _mm256_max_ps(most, load(scores));
    }
    let mut all = [0.0; TOKENS];
    store(&mut all, most);
    let most = all;
    let mut sums = [0.0; TOKENS];
    for scores in scores.iter_mut() {
        for ((score, most), sum) in scores.iter_mut().zip(&most).zip(&mut sums) {
            *score = exp(*score - most);
            *sum += *score;
        }
    }
    for (behind, scores) in scores[before..].iter_mut().enumerate() {
        scores[..behind].fill(0.0);
    }
    sums.map(f32::recip)
}

/// Of eight numbers of a head `[number][query] = sum of values[key][number] * weights[key][query]`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn weigh(values: &[[f32; HEAD_DIM]], at: usize, weights: &[Lanes]) -> [__m256; TOKENS] {
    let mut sums = [_mm256_setzero_ps(); TOKENS];
    for (values, weights) in values.iter().zip(weights) {
        let (weights, numbers) = (load(weights), &values[at..][..TOKENS]);
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = _mm256_fmadd_ps(weights, _mm256_set1_ps(*number), *sum);
        }
    }
    sums
}

/// Turns 8 rows of 8 numbers into 8 columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose(rows: &mut [__m256; TOKENS]) {
    let [a, b, c, d, e, f, g, h] = *rows;
    // Of each half of two rows the numbers in turns, then of four rows, then the halves change places.
    let (ab, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let (ef, ef_high) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
    let (gh, gh_high) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
    let first = [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xee>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
    ];
    let last = [
        _mm256_shuffle_ps::<0x44>(ef, gh),
        _mm256_shuffle_ps::<0xee>(ef, gh),
        _mm256_shuffle_ps::<0x44>(ef_high, gh_high),
        _mm256_shuffle_ps::<0xee>(ef_high, gh_high),
    ];
    for (place, (first, last)) in first.into_iter().zip(last).enumerate() {
        rows[place] = _mm256_permute2f128_ps::<0x20>(first, last);
        rows[place + 4] = _mm256_permute2f128_ps::<0x31>(first, last);
    }
}
