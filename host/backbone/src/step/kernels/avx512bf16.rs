//! For CPUs with AVX-512 and its `bf16`: 32 products of `bf16` an instruction.

use std::arch::x86_64::*;

use half::bf16;

use super::avx512::{HEAD_DIM, KEYS, sums};

pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// 32 numbers in `bf16`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pair(numbers: &[bf16; 32]) -> __m512bh {
    // SAFETY: 64 bytes are read, which may be anything.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(numbers.as_ptr().cast())) }
}

/// The two registers of a key.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn halves(key: &[bf16; HEAD_DIM]) -> [__m512bh; 2] {
    let (halves, _) = key.as_chunks::<32>();
    [pair(&halves[0]), pair(&halves[1])]
}

/// `scores[query][key] = queries[query] . keys[key]`, of up to [`QUERIES`] queries, which are rounded to `bf16`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn score(queries: &[f32], keys: &[bf16], scores: &mut [f32]) {
    let (queries, _) = queries.as_chunks::<HEAD_DIM>();
    let (keys, _) = keys.as_chunks::<HEAD_DIM>();
    for (query, scores) in queries.iter().zip(scores.chunks_exact_mut(keys.len())) {
        let query = query.map(bf16::from_f32);
        let query = halves(&query);
        for (keys, scores) in keys.chunks(KEYS).zip(scores.chunks_mut(KEYS)) {
            let mut products = [_mm512_setzero_ps(); KEYS];
            for (key, sum) in keys.iter().zip(&mut products) {
                let key = halves(key);
                *sum = _mm512_dpbf16_ps(_mm512_dpbf16_ps(*sum, key[0], query[0]), key[1], query[1]);
            }
            let mask = u16::MAX >> (KEYS - keys.len());
            // SAFETY: as many floats are written as there are keys.
            unsafe { _mm512_mask_storeu_ps(scores.as_mut_ptr(), mask, sums(products)) };
        }
    }
}
