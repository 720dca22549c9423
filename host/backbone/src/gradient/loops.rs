//! What lies between two products of matrices, forwards and backwards: plain loops over rows, in `f32` whatever the numbers are held in,
//! compiled for several kinds of CPU, of which the best is chosen when the program runs.

use multiversion::multiversion;

use crate::cpu::math::{exp, products, softmax};
use crate::cpu::memory::Element;

/// How a layer's gates open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// `x sigmoid(x)`.
    Silu,
    /// GELU's tanh form, `x / 2 (1 + tanh(u))` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`, which is `x sigmoid(2 u)`.
    Gelu,
}

impl Gate {
    /// Both are `x sigmoid(s)`: `s`, and its slope.
    #[inline(always)]
    fn inner(self, x: f32) -> (f32, f32) {
        const TWICE: f32 = 2.0 * 0.797_884_6;
        const CUBIC: f32 = 0.044_715;
        match self {
            Self::Silu => (x, 1.0),
            Self::Gelu => (TWICE * (x + CUBIC * x * x * x), TWICE * (1.0 + 3.0 * CUBIC * x * x)),
        }
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` of each row (Zhang & Sennrich, arXiv 1910.07467).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn norm<E: Element>(x: &[E], weight: &[f32], eps: f64, out: &mut [E]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let scale = inverse_rms(x, eps);
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = E::from_f32(x.to_f32() * scale * weight);
        }
    }
}

/// Adds to `total` the gradient that `out` hands back through [`norm`] of `x`, and rounds it to `rounded`.
///
/// With `r = 1 / sqrt(mean(x^2) + eps)` and `a = out weight` it is `r a - x r^3 mean(a x)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn norm_back<E: Element>(
    x: &[E],
    weight: &[f32],
    eps: f64,
    out: &[E],
    (total, rounded): (&mut [f32], &mut [E]),
) {
    let width = weight.len();
    let mut scaled = vec![0.0; width];
    let rows = x.chunks_exact(width).zip(out.chunks_exact(width));
    let totals = total.chunks_exact_mut(width).zip(rounded.chunks_exact_mut(width));
    for ((x, out), (total, rounded)) in rows.zip(totals) {
        for ((scaled, out), weight) in scaled.iter_mut().zip(out).zip(weight) {
            *scaled = out.to_f32() * weight;
        }
        let scale = inverse_rms(x, eps);
        let back = scale * scale * scale * products(&scaled, x) / width as f32;
        for (((scaled, x), total), rounded) in scaled.iter().zip(x).zip(total).zip(rounded) {
            *total += scaled * scale - x.to_f32() * back;
            *rounded = E::from_f32(*total);
        }
    }
}

#[inline(always)]
fn inverse_rms<E: Element>(x: &[E], eps: f64) -> f32 {
    (f64::from(products(x, x)) / x.len() as f64 + eps).sqrt().recip() as f32
}

/// `gate(g) u` of rows that are `width` numbers `g`, then as many `u`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn open<E: Element>(gate: Gate, both: &[E], width: usize, out: &mut [E]) {
    for (both, out) in both.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gates, ups) = both.split_at(width);
        for ((out, g), up) in out.iter_mut().zip(gates).zip(ups) {
            let g = g.to_f32();
            let (inner, _) = gate.inner(g);
            *out = E::from_f32(g / (1.0 + exp(-inner)) * up.to_f32());
        }
    }
}

/// Puts in place of the `g` and `u` of [`open`] the gradients that `out` hands back to them.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn open_back<E: Element>(gate: Gate, out: &[E], width: usize, both: &mut [E]) {
    for (both, out) in both.chunks_exact_mut(2 * width).zip(out.chunks_exact(width)) {
        let (gates, ups) = both.split_at_mut(width);
        for ((out, g), up) in out.iter().zip(gates).zip(ups) {
            let (x, u, out) = (g.to_f32(), up.to_f32(), out.to_f32());
            let (inner, slope) = gate.inner(x);
            let sigmoid = 1.0 / (1.0 + exp(-inner));
            *up = E::from_f32(out * x * sigmoid);
            *g = E::from_f32(out * u * sigmoid * (1.0 + x * slope * (1.0 - sigmoid)));
        }
    }
}

/// The softmax of each row of a square of scores, over the keys up to the row's own; the others get no weight.
pub(super) fn weigh<E: Element>(scores: &mut [E], keys: usize) {
    let mut room = vec![0.0; keys];
    for (token, scores) in scores.chunks_exact_mut(keys).enumerate() {
        let (seen, rest) = scores.split_at_mut(token + 1);
        let room = &mut room[..=token];
        convert(seen, room);
        softmax(room);
        round(room, seen);
        rest.fill(E::from_f32(0.0));
    }
}

/// The negative log-likelihood of one of the tokens. With a weight, the gradient of that much of it takes the place of the logits.
pub(super) fn cross_entropy<E: Element>(logits: &mut [E], label: usize, weight: Option<f32>) -> f32 {
    let mut shares = vec![0.0; logits.len()];
    convert(logits, &mut shares);
    softmax(&mut shares);
    let loss = -shares[label].ln();
    if let Some(weight) = weight {
        shares[label] -= 1.0;
        scale(&mut shares, weight);
        round(&shares, logits);
    }
    loss
}

/// Puts in place of what is handed back to the weights of [`weigh`] what these hand back to the scores, `w (b - sum(w b))`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn weigh_back<E: Element>(weights: &[E], keys: usize, back: &mut [E]) {
    let rows = weights.chunks_exact(keys).zip(back.chunks_exact_mut(keys));
    for (token, (weights, back)) in rows.enumerate() {
        let (back, rest) = back.split_at_mut(token + 1);
        let weights = &weights[..=token];
        let along = products(weights, back);
        for (back, weight) in back.iter_mut().zip(weights) {
            *back = E::from_f32(weight.to_f32() * (back.to_f32() - along));
        }
        rest.fill(E::from_f32(0.0));
    }
}

/// `scale` times a head, turned by the angles of its position. Its pairs are the places `i` and `i + head_dim / 2`; `sin` has the signs of
/// [`crate::rope::RotaryTable`], and with the opposite ones a head is turned back.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn turn<E: Element>(head: &[E], (cos, sin): (&[f32], &[f32]), scale: f32, out: &mut [E]) {
    let half = head.len() / 2;
    let ((first, second), (out_first, out_second)) = (head.split_at(half), out.split_at_mut(half));
    let ((cos_first, cos_second), (sin_first, sin_second)) = (cos.split_at(half), sin.split_at(half));
    turn_half((first, second), (cos_first, sin_first), scale, out_first);
    turn_half((second, first), (cos_second, sin_second), scale, out_second);
}

#[inline(always)]
fn turn_half<E: Element>((own, other): (&[E], &[E]), (cos, sin): (&[f32], &[f32]), scale: f32, out: &mut [E]) {
    let (numbers, angles) = (own.iter().zip(other), cos.iter().zip(sin));
    for (((own, other), (cos, sin)), out) in numbers.zip(angles).zip(out) {
        *out = E::from_f32(scale * (own.to_f32() * cos + other.to_f32() * sin));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn convert<E: Element>(from: &[E], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.to_f32();
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn scale(numbers: &mut [f32], by: f32) {
    for number in numbers {
        *number *= by;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn round<E: Element>(from: &[f32], to: &mut [E]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = E::from_f32(*from);
    }
}
