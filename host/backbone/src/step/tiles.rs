//! Weights in few bits, in the order in which CPUs with AMX multiply matrices.
//!
//! A tile holds 32 weights of each of 16 columns: what one instruction takes, 16 rows of 16 pairs. Row `r` has the weights `2r` and
//! `2r + 1` of every column.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::blocks::{BLOCK, Block, Block4, Block8};

/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;

/// Rows of a tile, each of a pair of weights of every column.
pub(super) const PAIRS: usize = BLOCK / 2;

/// Half of a row: the pairs of eight columns.
pub(super) const HALF: usize = 16;

/// Blocks of 16 columns, side by side.
pub(super) trait Tile: Send + Sync + Sized {
    type Block: Block;

    fn of(columns: &[Self::Block; COLUMNS]) -> Self;

    /// `scale` and `min` of each column: weights are `min + scale * code`.
    fn scales(&self) -> (&[f32; COLUMNS], &[f32; COLUMNS]);
}

/// 4 bits: see [`Block4`].
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Tile4 {
    scale: [f32; COLUMNS],
    min: [f32; COLUMNS],
    /// Of a row, the codes of the first eight columns are the low halves, those of the last eight the high halves.
    pub(super) codes: [[u8; HALF]; PAIRS],
}

/// 8 bits: see [`Block8`].
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Tile8 {
    scale: [f32; COLUMNS],
    /// Of a row, the codes of the first eight columns, then those of the last eight.
    pub(super) codes: [[[i8; HALF]; 2]; PAIRS],
}

/// Where, in half a row, the code `pair` of a pair of a column stands: which half, and which place in it.
fn place(column: usize, pair: usize) -> (usize, usize) {
    (column / 8, column % 8 * 2 + pair)
}

impl Tile for Tile4 {
    type Block = Block4;

    fn of(columns: &[Block4; COLUMNS]) -> Self {
        let mut codes = [[0; HALF]; PAIRS];
        for (column, block) in columns.iter().enumerate() {
            for (weight, code) in block.codes().into_iter().enumerate() {
                let (half, at) = place(column, weight % 2);
                codes[weight / 2][at] |= code << (4 * half);
            }
        }
        Self {
            scale: columns.each_ref().map(|block| block.scale),
            min: columns.each_ref().map(|block| block.min),
            codes,
        }
    }

    fn scales(&self) -> (&[f32; COLUMNS], &[f32; COLUMNS]) {
        (&self.scale, &self.min)
    }
}

impl Tile for Tile8 {
    type Block = Block8;

    fn of(columns: &[Block8; COLUMNS]) -> Self {
        let mut codes = [[[0; HALF]; 2]; PAIRS];
        for (column, block) in columns.iter().enumerate() {
            for (weight, code) in block.codes.into_iter().enumerate() {
                let (half, at) = place(column, weight % 2);
                codes[weight / 2][half][at] = code;
            }
        }
        Self {
            scale: columns.each_ref().map(|block| block.scale),
            codes,
        }
    }

    fn scales(&self) -> (&[f32; COLUMNS], &[f32; COLUMNS]) {
        (&self.scale, &[0.0; COLUMNS])
    }
}

/// Packs the columns of a matrix, each of `width` weights: the tiles of the first 16 columns, then those of the next. Missing
/// columns, up to a multiple of `together`, are zeros.
pub(super) fn pack<T: Tile>(weights: &[f32], width: usize, together: usize) -> Vec<T> {
    let (blocks, _) = weights.as_chunks::<BLOCK>();
    let per_column = width / BLOCK;
    let columns = (blocks.len() / per_column).next_multiple_of(together);
    (0..columns / COLUMNS * per_column)
        .into_par_iter()
        .map(|index| {
            let (group, place) = (index / per_column, index % per_column);
            T::of(&std::array::from_fn(|column| {
                let block = blocks.get((group * COLUMNS + column) * per_column + place);
                T::Block::encode(block.unwrap_or(&[0.0; BLOCK]))
            }))
        })
        .collect()
}
