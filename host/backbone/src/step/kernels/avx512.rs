//! For CPUs with AVX-512: sixteen floats a register, and enough registers for the sums of 24 products.

use std::arch::x86_64::*;

use super::super::blocks::{BLOCK, Block, GROUP};
use super::HEAD_DIM;
use super::avx2::ask_for;
use crate::cpu::memory::Element;

pub(super) mod attention;

/// Up to how many inputs are multiplied as the columns are unpacked. For more, columns are unpacked into memory first, once for all.
const TOGETHER: usize = 6;

/// Groups of columns, and inputs, that are multiplied together once they are unpacked.
const GROUPS: usize = 2;
const ROWS: usize = 3;

/// Registers of a head.
const PARTS: usize = HEAD_DIM / 16;

/// Most queries that are looked at together: as many as there are registers for.
pub(super) const QUERIES: usize = 4;

/// Keys whose scores are summed up together.
pub(super) const KEYS: usize = 16;

pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// [`super::multiply`]. A product is the same sum in the same order however many inputs there are.
#[target_feature(enable = "avx512f")]
pub(super) fn multiply<B: Block>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    match out.len() {
        0 => {}
        1 => packed::<B, 1>(groups, x, width, out),
        2 => packed::<B, 2>(groups, x, width, out),
        3 => packed::<B, 3>(groups, x, width, out),
        4 => packed::<B, 4>(groups, x, width, out),
        5 => packed::<B, 5>(groups, x, width, out),
        TOGETHER => packed::<B, TOGETHER>(groups, x, width, out),
        _ => unpacked(groups, x, width, out),
    }
}

/// Unpacks and multiplies at once.
#[inline]
#[target_feature(enable = "avx512f")]
fn packed<B: Block, const COUNT: usize>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    assert!(
        x.len() == COUNT * width && out.len() == COUNT,
        "inputs of another width"
    );
    for (index, group) in groups.chunks_exact(width / BLOCK).enumerate() {
        let mut sums = [[_mm512_setzero_ps(); GROUP]; COUNT];
        for (place, blocks) in group.iter().enumerate() {
            ask_for(blocks);
            for (column, block) in blocks.iter().enumerate() {
                // SAFETY: this function is for CPUs with AVX-512, too.
                let weights = unsafe { block.decode_avx512() };
                for (half, weights) in weights.into_iter().enumerate() {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let at = row * width + place * BLOCK + half * 16;
                        // SAFETY: a row has as many blocks as the group.
                        let x = unsafe { _mm512_loadu_ps(x.as_ptr().add(at)) };
                        sums[column] = _mm512_fmadd_ps(weights, x, sums[column]);
                    }
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            store(out, index, totals(sums));
        }
    }
}

/// Unpacks some columns, and multiplies them with all inputs.
#[target_feature(enable = "avx512f")]
fn unpacked<B: Block>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    let mut weights = vec![0.0; GROUPS * GROUP * width];
    for (pair, groups) in groups.chunks(GROUPS * (width / BLOCK)).enumerate() {
        let count = groups.len() / (width / BLOCK);
        for (group, weights) in groups
            .chunks_exact(width / BLOCK)
            .zip(weights.chunks_exact_mut(GROUP * width))
        {
            unpack(group, weights);
        }
        let first = pair * GROUPS;
        let weights = &weights[..count * GROUP * width];
        let rows = x.chunks_exact(ROWS * width);
        let (out_rows, out_rest) = out.as_chunks_mut::<ROWS>();
        for (x, out) in rows.remainder().chunks_exact(width).zip(out_rest) {
            for (group, weights) in weights.chunks_exact(GROUP * width).enumerate() {
                let [[sums]] = dense::<1, 1>(x, weights);
                store(out, first + group, sums);
            }
        }
        for (x, out) in rows.zip(out_rows) {
            if count == GROUPS {
                for (out, sums) in out.iter_mut().zip(dense::<ROWS, GROUPS>(x, weights)) {
                    for (group, sums) in sums.into_iter().enumerate() {
                        store(out, first + group, sums);
                    }
                }
            } else {
                for (out, [sums]) in out.iter_mut().zip(dense::<ROWS, 1>(x, weights)) {
                    store(out, first, sums);
                }
            }
        }
    }
}

