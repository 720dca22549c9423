//! The loops of a step. What takes the time has a form for AVX2 (in [`avx2`]), one for AVX-512 (in [`avx512`]) and one for any CPU; the others are
//! plain loops, compiled for several kinds of CPU, of which the best is chosen when the program runs. Products of tiles are in [`amx`], those of
//! whole numbers in [`whole`], and the attention of prompts in [`prompt`].

use multiversion::multiversion;

use super::blocks::{BLOCK, Block, GROUP};
use crate::cpu::math::{exp, softmax};
use crate::cpu::memory::Element;

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) mod prompt;
pub(super) mod whole;

/// Numbers that are added up side by side: sums of floats may not be reordered by a compiler, so the order is chosen here.
const LANES: usize = 8;

/// Numbers of a head: what most small models have, and what some loops are written for.
#[cfg(target_arch = "x86_64")]
const HEAD_DIM: usize = 64;

/// `out[row][column] = x[row] . weights[column]`, for the columns of some groups; the last may have fewer. `x [rows, width]`.
pub(super) fn multiply<B: Block>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { avx512::multiply(groups, x, width, out) };
    }
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: likewise.
        return unsafe { avx2::multiply(groups, x, width, out) };
    }
    multiply_portable(groups, x, width, out);
}

fn multiply_portable<B: Block>(groups: &[[B; GROUP]], x: &[f32], width: usize, out: &mut [&mut [f32]]) {
    for (x, out) in x.chunks_exact(width).zip(out) {
        let (x, _) = x.as_chunks::<BLOCK>();
        for (out, group) in out.chunks_mut(GROUP).zip(groups.chunks_exact(x.len())) {
            for (column, out) in out.iter_mut().enumerate() {
                let products = group
                    .iter()
                    .zip(x)
                    .map(|(blocks, x)| dot_portable(&blocks[column].decode(), x));
                *out = products.sum();
            }
        }
    }
}

/// The sum of products; the length is a multiple of [`LANES`].
fn dot<E: Element>(a: &[f32], b: &[E]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { avx2::dot(a, b) };
    }
    dot_portable(a, b)
}

