//! Weights in few bits: blocks of 32 that share a scale, the form in which GGUF files hold them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use multiversion::multiversion;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Weights of a block. GGUF's, so that a file's own blocks come out as they went in.
pub(super) const BLOCK: usize = 32;

/// Columns whose blocks lie next to one another in memory, because they are read together: a CPU fetches ahead what is read in
/// one go, and is slow where it jumps.
pub(super) const GROUP: usize = 4;

/// Packs the columns of a matrix, each of `width` weights: all blocks of the first group, then those of the second, the blocks of a
/// group's columns for the same weights side by side. Missing columns of the last group are zeros.
pub(super) fn pack<B: Block>(weights: &[f32], width: usize) -> Vec<[B; GROUP]> {
    let (blocks, _) = weights.as_chunks::<BLOCK>();
    let per_column = width / BLOCK;
    let groups = blocks.len().div_ceil(per_column * GROUP);
    (0..groups * per_column)
        .into_par_iter()
        .map(|index| {
            let (group, place) = (index / per_column, index % per_column);
            std::array::from_fn(|column| {
                let block = blocks.get((group * GROUP + column) * per_column + place);
                B::encode(block.unwrap_or(&[0.0; BLOCK]))
            })
        })
        .collect()
}

/// 32 weights of one row of a matrix, in few bits.
pub(super) trait Block: Send + Sync + Sized {
    /// The nearest block to these weights.
    fn encode(weights: &[f32; BLOCK]) -> Self;

    /// The weights.
    fn decode(&self) -> [f32; BLOCK];

    /// The weights, as the registers of a CPU with AVX2 hold them.
    ///
    /// # Safety
    /// For CPUs with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    unsafe fn decode_avx2(&self) -> [__m256; BLOCK / 8];

    /// Likewise of one with AVX-512.
    ///
    /// # Safety
    /// For CPUs with AVX-512.
    #[cfg(target_arch = "x86_64")]
    unsafe fn decode_avx512(&self) -> [__m512; BLOCK / 16];
}

/// 4 bits: `min + scale * code`, codes from 0 to 15. As GGUF's Q4_1, with the numbers of the block in `f32`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block4 {
    pub(super) scale: f32,
    pub(super) min: f32,
    /// Code `i` is the low half of byte `i`, code `i + 16` the high half.
    codes: [u8; BLOCK / 2],
}

/// 8 bits: `scale * code`, codes from -127 to 127. As GGUF's Q8_0, with the scale in `f32`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block8 {
    pub(super) scale: f32,
    pub(super) codes: [i8; BLOCK],
}