/// The weights of one group, column after column.
#[inline]
#[target_feature(enable = "avx512f")]
fn unpack<B: Block>(group: &[[B; GROUP]], weights: &mut [f32]) {
    let width = group.len() * BLOCK;
    for (place, blocks) in group.iter().enumerate() {
        ask_for(blocks);
        for (column, block) in blocks.iter().enumerate() {
            // SAFETY: this function is for CPUs with AVX-512, too.
            let decoded = unsafe { block.decode_avx512() };
            let weights = &mut weights[column * width + place * BLOCK..][..BLOCK];
            for (weights, decoded) in weights.as_chunks_mut::<16>().0.iter_mut().zip(decoded) {
                // SAFETY: sixteen floats are written.
                unsafe { _mm512_storeu_ps(weights.as_mut_ptr(), decoded) };
            }
        }
    }
}

/// The products of some inputs, `[COUNT, width]`, with the columns of some groups, `[OF, GROUP, width]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn dense<const COUNT: usize, const OF: usize>(x: &[f32], weights: &[f32]) -> [[__m128; OF]; COUNT] {
    let width = weights.len() / (OF * GROUP);
    assert!(
        x.len() == COUNT * width && width.is_multiple_of(16),
        "inputs of another width"
    );
    let mut sums = [[[_mm512_setzero_ps(); GROUP]; OF]; COUNT];
    for at in (0..width).step_by(16) {
        let mut inputs = [_mm512_setzero_ps(); COUNT];
        for (row, input) in inputs.iter_mut().enumerate() {
            // SAFETY: `at + 16 <= width`, and there are `COUNT` times as many numbers.
            *input = unsafe { _mm512_loadu_ps(x.as_ptr().add(row * width + at)) };
        }
        for group in 0..OF {
            for column in 0..GROUP {
                let from = (group * GROUP + column) * width + at;
                // SAFETY: likewise, `OF * GROUP` times as many.
                let weights = unsafe { _mm512_loadu_ps(weights.as_ptr().add(from)) };
                for (sums, input) in sums.iter_mut().zip(inputs) {
                    sums[group][column] = _mm512_fmadd_ps(weights, input, sums[group][column]);
                }
            }
        }
    }
    let mut all = [[_mm_setzero_ps(); OF]; COUNT];
    for (all, sums) in all.iter_mut().zip(sums) {
        for (all, sums) in all.iter_mut().zip(sums) {
            *all = totals(sums);
        }
    }
    all
}

/// The sum of each register.
#[inline]
#[target_feature(enable = "avx512f")]
fn totals(registers: [__m512; GROUP]) -> __m128 {
    let sixteen = in_fours(registers);
    let upper = _mm512_castps_pd(sixteen);
    let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(upper));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), upper);
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// Writes the sums of one group; the last may have fewer columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32], group: usize, sums: __m128) {
    let out = &mut out[group * GROUP..];
    let mut four = [0.0; GROUP];
    // SAFETY: four floats are written.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), sums) };
    match out.first_chunk_mut::<GROUP>() {
        Some(out) => *out = four,
        None => out.iter_mut().zip(four).for_each(|(out, sum)| *out = sum),
    }
}

