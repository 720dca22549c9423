//! For CPUs that multiply tiles of `bf16` (AMX), which have AVX-512, too.
//!
//! Weights are unpacked to `bf16`, and inputs rounded to it; sums are `f32`. One input is multiplied as the weights are unpacked,
//! which costs what it costs to read them. For more, 16 columns are unpacked at a time and multiplied with 16 inputs at a time.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use super::super::blocks::BLOCK;
use super::super::tiles::{BLOCKS, COLUMNS, DEPTH, OfBlocks, Tile, Tile4, Tile8};
use super::avx512::{sums, transpose};
use super::avx512bf16;

pub(in super::super) mod attention;

/// Columns that are multiplied together: two tiles.
pub(in super::super) const TOGETHER: usize = 2 * COLUMNS;

/// How far ahead of what is multiplied memory is asked for, in bytes.
const AHEAD: usize = 4096;

/// Inputs of a tile.
const ROWS: usize = 16;

/// 32 numbers in `bf16`.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(in super::super) struct Line([u16; 32]);

impl Line {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of(words: __m512i) -> Self {
        // SAFETY: both are 64 bytes that may be anything.
        unsafe { std::mem::transmute::<__m512i, Self>(words) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn words(self) -> __m512i {
        // SAFETY: as above.
        unsafe { std::mem::transmute::<Self, __m512i>(self) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn numbers(self) -> __m512bh {
        // SAFETY: as above.
        unsafe { std::mem::transmute::<Self, __m512bh>(self) }
    }
}

type Lines = [Line; ROWS];

const ZEROS: Lines = [Line([0; 32]); ROWS];

/// Whether this process may use such a CPU.
pub(in super::super) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| avx512bf16::is_there() && has_tiles() && may_use_tiles());
    *THERE
}

/// AMX-TILE and AMX-BF16, by CPUID.
fn has_tiles() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (BF16 | TILE) == BF16 | TILE
}

/// Linux keeps room for tiles only for processes that ask for it.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const REQUEST_PERMISSION: libc::c_int = 0x1023;
    const TILE_DATA: libc::c_ulong = 18;
    // SAFETY: the call takes two numbers and changes what the kernel keeps of this process's registers.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// A tile whose codes are read into registers.
pub(in super::super) trait Unpack: Tile {
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

/// Inputs `[rows, width]` in the order in which they are multiplied.
pub(in super::super) struct Inputs {
    rows: usize,
    /// Tiles of weights that a column has.
    depth: usize,
    /// One input: its numbers, one after the other. More: tiles of 16 inputs and 32 numbers, a line of which is a pair of numbers
    /// of every input; the tiles of the first 16 inputs, then those of the next.
    tiles: Vec<Lines>,
}

impl Inputs {
    pub(in super::super) fn new(x: &[f32], width: usize) -> Self {
        assert!(is_there() && width.is_multiple_of(BLOCK) && x.len().is_multiple_of(width));
        let (rows, depth) = (x.len() / width, width.div_ceil(DEPTH));
        let count = match rows {
            1 => (depth * BLOCKS).div_ceil(ROWS),
            rows => rows.div_ceil(ROWS) * depth * BLOCKS,
        };
        let mut tiles = vec![ZEROS; count];
        // SAFETY: the CPU has what the functions are compiled for.
        unsafe {
            match rows {
                1 => to_lines(x, tiles.as_flattened_mut()),
                _ => to_tiles(x, width, depth * BLOCKS, &mut tiles),
            }
        }
        Self { rows, depth, tiles }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn to_lines(x: &[f32], lines: &mut [Line]) {
    for (line, x) in lines.iter_mut().zip(x.as_chunks::<BLOCK>().0) {
        // SAFETY: thirty-two floats are read.
        let (first, last) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
        *line = to_line(first, last);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn to_tiles(x: &[f32], width: usize, per_input: usize, tiles: &mut [Lines]) {
    let mut lines = vec![Line([0; 32]); per_input * ROWS];
    for (x, tiles) in x.chunks(ROWS * width).zip(tiles.chunks_exact_mut(per_input)) {
        lines.fill(Line([0; 32]));
        for (x, lines) in x.chunks_exact(width).zip(lines.chunks_exact_mut(per_input)) {
            to_lines(x, lines);
        }
        for (at, tile) in tiles.iter_mut().enumerate() {
            let mut rows = [_mm512_setzero_si512(); ROWS];
            for (row, number) in rows.iter_mut().zip(0..) {
                *row = lines[number * per_input + at].words();
            }
            transpose(&mut rows);
            for (line, row) in tile.iter_mut().zip(rows) {
                *line = Line::of(row);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn to_line(first: __m512, last: __m512) -> Line {
    let both = _mm512_cvtne2ps_pbh(last, first);
    // SAFETY: both are 64 bytes that may be anything.
    unsafe { std::mem::transmute::<__m512bh, Line>(both) }
}

/// `out[row][column] = x[row] . weights[column]` for the columns of these tiles, a multiple of [`TOGETHER`]; there may be less room in
/// `out`.
pub(in super::super) fn multiply<T: Unpack>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    assert!(out.len() == inputs.rows);
    // SAFETY: inputs are made on such CPUs only.
    unsafe {
        match out {
            [out] => one(tiles, inputs, out),
            out => many(tiles, inputs, out),
        }
    }
}

/// Unpacks and multiplies at once.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn one<T: Unpack>(tiles: &[T], inputs: &Inputs, out: &mut [f32]) {
    let (x, _) = inputs.tiles.as_flattened().as_chunks::<BLOCKS>();
    for (group, tiles) in tiles.chunks_exact(inputs.depth).enumerate() {
        let mut products = [_mm512_setzero_ps(); COLUMNS];
        for (tile, x) in tiles.iter().zip(x) {
            ask_for(tile);
            // SAFETY: this function is for such CPUs, too.
            let scales = unsafe { tile.scales() };
            for (column, sum) in products.iter_mut().enumerate() {
                // SAFETY: likewise.
                for (weights, x) in unsafe { tile.column(column, &scales) }.iter().zip(x) {
                    *sum = _mm512_dpbf16_ps(*sum, weights.numbers(), x.numbers());
                }
            }
        }
        store(out, group, sums(products));
    }
}

/// Unpacks, and multiplies 16 inputs, or twice 16, with twice 16 columns at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn many<T: Unpack>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    let per_input = inputs.depth * BLOCKS;
    let mut columns = vec![ZEROS; 2 * per_input];
    let _configured = Configured::new();
    for (group, tiles) in tiles.chunks_exact(2 * inputs.depth).enumerate() {
        for (tile, lines) in tiles.iter().zip(columns.as_chunks_mut::<BLOCKS>().0) {
            ask_for(tile);
            // SAFETY: this function is for such CPUs, too.
            let scales = unsafe { tile.scales() };
            let [first, second] = lines;
            for (column, (first, second)) in first.iter_mut().zip(second).enumerate() {
                // SAFETY: likewise.
                [*first, *second] = unsafe { tile.column(column, &scales) };
            }
        }
        let columns = columns.split_at(per_input);
        let pairs = inputs.tiles.chunks(2 * per_input).zip(out.chunks_mut(2 * ROWS));
        for (inputs, out) in pairs {
            let mut sums = [const { MaybeUninit::uninit() }; 4];
            let (first, second) = inputs.split_at(per_input);
            // SAFETY: tiles are configured.
            unsafe {
                if second.is_empty() {
                    two_by_one(columns, first, &mut sums);
                } else {
                    two_by_two(columns, (first, second), &mut sums);
                }
            }
            for (out, sums) in out.chunks_mut(ROWS).zip(sums.chunks(2)) {
                for (half, sums) in sums.iter().enumerate() {
                    // SAFETY: two sums were written for each 16 inputs.
                    let mut rows = unsafe { sums.assume_init_read() };
                    transpose(&mut rows);
                    for (out, row) in out.iter_mut().zip(rows) {
                        store(out, 2 * group + half, _mm512_castsi512_ps(row));
                    }
                }
            }
        }
    }
}

/// Writes the sums of 16 columns; there may be room for fewer.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32], group: usize, sums: __m512) {
    let out = out.get_mut(group * COLUMNS..).unwrap_or_default();
    let mask = if out.len() < COLUMNS {
        (1 << out.len()) - 1
    } else {
        u16::MAX
    };
    // SAFETY: as many floats are written as there is room for, up to sixteen.
    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, sums) };
}

/// Asks for the memory that is read a little later.
#[inline]
#[target_feature(enable = "avx512f")]
fn ask_for<T>(tile: &T) {
    const LINE: usize = 64;
    let ahead = std::ptr::from_ref(tile).cast::<i8>().wrapping_add(AHEAD);
    for line in 0..size_of::<T>() / LINE {
        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line * LINE));
    }
}

/// The tile registers of this thread, all of them of 16 rows of 64 bytes, until this is dropped. Other code on the thread, as
/// libtorch's, configures them for itself.
struct Configured;

impl Configured {
    fn new() -> Self {
        /// Intel's Software Developer's Manual, volume 1, section 18.3.
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_per_row: [u16; 16],
            rows: [u8; 16],
        }
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [0; 16],
            rows: [0; 16],
        };
        configuration.bytes_per_row[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: 64 bytes are read, and the CPU has tiles: `Inputs::new` made sure of it.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags));
        }
        Self
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the CPU has tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// 16 columns' products with 16 inputs, `[columns, inputs]`.
type Sums = MaybeUninit<[__m512i; COLUMNS]>;

