//! Weights in few bits: blocks of 32 that share a scale, the form in which GGUF files hold them.

/// Weights of a block. GGUF's, so that a file's own blocks come out as they went in.
pub(super) const BLOCK: usize = 32;

/// 32 weights of one row of a matrix, in few bits.
pub(super) trait Block: Send + Sync + Sized {
    /// The nearest block to these weights.
    fn encode(weights: &[f32; BLOCK]) -> Self;

    /// The weights. `FMA`: whether the caller runs where products and sums are one instruction.
    fn decode<const FMA: bool>(&self) -> [f32; BLOCK];
}

/// 4 bits: `min + scale * code`, codes from 0 to 15. As GGUF's Q4_1, with the numbers of the block in `f32`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block4 {
    scale: f32,
    min: f32,
    /// Code `i` is the low half of byte `i`, code `i + 16` the high half.
    codes: [u8; BLOCK / 2],
}

/// 8 bits: `scale * code`, codes from -127 to 127. As GGUF's Q8_0, with the scale in `f32`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block8 {
    scale: f32,
    codes: [i8; BLOCK],
}

impl Block for Block4 {
    fn encode(weights: &[f32; BLOCK]) -> Self {
        let min = weights.iter().copied().fold(f32::INFINITY, f32::min);
        let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = (max - min) / 15.0;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let code = |weight: f32| ((weight - min) * inverse).round().clamp(0.0, 15.0) as u8;
        let codes = std::array::from_fn(|i| code(weights[i]) | code(weights[i + BLOCK / 2]) << 4);
        Self { scale, min, codes }
    }

    #[inline(always)]
    fn decode<const FMA: bool>(&self) -> [f32; BLOCK] {
        let mut weights = [0.0; BLOCK];
        let (low, high) = weights.split_at_mut(BLOCK / 2);
        for ((low, high), &codes) in low.iter_mut().zip(high).zip(&self.codes) {
            *low = add_product::<FMA>(self.min, f32::from(codes & 15), self.scale);
            *high = add_product::<FMA>(self.min, f32::from(codes >> 4), self.scale);
        }
        weights
    }
}

impl Block for Block8 {
    fn encode(weights: &[f32; BLOCK]) -> Self {
        let most = weights.iter().fold(0.0, |most: f32, weight| most.max(weight.abs()));
        let scale = most / 127.0;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let code = |weight: f32| (weight * inverse).round().clamp(-127.0, 127.0) as i8;
        Self {
            scale,
            codes: weights.map(code),
        }
    }

    #[inline(always)]
    fn decode<const FMA: bool>(&self) -> [f32; BLOCK] {
        self.codes.map(|code| f32::from(code) * self.scale)
    }
}

/// `sum + a * b`; rounded once where that is one instruction, and twice where it would be a call of a function.
#[inline(always)]
pub(super) fn add_product<const FMA: bool>(sum: f32, a: f32, b: f32) -> f32 {
    if FMA { a.mul_add(b, sum) } else { sum + a * b }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Block, Block4, Block8};

    fn decoded<B: Block>(weights: &[f32; BLOCK]) -> [f32; BLOCK] {
        B::encode(weights).decode::<false>()
    }

    fn far(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> f32 {
        a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    #[test]
    fn what_four_bits_can_say_is_kept() {
        let weights = std::array::from_fn(|i| -0.75 + 0.125 * ((i * 7) % 16) as f32);
        assert_eq!(decoded::<Block4>(&weights), weights);
    }

    #[test]
    fn what_eight_bits_can_say_is_kept() {
        let weights = std::array::from_fn(|i| 0.03125 * (8 * i as i32 - 127) as f32);
        let weights = weights.map(|weight: f32| weight.clamp(-127.0 * 0.03125, 127.0 * 0.03125));
        assert!(far(&decoded::<Block8>(&weights), &weights) < 1e-6);
    }

    #[test]
    fn other_weights_are_off_by_half_a_step_at_most() {
        let weights: [f32; BLOCK] = std::array::from_fn(|i| (i as f32 * 1.7).sin());
        assert!(far(&decoded::<Block4>(&weights), &weights) <= 1.001 / 15.0);
        assert!(far(&decoded::<Block8>(&weights), &weights) <= 0.501 / 127.0);
    }

    #[test]
    fn blocks_of_one_number() {
        for number in [0.0, -1.5] {
            let weights = [number; BLOCK];
            assert_eq!(decoded::<Block4>(&weights), weights);
            assert!(far(&decoded::<Block8>(&weights), &weights) < 1e-6);
        }
    }
}
