//! Functions and sums of many numbers, written so that loops over them become vector instructions.

use multiversion::multiversion;

use super::memory::Element;

/// Numbers that are added up side by side: sums of floats may not be reordered by a compiler, so the order is chosen here.
const LANES: usize = 16;

/// Each `e^x` over the sum of all.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn softmax(scores: &mut [f32]) {
    let most = reduce(
        scores,
        f32::NEG_INFINITY,
        |most, score| if score > most { score } else { most },
    );
    for score in scores.iter_mut() {
        *score = exp(*score - most);
    }
    let scale = reduce(scores, 0.0, |sum, score| sum + score).recip();
    for score in scores {
        *score *= scale;
    }
}

/// All numbers as one, several side by side: see [`LANES`].
#[inline(always)]
fn reduce(numbers: &[f32], first: f32, of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut all = [first; LANES];
    let (lines, rest) = numbers.as_chunks::<LANES>();
    for line in lines {
        for (all, number) in all.iter_mut().zip(line) {
            *all = of(*all, *number);
        }
    }
    for (all, number) in all.iter_mut().zip(rest) {
        *all = of(*all, *number);
    }
    all.into_iter().fold(first, of)
}

/// `e^x` to a relative error of 2e-7, without a branch, so that loops over it become vector instructions: a power of two from the
/// exponent's bits, times a polynomial over the rest (the coefficients are those of Cephes' `expf`). Below -87.3 it is 1e-38.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Whole numbers are next to one another here, so that a sum is rounded to one, and has it in its lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.0);
    let whole = x * std::f32::consts::LOG2_E + WHOLE;
    let power = whole - WHOLE;
    let x = x - power * LN_2_HIGH - power * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = sum * x + coefficient;
    }
    let fraction = sum * x * x + x + 1.0;
    // `power` is a whole number from -126 to 127.
    fraction * f32::from_bits(whole.to_bits().wrapping_add(127) << 23)
}

/// The sum of `a b`.
#[inline(always)]
pub(crate) fn products<A: Element, B: Element>(a: &[A], b: &[B]) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a.to_f32() * b.to_f32();
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a.to_f32() * b.to_f32();
    }
    sums.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::{exp, products, softmax};

    #[test]
    fn exp_is_that_of_the_standard_library() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 3e-7,
                "exp({x}) = {found}, not {expected}"
            );
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_are_those_of_all_numbers() {
        for count in [0, 3, 16, 37] {
            let a: Vec<f32> = (0..count).map(|i| i as f32 - 7.0).collect();
            let b: Vec<bf16> = (0..count).map(|i| bf16::from_f32(0.5 * i as f32)).collect();
            let expected: f32 = (0..count).map(|i| (i as f32 - 7.0) * 0.5 * i as f32).sum();
            assert_eq!(products(&a, &b), expected, "{count}");
        }
    }

    #[test]
    fn weights_are_shares_of_one() {
        let mut scores = [0.0, 2.0_f32.ln(), f32::NEG_INFINITY, 5.0_f32.ln()];
        softmax(&mut scores);
        for (found, expected) in scores.into_iter().zip([0.125, 0.25, 0.0, 0.625]) {
            assert!((found - expected).abs() < 1e-6, "{scores:?}");
        }
    }
}
