//! For CPUs with AVX-512 and its `bf16`: 16 floats a register, and 32 products of `bf16` an instruction.

use std::arch::x86_64::*;

use half::bf16;

/// Numbers of a head: what most small models have.
pub(super) const HEAD_DIM: usize = 64;

/// Most queries that are looked at together: as many as there are registers for.
pub(super) const QUERIES: usize = 4;

/// Keys whose scores are summed up together.
const KEYS: usize = 16;

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
            let mut sums = [_mm512_setzero_ps(); KEYS];
            for (key, sum) in keys.iter().zip(&mut sums) {
                let key = halves(key);
                *sum = _mm512_dpbf16_ps(_mm512_dpbf16_ps(*sum, key[0], query[0]), key[1], query[1]);
            }
            let mask = u16::MAX >> (KEYS - keys.len());
            // SAFETY: as many floats are written as there are keys.
            unsafe { _mm512_mask_storeu_ps(scores.as_mut_ptr(), mask, totals(sums)) };
        }
    }
}

/// The sum of each register.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn totals(sums: [__m512; 16]) -> __m512 {
    // Not `map`: closures are not compiled for the CPU that their function is compiled for.
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, sum) in rows.iter_mut().zip(sums) {
        *row = _mm512_castps_si512(sum);
    }
    transpose(&mut rows);
    let mut total = _mm512_setzero_ps();
    for row in rows {
        total = _mm512_add_ps(total, _mm512_castsi512_ps(row));
    }
    total
}

/// `out[query] = sum of scores[query][token] * values[token]`, of up to [`QUERIES`] queries.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn weigh(values: &[bf16], scores: &[f32], out: &mut [f32]) {
    match out.len() / HEAD_DIM {
        1 => weigh_of::<1>(values, scores, out),
        2 => weigh_of::<2>(values, scores, out),
        3 => weigh_of::<3>(values, scores, out),
        _ => weigh_of::<QUERIES>(values, scores, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn weigh_of<const COUNT: usize>(values: &[bf16], scores: &[f32], out: &mut [f32]) {
    const PARTS: usize = HEAD_DIM / 16;
    let (values, _) = values.as_chunks::<HEAD_DIM>();
    assert!(scores.len() == COUNT * values.len() && out.len() == COUNT * HEAD_DIM);
    let mut sums = [[_mm512_setzero_ps(); PARTS]; COUNT];
    for (token, value) in values.iter().enumerate() {
        let mut parts = [_mm512_setzero_ps(); PARTS];
        for (part, numbers) in parts.iter_mut().zip(value.as_chunks::<16>().0) {
            // SAFETY: sixteen numbers of two bytes are read.
            let bits = unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) };
            *part = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)));
        }
        for (query, sums) in sums.iter_mut().enumerate() {
            let score = _mm512_set1_ps(scores[query * values.len() + token]);
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = _mm512_fmadd_ps(part, score, *sum);
            }
        }
    }
    for (out, sums) in out.as_chunks_mut::<HEAD_DIM>().0.iter_mut().zip(sums) {
        for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
            // SAFETY: sixteen floats are written.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}

/// Turns 16 rows of 16 numbers of 32 bits into 16 columns.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: &mut [__m512i; 16]) {
    // Each step exchanges the halves of ever larger squares, at first of two numbers, then of two pairs.
    for base in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[base], rows[base + 1], rows[base + 2], rows[base + 3]];
        let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        rows[base] = _mm512_unpacklo_epi64(ab_low, cd_low);
        rows[base + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
        rows[base + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
        rows[base + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    // Now quarters of registers are done, and change places as a 4 x 4 square.
    for place in 0..4 {
        let [a, b, c, d] = [rows[place], rows[place + 4], rows[place + 8], rows[place + 12]];
        let (ab_even, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        rows[place] = _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even);
        rows[place + 4] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        rows[place + 8] = _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even);
        rows[place + 12] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
}
