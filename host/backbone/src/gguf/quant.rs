//! Storage types of GGUF tensors, and their dequantization to `f32`.
//!
//! Block layouts: `ggml-common.h` and `ggml-quants.c` of <https://github.com/ggml-org/ggml>. Products and sums are
//! taken in the order in which the reference takes them, so that results are equal bit by bit.

use half::{bf16, f16};

/// The supported types, for messages.
pub(super) const SUPPORTED: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";

/// How the values of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the field writes them so")]
pub enum QuantType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// Values a block of the plain quantizations has.
const QK: usize = 32;

/// Values a super-block of the K quantizations has.
const QK_K: usize = 256;

impl QuantType {
    /// The type of GGML's number `code`, if it is supported.
    pub(super) fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// Values in one block; a row is a whole number of blocks.
    pub fn block_values(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => QK,
            Self::Q4_K | Self::Q5_K | Self::Q6_K => QK_K,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 2 + QK / 2,
            Self::Q4_1 => 4 + QK / 2,
            Self::Q5_0 => 2 + 4 + QK / 2,
            Self::Q5_1 => 4 + 4 + QK / 2,
            Self::Q8_0 => 2 + QK,
            Self::Q4_K => 4 + SCALES + QK_K / 2,
            Self::Q5_K => 4 + SCALES + QK_K / 8 + QK_K / 2,
            Self::Q6_K => QK_K / 2 + QK_K / 4 + QK_K / 16 + 2,
        }
    }

    /// Dequantizes whole blocks. `values` has as many items as `bytes` has values.
    ///
    /// # Panics
    ///
    /// If the two lengths disagree; the tensor directory's check rules that out for a file's tensors.
    pub fn dequantize(self, bytes: &[u8], values: &mut [f32]) {
        let (block_bytes, block_values) = (self.block_bytes(), self.block_values());
        assert_eq!(
            bytes.len() / block_bytes * block_values,
            values.len(),
            "{self:?}: {} bytes",
            bytes.len()
        );
        let blocks = bytes
            .chunks_exact(block_bytes)
            .zip(values.chunks_exact_mut(block_values));
        match self {
            Self::F32 => blocks.for_each(|(b, v)| v[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::F16 => blocks.for_each(|(b, v)| v[0] = half_at(b, 0)),
            Self::BF16 => blocks.for_each(|(b, v)| v[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32()),
            Self::Q4_0 => blocks.for_each(|(b, v)| q4_0(b, v)),
            Self::Q4_1 => blocks.for_each(|(b, v)| q4_1(b, v)),
            Self::Q5_0 => blocks.for_each(|(b, v)| q5_0(b, v)),
            Self::Q5_1 => blocks.for_each(|(b, v)| q5_1(b, v)),
            Self::Q8_0 => blocks.for_each(|(b, v)| q8_0(b, v)),
            Self::Q4_K => blocks.for_each(|(b, v)| q4_k(b, v)),
            Self::Q5_K => blocks.for_each(|(b, v)| q5_k(b, v)),
            Self::Q6_K => blocks.for_each(|(b, v)| q6_k(b, v)),
        }
    }
}

/// GGML's name of a type number, for messages about types that are not supported.
pub(super) fn name_of(code: u32) -> &'static str {
    match code {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24..=27 => "integer",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => "unknown",
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Calls `put` with the place and the value of each 4-bit number: the low halves are the block's first 16 values.
fn nibbles(packed: &[u8], mut put: impl FnMut(usize, u8)) {
    for (place, byte) in packed.iter().enumerate() {
        put(place, byte & 0x0f);
        put(place + packed.len(), byte >> 4);
    }
}

fn q4_0(block: &[u8], values: &mut [f32]) {
    let scale = half_at(block, 0);
    nibbles(&block[2..], |place, q| values[place] = scale * (f32::from(q) - 8.0));
}

fn q4_1(block: &[u8], values: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    nibbles(&block[4..], |place, q| values[place] = scale * f32::from(q) + min);
}

/// The fifth bit of the value at `place`, in position.
fn fifth_bit(high: &[u8], place: usize) -> u8 {
    (high[place / 8] >> (place % 8) & 1) << 4
}

fn q5_0(block: &[u8], values: &mut [f32]) {
    let scale = half_at(block, 0);
    let (high, low) = block[2..].split_at(4);
    nibbles(low, |place, q| {
        values[place] = scale * (f32::from(q | fifth_bit(high, place)) - 16.0);
    });
}

fn q5_1(block: &[u8], values: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    let (high, low) = block[4..].split_at(4);
    nibbles(low, |place, q| {
        values[place] = scale * f32::from(q | fifth_bit(high, place)) + min;
    });
}

fn q8_0(block: &[u8], values: &mut [f32]) {
    let scale = half_at(block, 0);
    for (value, &q) in values.iter_mut().zip(&block[2..]) {
        *value = scale * f32::from(q.cast_signed());
    }
}

/// Bytes of the packed 6-bit scales and minimums of a `Q4_K` or `Q5_K` super-block.
const SCALES: usize = 12;

/// The 6-bit scale and minimum of sub-block `j` of 8 (`get_scale_min_k4`): the first four are whole bytes' low 6 bits,
/// the last four are put together from a nibble and the two bits left over above.
fn scale_and_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 0x3f, packed[j + 4] & 0x3f)
    } else {
        (
            packed[j + 4] & 0x0f | (packed[j - 4] >> 6) << 4,
            packed[j + 4] >> 4 | (packed[j] >> 6) << 4,
        )
    };
    (f32::from(scale), f32::from(min))
}