/// `scores[query][key] = queries[query] . keys[key]`, of up to [`QUERIES`] queries.
#[target_feature(enable = "avx512f")]
pub(super) fn score<E: Element>(queries: &[f32], keys: &[E], scores: &mut [f32]) {
    match queries.len() / HEAD_DIM {
        1 => score_of::<E, 1>(queries, keys, scores),
        2 => score_of::<E, 2>(queries, keys, scores),
        3 => score_of::<E, 3>(queries, keys, scores),
        _ => score_of::<E, QUERIES>(queries, keys, scores),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn score_of<E: Element, const COUNT: usize>(queries: &[f32], keys: &[E], scores: &mut [f32]) {
    let (keys, _) = keys.as_chunks::<HEAD_DIM>();
    assert!(queries.len() == COUNT * HEAD_DIM && scores.len() == COUNT * keys.len());
    let mut parts = [[_mm512_setzero_ps(); PARTS]; COUNT];
    for (parts, query) in parts.iter_mut().zip(queries.as_chunks::<HEAD_DIM>().0) {
        for (part, numbers) in parts.iter_mut().zip(query.as_chunks::<16>().0) {
            // SAFETY: sixteen floats are read.
            *part = unsafe { _mm512_loadu_ps(numbers.as_ptr()) };
        }
    }
    for (at, some) in (0..).step_by(KEYS).zip(keys.chunks(KEYS)) {
        let mut products = [[_mm512_setzero_ps(); KEYS]; COUNT];
        for (place, key) in some.iter().enumerate() {
            for (part, numbers) in key.as_chunks::<16>().0.iter().enumerate() {
                // SAFETY: this function is for CPUs with AVX-512, too.
                let numbers = unsafe { E::load_avx512(numbers) };
                for (products, query) in products.iter_mut().zip(&parts) {
                    products[place] = _mm512_fmadd_ps(query[part], numbers, products[place]);
                }
            }
        }
        for (products, scores) in products.into_iter().zip(scores.chunks_exact_mut(keys.len())) {
            let scores = &mut scores[at..at + some.len()];
            let mask = u16::MAX >> (KEYS - scores.len());
            // SAFETY: as many floats are written as there are keys.
            unsafe { _mm512_mask_storeu_ps(scores.as_mut_ptr(), mask, sums(products)) };
        }
    }
}

/// `out[query] = sum of scores[query][token] * values[token]`, of up to [`QUERIES`] queries.
#[target_feature(enable = "avx512f")]
pub(super) fn weigh<E: Element>(values: &[E], scores: &[f32], out: &mut [f32]) {
    match out.len() / HEAD_DIM {
        1 => weigh_of::<E, 1>(values, scores, out),
        2 => weigh_of::<E, 2>(values, scores, out),
        3 => weigh_of::<E, 3>(values, scores, out),
        _ => weigh_of::<E, QUERIES>(values, scores, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn weigh_of<E: Element, const COUNT: usize>(values: &[E], scores: &[f32], out: &mut [f32]) {
    let (values, _) = values.as_chunks::<HEAD_DIM>();
    assert!(scores.len() == COUNT * values.len() && out.len() == COUNT * HEAD_DIM);
    let mut sums = [[_mm512_setzero_ps(); PARTS]; COUNT];
    for (token, value) in values.iter().enumerate() {
        let mut parts = [_mm512_setzero_ps(); PARTS];
        for (part, numbers) in parts.iter_mut().zip(value.as_chunks::<16>().0) {
            // SAFETY: this function is for CPUs with AVX-512, too.
            *part = unsafe { E::load_avx512(numbers) };
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

/// The sum of each register.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sums(registers: [__m512; 16]) -> __m512 {
    // Of each four registers a quarter of each sum in every four lanes, then halves, then the sums.
    let mut quarters = [_mm512_setzero_ps(); 4];
    for (quarters, registers) in quarters.iter_mut().zip(registers.as_chunks().0) {
        *quarters = in_fours(*registers);
    }
    let [a, b, c, d] = quarters;
    let (first, second) = (of_pairs(a, b), of_pairs(c, d));
    of_pairs(first, second)
}

/// Of each four lanes their sum in each of four registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_fours([a, b, c, d]: [__m512; GROUP]) -> __m512 {
    // Of each four lanes the sums of the first and third, and of the second and fourth, of two registers in turns; then all four.
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
    _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
}

/// The first four lanes and the next four, the third and the last, of two registers one after the other.
#[inline]
#[target_feature(enable = "avx512f")]
fn of_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
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

/// Writes the sums of 16 columns; there may be room for fewer.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_columns(out: &mut [f32], group: usize, sums: __m512) {
    let out = out.get_mut(group * 16..).unwrap_or_default();
    let mask = if out.len() < 16 { (1 << out.len()) - 1 } else { u16::MAX };
    // SAFETY: as many floats are written as there is room for, up to sixteen.
    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, sums) };
}

/// `silu(gate) * value`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn gate(gate: __m512, value: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let scale = _mm512_add_ps(one, exp(_mm512_sub_ps(_mm512_setzero_ps(), gate)));
    _mm512_mul_ps(_mm512_div_ps(gate, scale), value)
}

/// `e^x` to a relative error of 3e-6, which is less than a hundredth of what rounding to `bf16` adds, for where that is done: a power of two, times the series of
/// two to the power of the rest, which is at most a half.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn exp(x: __m512) -> __m512 {
    let power = _mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E));
    let whole = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(power);
    let rest = _mm512_sub_ps(power, whole);
    let mut sum = _mm512_set1_ps(1.333_355_8e-3);
    for coefficient in [9.618_129e-3, 5.550_411e-2, 0.240_226_5, std::f32::consts::LN_2, 1.0] {
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(coefficient));
    }
    _mm512_scalef_ps(sum, whole)
}

#[cfg(test)]
mod tests {
    use std::arch::x86_64::*;

    use super::{exp, is_there};

    #[test]
    fn weights_follow_the_exponential_function() {
        if !is_there() {
            return;
        }
        for step in 0..2000 {
            let x = -f64::from(step) / 25.0;
            let mut found = [0.0_f32; 16];
            // SAFETY: the CPU has what the function is compiled for; sixteen floats are written.
            unsafe {
                let of = exp(_mm512_set1_ps(x as f32));
                _mm512_storeu_ps(found.as_mut_ptr(), of);
            }
            let off = f64::from(found[0]) / f64::from(x as f32).exp() - 1.0;
            assert!(off.abs() < 1e-5, "exp({x}) is off by {off}");
        }
    }
}
