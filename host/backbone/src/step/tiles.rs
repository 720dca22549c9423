//! Weights in few bits, 16 columns at a time: as CPUs with AMX multiply them, and, in lanes, as others multiply whole numbers.

use half::f16;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::blocks::{BLOCK, Block, Block4, Block8};

/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;

/// Blocks of each column in a tile.
pub(super) const BLOCKS: usize = 2;

/// Weights of each column in a tile.
pub(super) const DEPTH: usize = BLOCKS * BLOCK;

/// A number of each block: of the first blocks of all columns, then of the second.
pub(super) type OfBlocks = [[f16; COLUMNS]; BLOCKS];

/// Two blocks of each of 16 columns.
pub(super) trait Tile: Send + Sync + Sized {
    type Block: Block;

    fn of(columns: &[[Self::Block; BLOCKS]; COLUMNS]) -> Self;
}

/// For AMX, 4 bits: see [`Block4`].
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile4 {
    pub(super) scale: OfBlocks,
    pub(super) min: OfBlocks,
    /// Of each column, the first block in the low halves of the bytes, the second in the high halves.
    pub(super) codes: [[u8; BLOCK]; COLUMNS],
}

/// For AMX, 8 bits: see [`Block8`].
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile8 {
    pub(super) scale: OfBlocks,
    pub(super) codes: [[[i8; BLOCK]; BLOCKS]; COLUMNS],
}

/// Four codes of each of 16 columns, one column after the other: what one instruction multiplies.
pub(super) type Lanes = [[u8; 4]; COLUMNS];

/// Four codes of each column that a block has.
pub(super) const FOURS: usize = BLOCK / 4;

/// In lanes, 4 bits: see [`Block4`].
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes4 {
    pub(super) scale: OfBlocks,
    pub(super) min: OfBlocks,
    /// The first block in the low halves of the bytes, the second in the high halves.
    pub(super) codes: [Lanes; FOURS],
}

/// In lanes, 8 bits: see [`Block8`].
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes8 {
    pub(super) scale: OfBlocks,
    /// Each code and 128: instructions want one factor without a sign.
    pub(super) codes: [[Lanes; FOURS]; BLOCKS],
}

/// What is added to the codes of [`Lanes8`].
pub(super) const SHIFT: u8 = 128;

fn of_blocks<B>(columns: &[[B; BLOCKS]; COLUMNS], number: impl Fn(&B) -> f32) -> OfBlocks {
    std::array::from_fn(|block| std::array::from_fn(|column| f16::from_f32(number(&columns[column][block]))))
}

#[cfg(target_arch = "x86_64")]
impl Tile for Tile4 {
    type Block = Block4;

    fn of(columns: &[[Block4; BLOCKS]; COLUMNS]) -> Self {
        let codes = columns.each_ref().map(|blocks| {
            let [first, second] = blocks.each_ref().map(Block4::codes);
            std::array::from_fn(|weight| first[weight] | second[weight] << 4)
        });
        Self {
            scale: of_blocks(columns, |block| block.scale),
            min: of_blocks(columns, |block| block.min),
            codes,
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Tile for Tile8 {
    type Block = Block8;

    fn of(columns: &[[Block8; BLOCKS]; COLUMNS]) -> Self {
        Self {
            scale: of_blocks(columns, |block| block.scale),
            codes: columns
                .each_ref()
                .map(|blocks| blocks.each_ref().map(|block| block.codes)),
        }
    }
}

/// Codes of each column, in lanes.
fn lanes(codes: impl Fn(usize, usize) -> u8) -> [Lanes; FOURS] {
    std::array::from_fn(|four| {
        std::array::from_fn(|column| std::array::from_fn(|place| codes(column, 4 * four + place)))
    })
}

impl Tile for Lanes4 {
    type Block = Block4;

    fn of(columns: &[[Block4; BLOCKS]; COLUMNS]) -> Self {
        let codes = columns.each_ref().map(|blocks| blocks.each_ref().map(Block4::codes));
        Self {
            scale: of_blocks(columns, |block| block.scale),
            min: of_blocks(columns, |block| block.min),
            codes: lanes(|column, place| {
                let [first, second] = &codes[column];
                first[place] | second[place] << 4
            }),
        }
    }
}

impl Tile for Lanes8 {
    type Block = Block8;

    fn of(columns: &[[Block8; BLOCKS]; COLUMNS]) -> Self {
        Self {
            scale: of_blocks(columns, |block| block.scale),
            codes: std::array::from_fn(|block| {
                lanes(|column, place| columns[column][block].codes[place].cast_unsigned().wrapping_add(SHIFT))
            }),
        }
    }
}

/// Packs the columns of a matrix, each of `width` weights: the tiles of the first 16 columns, then those of the next. What is missing
/// of the last columns, of which there are a multiple of `together`, and of the last tile of each is zeros.
pub(super) fn pack<T: Tile>(weights: &[f32], width: usize, together: usize) -> Vec<T> {
    let columns = (weights.len() / width).next_multiple_of(together);
    let depth = width.div_ceil(DEPTH);
    let block = |column: usize, block: usize| {
        let weights = weights.get(column * width..).unwrap_or_default();
        let weights = &weights[..width.min(weights.len())];
        T::Block::encode(weights.as_chunks::<BLOCK>().0.get(block).unwrap_or(&[0.0; BLOCK]))
    };
    (0..columns / COLUMNS * depth)
        .into_par_iter()
        .map(|index| {
            let (group, place) = (index / depth, index % depth);
            T::of(&std::array::from_fn(|column| {
                std::array::from_fn(|of| block(group * COLUMNS + column, place * BLOCKS + of))
            }))
        })
        .collect()
}