impl Block4 {
    /// The codes of the weights, one after the other.
    pub(super) fn codes(&self) -> [u8; BLOCK] {
        std::array::from_fn(|i| match i.checked_sub(BLOCK / 2) {
            None => self.codes[i] & 15,
            Some(i) => self.codes[i] >> 4,
        })
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn encode4(weights: &[f32; BLOCK]) -> Block4 {
    // From here on to the next power of two, floats are whole numbers: the sum is rounded, and its lowest bits are the code.
    const WHOLE: f32 = (1 << 23) as f32;
    let (min, max) = ends(weights);
    let scale = (max - min) / 15.0;
    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
    let code = |weight: f32| ((weight - min) * inverse + WHOLE).to_bits() & 15;
    let mut codes = [0; BLOCK / 2];
    let (low, high) = weights.split_at(BLOCK / 2);
    for ((codes, &low), &high) in codes.iter_mut().zip(low).zip(high) {
        *codes = (code(low) | code(high) << 4) as u8;
    }
    Block4 { scale, min, codes }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn encode8(weights: &[f32; BLOCK]) -> Block8 {
    let (min, max) = ends(weights);
    let scale = max.max(-min) / 127.0;
    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
    let mut codes = [0; BLOCK];
    for (code, weight) in codes.iter_mut().zip(weights) {
        let steps = weight * inverse;
        *code = (steps + 0.5_f32.copysign(steps)).clamp(-127.0, 127.0) as i32 as i8;
    }
    Block8 { scale, codes }
}

/// The smallest and the largest, found eight at a time.
#[inline(always)]
fn ends(weights: &[f32; BLOCK]) -> (f32, f32) {
    let (mut least, mut most) = ([f32::INFINITY; 8], [f32::NEG_INFINITY; 8]);
    for weights in weights.as_chunks::<8>().0 {
        for ((least, most), weight) in least.iter_mut().zip(&mut most).zip(weights) {
            *least = if weight < least { *weight } else { *least };
            *most = if weight > most { *weight } else { *most };
        }
    }
    let all = |ends: [f32; 8], of: fn(f32, f32) -> f32| ends.into_iter().fold(ends[0], of);
    (all(least, f32::min), all(most, f32::max))
}

impl Block for Block4 {
    fn encode(weights: &[f32; BLOCK]) -> Self {
        encode4(weights)
    }

    fn decode(&self) -> [f32; BLOCK] {
        let mut weights = [0.0; BLOCK];
        let (low, high) = weights.split_at_mut(BLOCK / 2);
        for ((low, high), &codes) in low.iter_mut().zip(high).zip(&self.codes) {
            *low = self.min + self.scale * f32::from(codes & 15);
            *high = self.min + self.scale * f32::from(codes >> 4);
        }
        weights
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn decode_avx2(&self) -> [__m256; BLOCK / 8] {
        // SAFETY: the codes are 16 bytes.
        let codes = unsafe { _mm_loadu_si128(self.codes.as_ptr().cast()) };
        let halves = _mm_set1_epi8(15);
        let (low, high) = (
            _mm_and_si128(codes, halves),
            _mm_and_si128(_mm_srli_epi16::<4>(codes), halves),
        );
        let (scale, min) = (_mm256_set1_ps(self.scale), _mm256_set1_ps(self.min));
        // Written out: closures are not compiled for the CPU that their function is compiled for.
        [
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)), scale, min),
            _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(low))),
                scale,
                min,
            ),
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high)), scale, min),
            _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(high))),
                scale,
                min,
            ),
        ]
    }

    /// What the sixteen codes stand for is a table, in which the codes are looked up: of an index, only the lowest four bits count.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn decode_avx512(&self) -> [__m512; BLOCK / 16] {
        let all = _mm512_set_ps(
            15.0, 14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0,
        );
        let table = _mm512_fmadd_ps(all, _mm512_set1_ps(self.scale), _mm512_set1_ps(self.min));
        // SAFETY: the codes are 16 bytes.
        let codes = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(self.codes.as_ptr().cast()) });
        [
            _mm512_permutexvar_ps(codes, table),
            _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(codes), table),
        ]
    }
}

impl Block for Block8 {
    fn encode(weights: &[f32; BLOCK]) -> Self {
        encode8(weights)
    }

    fn decode(&self) -> [f32; BLOCK] {
        self.codes.map(|code| f32::from(code) * self.scale)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn decode_avx2(&self) -> [__m256; BLOCK / 8] {
        let scale = _mm256_set1_ps(self.scale);
        let mut weights = [scale; BLOCK / 8];
        for (weights, codes) in weights.iter_mut().zip(self.codes.as_chunks::<8>().0) {
            // SAFETY: eight codes are 8 bytes.
            let codes = unsafe { _mm_loadl_epi64(codes.as_ptr().cast()) };
            *weights = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), scale);
        }
        weights
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn decode_avx512(&self) -> [__m512; BLOCK / 16] {
        let scale = _mm512_set1_ps(self.scale);
        let mut weights = [scale; BLOCK / 16];
        for (weights, codes) in weights.iter_mut().zip(self.codes.as_chunks::<16>().0) {
            // SAFETY: sixteen codes are 16 bytes.
            let codes = unsafe { _mm_loadu_si128(codes.as_ptr().cast()) };
            *weights = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), scale);
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Block, Block4, Block8};

    fn decoded<B: Block>(weights: &[f32; BLOCK]) -> [f32; BLOCK] {
        B::encode(weights).decode()
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

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn registers_hold_what_memory_does() {
        fn check<B: Block>() {
            let block = B::encode(&std::array::from_fn(|i| (i as f32 * 1.7).sin()));
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the CPU has what the function is compiled for; eight floats are a register.
                let decoded: [f32; BLOCK] = unsafe { std::mem::transmute(block.decode_avx2()) };
                assert!(far(&decoded, &block.decode()) < 1e-6);
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: likewise; sixteen floats are a register.
                let decoded: [f32; BLOCK] = unsafe { std::mem::transmute(block.decode_avx512()) };
                assert!(far(&decoded, &block.decode()) < 1e-6);
            }
        }
        check::<Block4>();
        check::<Block8>();
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