fn dot_portable<E: Element>(a: &[f32], b: &[E]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b.to_f32();
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// `x / sqrt(mean(x^2) + eps) * weight` (Zhang & Sennrich, arXiv 1910.07467).
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f64, out: &mut [f32]) {
    let scale = (f64::from(dot(x, x)) / x.len() as f64 + eps).sqrt().recip() as f32;
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

/// `silu(gate) * up`; of `both`, so many numbers are gates, the next ones what they are for, and so on.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn gate(both: &[f32], turns: usize, out: &mut [f32]) {
    for (both, out) in both.chunks_exact(2 * turns).zip(out.chunks_exact_mut(turns)) {
        let (gate, up) = both.split_at(turns);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

/// Turns one head, whose pairs are the places `i` and `i + head_dim / 2`; `sin` has the signs of [`crate::rope::RotaryTable`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn turn<E: Element>(head: &mut [f32], cos: &[E], sin: &[E]) {
    let half = head.len() / 2;
    let (first, second) = head.split_at_mut(half);
    for (i, (a, b)) in first.iter_mut().zip(second).enumerate() {
        let (x, y) = (*a, *b);
        *a = x * cos[i].to_f32() + y * sin[i].to_f32();
        *b = y * cos[half + i].to_f32() + x * sin[half + i].to_f32();
    }
}

/// Attention of the query heads of one group, over the keys and values that they share: `queries [group, head_dim]`, already
/// divided by `sqrt(head_dim)`, `keys` and `values [tokens, head_dim]`, `scores [group, tokens]` to work in, `out [group, head_dim]`.
pub(super) fn attend<E: Element>(
    queries: &[f32],
    keys: &[E],
    values: &[E],
    head_dim: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let tokens = keys.len() / head_dim;
    #[cfg(target_arch = "x86_64")]
    if head_dim == HEAD_DIM && (avx512::is_there() || avx2::is_there()) {
        let most = if avx512::is_there() {
            avx512::QUERIES
        } else {
            avx2::QUERIES
        };
        for (queries, out) in queries.chunks(most * head_dim).zip(out.chunks_mut(most * head_dim)) {
            let scores = &mut scores[..queries.len() / head_dim * tokens];
            // SAFETY: the CPU has what the functions are compiled for.
            unsafe {
                if avx512::is_there() {
                    avx512::score(queries, keys, scores);
                } else {
                    avx2::score(queries, keys, scores);
                }
            }
            scores.chunks_exact_mut(tokens).for_each(softmax);
            // SAFETY: likewise.
            unsafe {
                if avx512::is_there() {
                    avx512::weigh(values, scores, out);
                } else {
                    avx2::weigh(values, scores, out);
                }
            }
        }
        return;
    }
    for (token, key) in keys.chunks_exact(head_dim).enumerate() {
        for (query, scores) in queries.chunks_exact(head_dim).zip(scores.chunks_exact_mut(tokens)) {
            scores[token] = dot(query, key);
        }
    }
    for scores in scores.chunks_exact_mut(tokens) {
        softmax(scores);
    }
    out.fill(0.0);
    for (out, scores) in out.chunks_exact_mut(head_dim).zip(scores.chunks_exact(tokens)) {
        add_weighted(values, scores, out);
    }
}

/// `out += sum of scores[token] * values[token]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_weighted<E: Element>(values: &[E], scores: &[f32], out: &mut [f32]) {
    for (value, score) in values.chunks_exact(out.len()).zip(scores) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += score * value.to_f32();
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::super::blocks::{BLOCK, Block, Block4, Block8, pack};
    use super::{attend, dot, dot_portable, gate, multiply, multiply_portable, rms_norm};
    use crate::cpu::memory::Element;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + seed) * 1.618).sin()).collect()
    }

    /// Any number of rows and columns is what products of the decoded weights are, on any CPU.
    fn products<B: Block>() {
        let width = 3 * BLOCK;
        for (rows, columns) in [
            (1, 1),
            (1, 4),
            (1, 7),
            (2, 3),
            (3, 5),
            (4, 2),
            (5, 9),
            (6, 8),
            (9, 6),
            (8, 21),
        ] {
            let weights = numbers(columns * width, 0.3);
            let (blocks, _) = weights.as_chunks::<BLOCK>();
            let decoded: Vec<f32> = blocks.iter().flat_map(|block| B::encode(block).decode()).collect();
            let groups = pack::<B>(&weights, width);
            let x = numbers(rows * width, 7.1);
            for multiply in [multiply::<B>, multiply_portable::<B>] {
                let mut out = vec![f32::NAN; rows * columns];
                multiply(&groups, &x, width, &mut out.chunks_mut(columns).collect::<Vec<_>>());
                for (row, x) in x.chunks(width).enumerate() {
                    for (column, weights) in decoded.chunks(width).enumerate() {
                        let expected: f64 = x.iter().zip(weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                        let found = f64::from(out[row * columns + column]);
                        assert!(
                            (found - expected).abs() < 1e-4,
                            "{rows} x {columns}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
    }

    /// Answers must not depend on what else is in a step.
    #[test]
    fn a_product_is_the_same_beside_any_others() {
        let (width, columns) = (5 * BLOCK, 21);
        let groups = pack::<Block4>(&numbers(columns * width, 0.9), width);
        let x = numbers(17 * width, 3.3);
        let products = |x: &[f32]| {
            let mut out = vec![f32::NAN; x.len() / width * columns];
            multiply(&groups, x, width, &mut out.chunks_mut(columns).collect::<Vec<_>>());
            out
        };
        let alone: Vec<f32> = x.chunks(width).flat_map(products).collect();
        for together in [2, 3, 5, 6, 7, 9, 17] {
            let found: Vec<f32> = x.chunks(together * width).flat_map(products).collect();
            assert_eq!(found, alone, "{together} at once");
        }
    }

    #[test]
    fn products_with_weights_of_four_and_eight_bits() {
        products::<Block4>();
        products::<Block8>();
    }

    #[test]
    fn sums_of_products_are_the_same_on_every_cpu() {
        let (a, b) = (numbers(48, 0.5), numbers(48, 9.0));
        assert!((dot(&a, &b) - dot_portable(&a, &b)).abs() < 1e-5);
        let b: Vec<bf16> = b.into_iter().map(bf16::from_f32).collect();
        assert!((dot(&a, &b) - dot_portable(&a, &b)).abs() < 1e-5);
    }

    #[test]
    fn norm_and_gate_follow_their_formulas() {
        let (x, weight) = (numbers(24, 0.0), numbers(24, 5.0));
        let mut out = vec![0.0; 24];
        rms_norm(&x, &weight, 1e-5, &mut out);
        let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 24.0;
        for ((out, x), weight) in out.iter().zip(&x).zip(&weight) {
            assert!((f64::from(*out) - f64::from(*x) / (mean + 1e-5).sqrt() * f64::from(*weight)).abs() < 1e-6);
        }
        for turns in [4, 24] {
            let both: Vec<f32> = x
                .chunks(turns)
                .zip(weight.chunks(turns))
                .flat_map(|(x, up)| [x, up].concat())
                .collect();
            gate(&both, turns, &mut out);
            for ((out, x), up) in out.iter().zip(&x).zip(&weight) {
                let x = f64::from(*x);
                assert!((f64::from(*out) - x / (1.0 + (-x).exp()) * f64::from(*up)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn attention_is_a_mean_of_the_values() {
        // The second has more keys and queries than AVX-512 takes at once.
        for (group, tokens, head_dim) in [(3, 5, 8), (6, 37, 64), (1, 1, 64)] {
            attention::<bf16>(group, tokens, head_dim);
            attention::<f32>(group, tokens, head_dim);
        }
    }

    /// Attention of the tokens of a prompt: of heads of queries, of which `GROUP` share keys and values, `attend` gets the keys and values
    /// of each group, how many tokens are before those that attend, the rows of these, and room.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn prompts_attend(
        tolerance: f64,
        attend: impl Fn(&[(Vec<bf16>, Vec<bf16>)], usize, usize, (&[f32], usize), &mut [f32]),
    ) {
        const GROUP: usize = 3;
        use super::HEAD_DIM;
        let rounded = |count, seed| -> Vec<bf16> { numbers(count, seed).into_iter().map(bf16::from_f32).collect() };
        // One block of keys and several, whole ones and not, and as many queries as attend together and fewer.
        for (before, tokens) in [(0, 1), (0, 16), (1, 16), (16, 16), (20, 13), (31, 2), (64, 16), (97, 5)] {
            let all = before + tokens;
            let heads = [1.0, 2.0].map(|seed| (rounded(all * HEAD_DIM, seed), rounded(all * HEAD_DIM, seed + 5.0)));
            let width = heads.len() * GROUP * HEAD_DIM;
            // Behind the queries of a row lie its keys and values.
            let per_row = width + 7;
            let rows: Vec<f32> = rounded(tokens * per_row, 3.0).into_iter().map(bf16::to_f32).collect();
            let mut out = vec![f32::NAN; tokens * width];
            attend(&heads, GROUP, before, (&rows, per_row), &mut out);
            for (token, (row, out)) in rows.chunks(per_row).zip(out.chunks(width)).enumerate() {
                let sees = (before + token + 1) * HEAD_DIM;
                for (head, found) in out.chunks(HEAD_DIM).enumerate() {
                    let (keys, values) = &heads[head / GROUP];
                    let query = &row[head * HEAD_DIM..][..HEAD_DIM];
                    for (found, expected) in found.iter().zip(expected(query, &keys[..sees], &values[..sees])) {
                        assert!(
                            (f64::from(*found) - expected).abs() < tolerance,
                            "{token} after {before}, head {head}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
    }

    /// What CPUs without AVX-512 do, on one with it, too.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn attention_with_avx2_is_a_mean_of_the_values() {
        use super::{HEAD_DIM, avx2, softmax};
        if !avx2::is_there() {
            return;
        }
        for (count, tokens) in [(1, 1), (2, 4), (avx2::QUERIES, 37)] {
            let rounded = |count, seed| -> Vec<bf16> { numbers(count, seed).into_iter().map(bf16::from_f32).collect() };
            let queries = numbers(count * HEAD_DIM, 1.0);
            let (keys, values) = (rounded(tokens * HEAD_DIM, 2.0), rounded(tokens * HEAD_DIM, 3.0));
            let (mut scores, mut out) = (vec![0.0; count * tokens], vec![f32::NAN; count * HEAD_DIM]);
            // SAFETY: the CPU has what the functions are compiled for.
            unsafe { avx2::score(&queries, &keys, &mut scores) };
            scores.chunks_exact_mut(tokens).for_each(softmax);
            // SAFETY: likewise.
            unsafe { avx2::weigh(&values, &scores, &mut out) };
            for (query, out) in queries.chunks(HEAD_DIM).zip(out.chunks(HEAD_DIM)) {
                for (found, expected) in out.iter().zip(expected(query, &keys, &values)) {
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
                }
            }
        }
    }

    /// What the formula says.
    fn expected<E: Element>(query: &[f32], keys: &[E], values: &[E]) -> Vec<f64> {
        let weights = keys.chunks(query.len()).map(|key| {
            let products = query
                .iter()
                .zip(key)
                .map(|(q, k)| f64::from(*q) * f64::from(k.to_f32()));
            products.sum::<f64>().exp()
        });
        let weights: Vec<f64> = weights.collect();
        let total: f64 = weights.iter().sum();
        let mut out = vec![0.0; query.len()];
        for (value, weight) in values.chunks(query.len()).zip(weights) {
            out.iter_mut()
                .zip(value)
                .for_each(|(out, value)| *out += weight / total * f64::from(value.to_f32()));
        }
        out
    }

    fn attention<E: Element>(group: usize, tokens: usize, head_dim: usize) {
        // CPUs that multiply `bf16` round the queries to it.
        let queries = numbers(group * head_dim, 1.0).into_iter();
        let queries: Vec<f32> = queries.map(|query| bf16::from_f32(query).to_f32()).collect();
        let of = |seed| {
            numbers(tokens * head_dim, seed)
                .into_iter()
                .map(E::from_f32)
                .collect::<Vec<_>>()
        };
        let (keys, values) = (of(2.0), of(3.0));
        let (mut scores, mut out) = (vec![0.0; group * tokens], vec![f32::NAN; group * head_dim]);
        attend(&queries, &keys, &values, head_dim, &mut scores, &mut out);
        for (query, out) in queries.chunks(head_dim).zip(out.chunks(head_dim)) {
            for (found, expected) in out.iter().zip(expected(query, &keys, &values)) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
            }
        }
    }
}