/// `Q4_K` and `Q5_K`: 8 sub-blocks of 32 values; two share 32 bytes, the first in the low nibbles.
fn k_block(block: &[u8], low: &[u8], fifth: impl Fn(usize, usize) -> u8, values: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    for (j, sub_block) in values.chunks_exact_mut(QK).enumerate() {
        let (factor, offset) = scale_and_min(&block[4..4 + SCALES], j);
        let (factor, offset) = (scale * factor, min * offset);
        let bytes = &low[j / 2 * QK..];
        for (place, value) in sub_block.iter_mut().enumerate() {
            let nibble = if j % 2 == 0 {
                bytes[place] & 0x0f
            } else {
                bytes[place] >> 4
            };
            *value = factor * f32::from(nibble | fifth(j, place)) - offset;
        }
    }
}

fn q4_k(block: &[u8], values: &mut [f32]) {
    k_block(block, &block[4 + SCALES..], |_, _| 0, values);
}

fn q5_k(block: &[u8], values: &mut [f32]) {
    let (high, low) = block[4 + SCALES..].split_at(QK_K / 8);
    k_block(block, low, |j, place| (high[place] >> j & 1) << 4, values);
}

/// `Q6_K`: halves of 128 values, each from 64 bytes of low nibbles and 32 bytes of upper bit pairs; one signed scale
/// for 16 values.
fn q6_k(block: &[u8], values: &mut [f32]) {
    let (low, rest) = block.split_at(QK_K / 2);
    let (high, rest) = rest.split_at(QK_K / 4);
    let (scales, _) = rest.split_at(QK_K / 16);
    let scale = half_at(rest, QK_K / 16);
    for (index, value) in values.iter_mut().enumerate() {
        let (half, within) = (index / 128, index % 128);
        let (quarter, place) = (within / 32, within % 32);
        let byte = low[half * 64 + quarter % 2 * 32 + place];
        let nibble = if quarter < 2 { byte & 0x0f } else { byte >> 4 };
        let pair = high[half * 32 + place] >> (2 * quarter) & 3;
        let factor = scale * f32::from(scales[index / 16].cast_signed());
        *value = factor * (f32::from(nibble | pair << 4) - 32.0);
    }
}
