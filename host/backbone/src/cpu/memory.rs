//! The memory of tensors on the CPU, as slices.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::BackboneError;

/// What numbers of a model are held in on a CPU.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// libtorch's name of it.
    const KIND: Kind;

    fn to_f32(self) -> f32;

    fn from_f32(number: f32) -> Self;

    /// The same numbers, where they are `bf16`.
    fn as_bf16(numbers: &[Self]) -> Option<&[bf16]>;

    /// Eight numbers, in a register.
    ///
    /// # Safety
    /// For CPUs with AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_avx2(numbers: &[Self; 8]) -> __m256;

    /// Sixteen numbers, in a register.
    ///
    /// # Safety
    /// For CPUs with AVX-512.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_avx512(numbers: &[Self; 16]) -> __m512;
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(number: f32) -> Self {
        number
    }

    fn as_bf16(_: &[Self]) -> Option<&[bf16]> {
        None
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_avx2(numbers: &[Self; 8]) -> __m256 {
        // SAFETY: eight floats are read.
        unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_avx512(numbers: &[Self; 16]) -> __m512 {
        // SAFETY: sixteen floats are read.
        unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
    }
}

impl Element for bf16 {
    const KIND: Kind = Kind::BFloat16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn from_f32(number: f32) -> Self {
        Self::from_f32(number)
    }

    fn as_bf16(numbers: &[Self]) -> Option<&[bf16]> {
        Some(numbers)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_avx2(numbers: &[Self; 8]) -> __m256 {
        // SAFETY: eight numbers of two bytes are read.
        let numbers = unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) };
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(numbers)))
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_avx512(numbers: &[Self; 16]) -> __m512 {
        // SAFETY: sixteen numbers of two bytes are read.
        let numbers = unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(numbers)))
    }
}

/// The numbers of a tensor, in the order of its indices.
pub(crate) fn numbers<E: Element>(tensor: &Tensor) -> Result<&[E], BackboneError> {
    check::<E>(tensor)?;
    // SAFETY: the tensor is dense, on the CPU, and of `numel` numbers of `E`'s kind, each bit pattern of which is an `E`. It is
    // borrowed for as long as the slice, and what is borrowed is not written to: see `numbers_mut`.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

/// The numbers of a tensor that nothing else refers to, to write to.
pub(crate) fn numbers_mut<E: Element>(tensor: &mut Tensor) -> Result<&mut [E], BackboneError> {
    check::<E>(tensor)?;
    // SAFETY: as in `numbers`. Only a KV cache's tensors come here, and those that a training pass works in: they belong to one owner, who
    // is borrowed exclusively, and views of them live no longer than the operation that they were made for.
    Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) })
}

fn check<E: Element>(tensor: &Tensor) -> Result<(), BackboneError> {
    if tensor.kind() == E::KIND && tensor.device() == Device::Cpu && tensor.is_contiguous() {
        return Ok(());
    }
    let found = format!(
        "{:?} numbers on {:?}, dense: {}",
        tensor.kind(),
        tensor.device(),
        tensor.is_contiguous()
    );
    Err(tch::TchError::Kind(format!(
        "{found}, where dense {:?} numbers on the CPU are read",
        E::KIND
    ))
    .into())
}