/// The products of twice 16 columns with 16 inputs: the first two of `sums` are written.
///
/// # Safety
/// While tiles are [`Configured`].
unsafe fn two_by_one(columns: (&[Lines], &[Lines]), inputs: &[Lines], sums: &mut [Sums; 4]) {
    assert!(columns.0.len() == inputs.len() && columns.1.len() == inputs.len());
    // SAFETY: as many tiles of 1024 bytes are read as there are; two of 1024 bytes are written. The compiler has no use for tiles.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            options(nostack, nomem, preserves_flags)
        );
        for ((first, second), input) in columns.0.iter().zip(columns.1).zip(inputs) {
            asm!(
                "tileloadd tmm6, [{input} + {stride}*1]",
                "tileloadd tmm4, [{first} + {stride}*1]",
                "tileloadd tmm5, [{second} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm5, tmm6",
                input = in(reg) input, first = in(reg) first, second = in(reg) second, stride = in(reg) size_of::<Line>(),
                options(nostack, readonly, preserves_flags)
            );
        }
        asm!(
            "tilestored [{sums} + {stride}*1], tmm0",
            "tilestored [{sums} + {stride}*1 + 1024], tmm1",
            sums = in(reg) sums, stride = in(reg) size_of::<Line>(),
            options(nostack, preserves_flags)
        );
    }
}

