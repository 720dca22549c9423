//! Attention of the tokens of a prompt: 16 tokens' queries at a time, with 32 keys at a time.
//!
//! Scores are made with the keys as rows, `[keys, queries]`: so the keys are read where the cache has them, each query is a lane of a
//! register in all that is done to scores, and two rows of them are a line of a tile. Weights are rounded to `bf16`, as keys and values
//! are; sums are `f32`.

use std::arch::asm;
use std::arch::x86_64::*;

use half::bf16;

use super::super::HEAD_DIM;
use super::super::avx512::exp;
use super::{Configured, Line, Lines, ROWS, ZEROS, is_there, pairs, to_line, transpose};

/// Keys of a tile of weights.
const KEYS: usize = 32;

/// Tiles that the numbers of a head fill: of 32 numbers as queries and keys, of 16 as values.
const HALVES: usize = HEAD_DIM / 32;
const QUARTERS: usize = HEAD_DIM / 16;

type Numbers = [bf16; HEAD_DIM];

/// What the tokens of a sequence attend to: the keys and values of one head.
pub(in super::super::super) struct Seen<'a> {
    /// As many as fill blocks of [`KEYS`].
    keys: &'a [[Numbers; KEYS]],
    /// Those that are left, and zeros.
    last_keys: Box<[Numbers; KEYS]>,
    /// `[blocks of keys][16 dimensions, 32 keys]`, zeros where there are no more.
    values: Vec<[Lines; QUARTERS]>,
}

/// Whether this CPU, and heads of this size, are what this is for.
pub(in super::super::super) fn is_for(head_dim: usize) -> bool {
    head_dim == HEAD_DIM && is_there()
}

impl<'a> Seen<'a> {
    /// Both are `[tokens, HEAD_DIM]`.
    pub(in super::super::super) fn new(keys: &'a [bf16], values: &[bf16]) -> Self {
        assert!(is_there() && keys.len() == values.len());
        let (keys, _) = keys.as_chunks::<HEAD_DIM>();
        let (keys, rest) = keys.as_chunks::<KEYS>();
        let mut last_keys = Box::new([[bf16::ZERO; HEAD_DIM]; KEYS]);
        last_keys[..rest.len()].copy_from_slice(rest);
        let (values, _) = values.as_chunks::<HEAD_DIM>();
        let values = values.chunks(KEYS).map(|values| {
            let mut block = [[bf16::ZERO; HEAD_DIM]; KEYS];
            block[..values.len()].copy_from_slice(values);
            // SAFETY: the CPU has what the function is compiled for.
            unsafe { turned(&block) }
        });
        Self {
            keys,
            last_keys,
            values: values.collect(),
        }
    }
}

/// `[32 keys, 64 dimensions]` to four tiles of `[16 dimensions, 32 keys]`.
#[target_feature(enable = "avx512f")]
fn turned(values: &[Numbers; KEYS]) -> [Lines; QUARTERS] {
    let mut tiles = [ZEROS; QUARTERS];
    for (quarter, tile) in tiles.iter_mut().enumerate() {
        let mut rows = [_mm512_setzero_si512(); ROWS];
        for (row, [even, odd]) in rows.iter_mut().zip(values.as_chunks::<2>().0) {
            // SAFETY: sixteen numbers of two bytes are read, of 64.
            let (even, odd) = unsafe {
                (
                    _mm256_loadu_si256(even.as_ptr().add(16 * quarter).cast()),
                    _mm256_loadu_si256(odd.as_ptr().add(16 * quarter).cast()),
                )
            };
            let odd = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(odd));
            *row = _mm512_or_si512(_mm512_cvtepu16_epi32(even), odd);
        }
        transpose(&mut rows);
        for (line, row) in tile.iter_mut().zip(rows) {
            *line = Line::of(row);
        }
    }
    tiles
}

