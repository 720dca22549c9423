//! Weights in few bits, as `bf16` in registers.

use std::arch::x86_64::*;

use super::super::super::tiles::{BLOCKS, COLUMNS, OfBlocks, Tile, Tile4, Tile8};
use super::{Line, to_line};

/// A tile whose codes are read into registers.
pub(in super::super::super) trait Unpack: Tile {
    /// The scales, and what else belongs to a block, of all blocks.
    type Scales;

    /// # Safety
    /// For CPUs with AVX-512.
    unsafe fn scales(&self) -> Self::Scales;

    /// The weights of one column, in `bf16`.
    ///
    /// # Safety
    /// For CPUs with AVX-512 and its `bf16`.
    unsafe fn column(&self, column: usize, scales: &Self::Scales) -> [Line; BLOCKS];
}

#[inline]
#[target_feature(enable = "avx512f")]
fn to_f32(numbers: &OfBlocks) -> [[f32; COLUMNS]; BLOCKS] {
    let mut out = [[0.0; COLUMNS]; BLOCKS];
    for (out, numbers) in out.iter_mut().zip(numbers) {
        // SAFETY: sixteen numbers are read and written.
        unsafe {
            let numbers = _mm256_loadu_si256(numbers.as_ptr().cast());
            _mm512_storeu_ps(out.as_mut_ptr(), _mm512_cvtph_ps(numbers));
        }
    }
    out
}

impl Unpack for Tile4 {
    type Scales = [[[f32; COLUMNS]; BLOCKS]; 2];

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn scales(&self) -> Self::Scales {
        [to_f32(&self.scale), to_f32(&self.min)]
    }

    /// What the sixteen codes of a block stand for is a table, in which the codes are looked up.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn column(&self, column: usize, [scale, min]: &Self::Scales) -> [Line; BLOCKS] {
        // SAFETY: a column is 32 bytes.
        let codes = _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(self.codes[column].as_ptr().cast()) });
        let all = _mm512_set_ps(
            15.0, 14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0,
        );
        let first = _mm512_fmadd_ps(all, _mm512_set1_ps(scale[0][column]), _mm512_set1_ps(min[0][column]));
        let second = _mm512_fmadd_ps(all, _mm512_set1_ps(scale[1][column]), _mm512_set1_ps(min[1][column]));
        // Each table is there twice, so that of the low halves the bit above the code does not matter; those above it never do.
        let (first, second) = (to_line(first, first).words(), to_line(second, second).words());
        [
            Line::of(_mm512_permutexvar_epi16(codes, first)),
            Line::of(_mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(codes), second)),
        ]
    }
}

impl Unpack for Tile8 {
    type Scales = [[f32; COLUMNS]; BLOCKS];

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn scales(&self) -> Self::Scales {
        to_f32(&self.scale)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn column(&self, column: usize, scales: &Self::Scales) -> [Line; BLOCKS] {
        let mut lines = [Line([0; 32]); BLOCKS];
        for (block, line) in lines.iter_mut().enumerate() {
            let (scale, codes) = (
                _mm512_set1_ps(scales[block][column]),
                self.codes[column][block].as_ptr(),
            );
            // SAFETY: a block is 32 bytes.
            let (first, last) = unsafe { (_mm_loadu_si128(codes.cast()), _mm_loadu_si128(codes.add(16).cast())) };
            let first = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(first)), scale);
            let last = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(last)), scale);
            *line = to_line(first, last);
        }
        lines
    }
}