/// The products of twice 16 columns with twice 16 inputs: those with the first inputs, then those with the second.
///
/// # Safety
/// While tiles are [`Configured`].
unsafe fn two_by_two(columns: (&[Lines], &[Lines]), inputs: (&[Lines], &[Lines]), sums: &mut [Sums; 4]) {
    let len = inputs.0.len();
    assert!(inputs.1.len() == len && columns.0.len() == len && columns.1.len() == len);
    let of_inputs = inputs.0.iter().zip(inputs.1);
    // SAFETY: as many tiles of 1024 bytes are read as there are; four of 1024 bytes are written. The compiler has no use for tiles.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nostack, nomem, preserves_flags)
        );
        for ((first, second), (one, two)) in columns.0.iter().zip(columns.1).zip(of_inputs) {
            asm!(
                "tileloadd tmm6, [{one} + {stride}*1]",
                "tileloadd tmm4, [{first} + {stride}*1]",
                "tileloadd tmm5, [{second} + {stride}*1]",
                "tileloadd tmm7, [{two} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm5, tmm6",
                "tdpbf16ps tmm2, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                one = in(reg) one, two = in(reg) two, first = in(reg) first, second = in(reg) second,
                stride = in(reg) size_of::<Line>(),
                options(nostack, readonly, preserves_flags)
            );
        }
        asm!(
            "tilestored [{sums} + {stride}*1], tmm0",
            "tilestored [{sums} + {stride}*1 + 1024], tmm1",
            "tilestored [{sums} + {stride}*1 + 2048], tmm2",
            "tilestored [{sums} + {stride}*1 + 3072], tmm3",
            sums = in(reg) sums, stride = in(reg) size_of::<Line>(),
            options(nostack, preserves_flags)
        );
    }
}