/// Attention of up to 16 tokens, one after the other, of which the first sees `before` tokens and itself, with the heads `seen`, each
/// of which `group` heads of queries share: `rows [tokens, ..]` begin with the queries, which are already divided by
/// `sqrt(HEAD_DIM)`; `out [tokens, heads HEAD_DIM]`.
pub(in super::super::super) fn attend(
    seen: &[Seen<'_>],
    group: usize,
    before: usize,
    rows: (&[f32], usize),
    out: &mut [f32],
) {
    let width = seen.len() * group * HEAD_DIM;
    let (rows, per_row) = rows;
    let tokens = out.len() / width;
    assert!((1..=ROWS).contains(&tokens) && rows.len() == tokens * per_row && per_row >= width);
    let _configured = Configured::new();
    let mut scores = Vec::new();
    for (head, start) in (0..width).step_by(HEAD_DIM).enumerate() {
        let queries = rows.chunks_exact(per_row).map(|row| &row[start..][..HEAD_DIM]);
        let out = out.chunks_exact_mut(width).map(|row| &mut row[start..][..HEAD_DIM]);
        // SAFETY: what is seen is made on such CPUs only; tiles are configured.
        unsafe { attend_one(&seen[head / group], before, queries, &mut scores, out) };
    }
}

/// Scores of 16 queries with 32 keys, `[keys, queries]`; then the weights that they become, in the first half.
type Scores = [[__m512; ROWS]; 2];

/// One head of queries.
///
/// # Safety
/// For CPUs with AVX-512, its `bf16`, and tiles, which are [`Configured`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn attend_one<'a>(
    seen: &Seen<'_>,
    before: usize,
    queries: impl ExactSizeIterator<Item = &'a [f32]>,
    scores: &mut Vec<Scores>,
    out: impl Iterator<Item = &'a mut [f32]>,
) {
    let blocks = (before + queries.len()).div_ceil(KEYS);
    scores.resize(blocks, [[_mm512_setzero_ps(); ROWS]; 2]);
    let queries = query_tiles(queries);
    // SAFETY: tiles are configured.
    unsafe { score(&queries, seen, scores) };
    let sums = to_weights(before, scores);
    let mut weighed = [[_mm512_setzero_ps(); ROWS]; QUARTERS];
    // SAFETY: likewise.
    unsafe { weigh(&seen.values[..blocks], scores, &mut weighed) };
    let inverse = _mm512_div_ps(_mm512_set1_ps(1.0), sums);
    let mut turned = [[_mm512_setzero_si512(); ROWS]; QUARTERS];
    for (turned, weighed) in turned.iter_mut().zip(weighed) {
        for (row, sums) in turned.iter_mut().zip(weighed) {
            *row = _mm512_castps_si512(_mm512_mul_ps(sums, inverse));
        }
        transpose(turned);
    }
    for (query, out) in out.enumerate() {
        for (out, turned) in out.as_chunks_mut::<16>().0.iter_mut().zip(&turned) {
            // SAFETY: sixteen floats are written.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_castsi512_ps(turned[query])) };
        }
    }
}

/// Tiles of 32 numbers of 16 queries, a line of which is a pair of numbers of every query.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn query_tiles<'a>(queries: impl Iterator<Item = &'a [f32]>) -> [Lines; HALVES] {
    let mut rows = [[_mm512_setzero_si512(); ROWS]; HALVES];
    for (at, query) in queries.enumerate() {
        for (rows, numbers) in rows.iter_mut().zip(query.as_chunks::<32>().0) {
            // SAFETY: thirty-two floats are read.
            let (first, last) = unsafe {
                (
                    _mm512_loadu_ps(numbers.as_ptr()),
                    _mm512_loadu_ps(numbers.as_ptr().add(16)),
                )
            };
            rows[at] = to_line(first, last).words();
        }
    }
    let mut tiles = [ZEROS; HALVES];
    for (tile, rows) in tiles.iter_mut().zip(&mut rows) {
        transpose(rows);
        for (line, row) in tile.iter_mut().zip(*rows) {
            *line = Line::of(row);
        }
    }
    tiles
}

/// # Safety
/// While tiles are [`Configured`].
unsafe fn score(queries: &[Lines; HALVES], seen: &Seen<'_>, scores: &mut [Scores]) {
    // SAFETY: two tiles of 1024 bytes are read.
    unsafe {
        asm!(
            "tileloadd tmm4, [{first} + {stride}*1]",
            "tileloadd tmm5, [{second} + {stride}*1]",
            first = in(reg) &raw const queries[0], second = in(reg) &raw const queries[1], stride = in(reg) size_of::<Line>(),
            options(nostack, readonly, preserves_flags)
        );
    }
    for (block, scores) in scores.iter_mut().enumerate() {
        let keys = seen.keys.get(block).unwrap_or(&seen.last_keys);
        // SAFETY: 32 keys of 128 bytes are read; two tiles of 1024 bytes are written.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tileloadd tmm2, [{keys} + {key}*1]",
                "tileloadd tmm3, [{keys} + {key}*1 + 64]",
                "tileloadd tmm6, [{keys} + {key}*1 + 2048]",
                "tileloadd tmm7, [{keys} + {key}*1 + 2112]",
                "tdpbf16ps tmm0, tmm2, tmm4",
                "tdpbf16ps tmm1, tmm6, tmm4",
                "tdpbf16ps tmm0, tmm3, tmm5",
                "tdpbf16ps tmm1, tmm7, tmm5",
                "tilestored [{scores} + {stride}*1], tmm0",
                "tilestored [{scores} + {stride}*1 + 1024], tmm1",
                keys = in(reg) keys, key = in(reg) size_of::<Numbers>(),
                scores = in(reg) scores, stride = in(reg) size_of::<Line>(),
                options(nostack, preserves_flags)
            );
        }
    }
}

