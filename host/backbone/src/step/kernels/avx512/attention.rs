//! Attention of a prompt's tokens (see [`super::super::prompt`]), 16 at a time.

use std::arch::x86_64::*;

use super::super::prompt::{Heads, HeadsMut, Seen};
use super::{HEAD_DIM, PARTS, exp, transpose};

/// Tokens that attend together.
const TOKENS: usize = 16;

/// Keys that are multiplied together, and numbers of a value: as many sums as there are registers for.
const TOGETHER: usize = 16;

/// A number of each query.
type Lanes = [f32; TOKENS];

/// One head of queries of up to 16 tokens, of which the first sees `before` others.
#[target_feature(enable = "avx512f")]
pub(in super::super) fn attend(
    seen: &Seen,
    before: usize,
    (queries, per_row): Heads<'_>,
    scores: &mut Vec<Lanes>,
    (out, width): HeadsMut<'_>,
) {
    let queries = queries.chunks(per_row);
    let keys = before + queries.len();
    scores.resize(keys.next_multiple_of(TOGETHER), [0.0; TOKENS]);
    score(&in_lanes(queries), &seen.keys, scores);
    let sums = to_weights(before, &mut scores[..keys]);
    let mut weighed = weigh(&seen.values[..keys], scores);
    let inverse = _mm512_div_ps(_mm512_set1_ps(1.0), sums);
    for rows in &mut weighed {
        for row in rows.iter_mut() {
            *row = _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(*row), inverse));
        }
        transpose(rows);
    }
    for (query, out) in out.chunks_mut(width).enumerate() {
        for (out, rows) in out[..HEAD_DIM].as_chunks_mut::<16>().0.iter_mut().zip(&weighed) {
            // SAFETY: sixteen floats are written.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_castsi512_ps(rows[query])) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &Lanes) -> __m512 {
    // SAFETY: sixteen floats are read.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: &mut Lanes, numbers: __m512) {
    // SAFETY: sixteen floats are written.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), numbers) };
}

/// Number by number of a head, that of every query; zeros where there are fewer queries.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_lanes<'a>(queries: impl Iterator<Item = &'a [f32]>) -> [Lanes; HEAD_DIM] {
    let mut rows = [[_mm512_setzero_si512(); TOKENS]; PARTS];
    for (at, query) in queries.enumerate() {
        for (rows, numbers) in rows.iter_mut().zip(query[..HEAD_DIM].as_chunks::<16>().0) {
            rows[at] = _mm512_castps_si512(load(numbers));
        }
    }
    let mut lanes = [[0.0; TOKENS]; HEAD_DIM];
    for (lanes, rows) in lanes.as_chunks_mut::<16>().0.iter_mut().zip(&mut rows) {
        transpose(rows);
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            store(lanes, _mm512_castsi512_ps(*row));
        }
    }
    lanes
}

/// `scores[key][query] = keys[key] . queries[query]`, of whole blocks of keys.
#[inline]
#[target_feature(enable = "avx512f")]
fn score(queries: &[Lanes; HEAD_DIM], keys: &[[f32; HEAD_DIM]], scores: &mut [Lanes]) {
    let (keys, _) = keys.as_chunks::<TOGETHER>();
    for (keys, scores) in keys.iter().zip(scores.as_chunks_mut::<TOGETHER>().0) {
        let mut sums = [_mm512_setzero_ps(); TOGETHER];
        for (at, queries) in queries.iter().enumerate() {
            let queries = load(queries);
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = _mm512_fmadd_ps(queries, _mm512_set1_ps(key[at]), *sum);
            }
        }
        for (scores, sum) in scores.iter_mut().zip(sums) {
            store(scores, sum);
        }
    }
}

/// Turns scores into `exp(score - the most that the query has)` and gives each query's sum. A query's weights of tokens behind it are
/// zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn to_weights(before: usize, scores: &mut [Lanes]) -> __m512 {
    // Query `i` sees the key `before + i`, and those before it.
    let may_see = |key: usize| match key.checked_sub(before) {
        None => u16::MAX,
        Some(behind @ 0..16) => u16::MAX << behind,
        Some(_) => 0,
    };
    let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
    for (key, scores) in scores.iter().enumerate() {
        most = _mm512_mask_max_ps(most, may_see(key), most, load(scores));
    }
    let mut sums = _mm512_setzero_ps();
    for (key, scores) in scores.iter_mut().enumerate() {
        let weights = _mm512_maskz_mov_ps(may_see(key), exp(_mm512_sub_ps(load(scores), most)));
        sums = _mm512_add_ps(sums, weights);
        store(scores, weights);
    }
    sums
}

/// Of each part of a head `[number][query] = sum of values[key][number] * weights[key][query]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn weigh(values: &[[f32; HEAD_DIM]], weights: &[Lanes]) -> [[__m512i; TOGETHER]; PARTS] {
    let mut weighed = [[_mm512_setzero_si512(); TOGETHER]; PARTS];
    for (part, weighed) in weighed.iter_mut().enumerate() {
        let mut sums = [_mm512_setzero_ps(); TOGETHER];
        for (values, weights) in values.iter().zip(weights) {
            let (weights, (numbers, _)) = (load(weights), values[part * TOGETHER..].as_chunks::<TOGETHER>());
            for (sum, number) in sums.iter_mut().zip(&numbers[0]) {
                *sum = _mm512_fmadd_ps(weights, _mm512_set1_ps(*number), *sum);
            }
        }
        for (weighed, sum) in weighed.iter_mut().zip(sums) {
            *weighed = _mm512_castps_si512(sum);
        }
    }
    weighed
}