/// Turns scores into `exp(score - the most that the query has)`, in `bf16` pairs of keys, and gives each query's sum. A query's weights of
/// tokens behind it are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn to_weights(before: usize, scores: &mut [Scores]) -> __m512 {
    // Query `i` sees the key `before + i`, and those before it.
    let may_see = |key: usize| match key.checked_sub(before) {
        None => u16::MAX,
        Some(behind @ 0..16) => u16::MAX << behind,
        Some(_) => 0,
    };
    let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
    for (key, scores) in scores.as_flattened().as_flattened().iter().enumerate() {
        most = _mm512_mask_max_ps(most, may_see(key), most, *scores);
    }
    let mut sums = _mm512_setzero_ps();
    let pairs = pairs();
    for (block, scores) in scores.iter_mut().enumerate() {
        let mut lines = [_mm512_setzero_ps(); ROWS];
        for (at, (line, [even, odd])) in lines
            .iter_mut()
            .zip(scores.as_flattened().as_chunks::<2>().0)
            .enumerate()
        {
            let key = block * KEYS + 2 * at;
            let even = _mm512_maskz_mov_ps(may_see(key), exp(_mm512_sub_ps(*even, most)));
            let odd = _mm512_maskz_mov_ps(may_see(key + 1), exp(_mm512_sub_ps(*odd, most)));
            sums = _mm512_add_ps(sums, _mm512_add_ps(even, odd));
            let words = _mm512_permutexvar_epi16(pairs, to_line(even, odd).words());
            *line = _mm512_castsi512_ps(words);
        }
        scores[0] = lines;
    }
    sums
}

/// `out[quarter][dimension][query] = sum of values[dimension][key] * weights[key][query]`.
///
/// # Safety
/// While tiles are [`Configured`].
unsafe fn weigh(values: &[[Lines; QUARTERS]], weights: &[Scores], out: &mut [[__m512; ROWS]; QUARTERS]) {
    // SAFETY: of each block five tiles of 1024 bytes are read; four are written.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nostack, nomem, preserves_flags)
        );
        for (values, [weights, _]) in values.iter().zip(weights) {
            asm!(
                "tileloadd tmm7, [{weights} + {stride}*1]",
                "tileloadd tmm4, [{values} + {stride}*1]",
                "tileloadd tmm5, [{values} + {stride}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm7",
                "tileloadd tmm6, [{values} + {stride}*1 + 2048]",
                "tdpbf16ps tmm1, tmm5, tmm7",
                "tileloadd tmm4, [{values} + {stride}*1 + 3072]",
                "tdpbf16ps tmm2, tmm6, tmm7",
                "tdpbf16ps tmm3, tmm4, tmm7",
                weights = in(reg) weights, values = in(reg) values, stride = in(reg) size_of::<Line>(),
                options(nostack, readonly, preserves_flags)
            );
        }
        asm!(
            "tilestored [{out} + {stride}*1], tmm0",
            "tilestored [{out} + {stride}*1 + 1024], tmm1",
            "tilestored [{out} + {stride}*1 + 2048], tmm2",
            "tilestored [{out} + {stride}*1 + 3072], tmm3",
            out = in(reg) out, stride = in(reg) size_of::<Line>(),
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::prompts_attend;
    use super::{HEAD_DIM, Seen, attend, is_for};

    #[test]
    fn tokens_attend_to_those_before_them_and_to_themselves() {
        if !is_for(HEAD_DIM) {
            return;
        }
        // Weights of up to one are rounded to eight bits.
        prompts_attend(4e-3, |heads, group, before, rows, out| {
            let seen: Vec<_> = heads.iter().map(|(keys, values)| Seen::new(keys, values)).collect();
            attend(&seen, group, before, rows, out);
        });
    }
}
