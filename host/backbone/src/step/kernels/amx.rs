//! For CPUs that multiply tiles of `bf16` (AMX), which have AVX-512, too.
//!
//! Weights are unpacked to `bf16`, and inputs rounded to it; sums are `f32`. One input is multiplied as the weights are unpacked,
//! which costs what it costs to read them. More are multiplied 16 at a time with 16 columns at a time.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::super::blocks::BLOCK;
use super::super::tiles::{BLOCKS, COLUMNS, DEPTH};
use super::avx512::{gate, store_columns, sums, transpose};
use crate::cpu::team;

pub(in super::super) mod attention;
mod unpack;

pub(in super::super) use unpack::Unpack;

/// Columns that are multiplied together: two tiles.
pub(in super::super) const TOGETHER: usize = 2 * COLUMNS;

/// How far ahead of what is multiplied memory is asked for, in bytes.
const AHEAD: usize = 4096;

/// Inputs of a tile.
const ROWS: usize = 16;

/// Inputs that a thread brings into their order before it asks for more.
const ORDERED: usize = 2 * ROWS;

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
    static THERE: LazyLock<bool> = LazyLock::new(|| has_vectors() && has_tiles() && may_use_tiles());
    *THERE
}

/// AVX-512 and its `bf16`.
fn has_vectors() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
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
        let mut inputs = Self::zeros(x.len() / width, width);
        let per_input = inputs.per_input();
        if inputs.rows == 1 {
            // SAFETY: the CPU has what the function is compiled for.
            unsafe { to_lines(x, inputs.tiles.as_flattened_mut()) };
        } else {
            let tiles = inputs.tiles.chunks_mut(ORDERED / ROWS * per_input);
            team::each(x.chunks(ORDERED * width).zip(tiles), |(x, tiles)| {
                // SAFETY: likewise.
                unsafe { to_tiles(x, width, per_input, tiles) };
            });
        }
        inputs
    }

    /// Room for so many inputs.
    fn zeros(rows: usize, width: usize) -> Self {
        let depth = width.div_ceil(DEPTH);
        let count = match rows {
            1 => (depth * BLOCKS).div_ceil(ROWS),
            rows => rows.div_ceil(ROWS) * depth * BLOCKS,
        };
        Self {
            rows,
            depth,
            tiles: vec![ZEROS; count],
        }
    }

    pub(in super::super) fn rows(&self) -> usize {
        self.rows
    }

    /// Tiles of weights that a column has.
    pub(in super::super) fn depth(&self) -> usize {
        self.depth
    }

    /// Tiles of 16 inputs.
    fn per_input(&self) -> usize {
        self.depth * BLOCKS
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
        store_columns(out, group, sums(products));
    }
}

/// `silu(gate) * up` of several inputs, as inputs of what comes next: of the products with the columns of `tiles`, 16 are gates and the
/// next 16 are what they are for, and so on.
pub(in super::super) fn multiply_gated<T: Unpack>(tiles: &[T], inputs: &Inputs) -> Inputs {
    assert!(inputs.rows > 1);
    let mut gated = Inputs::zeros(inputs.rows, tiles.len() / inputs.depth * COLUMNS / 2);
    // A tile of gated inputs is made from four of columns.
    let of_tile = tiles.chunks(2 * TOGETHER / COLUMNS * inputs.depth);
    let mut places: Vec<Vec<&mut Lines>> = of_tile.clone().map(|_| Vec::new()).collect();
    let per_input = gated.per_input();
    for of_inputs in gated.tiles.chunks_exact_mut(per_input) {
        places
            .iter_mut()
            .zip(of_inputs)
            .for_each(|(tiles, tile)| tiles.push(tile));
    }
    team::each(of_tile.zip(places), |(tiles, mut out)| {
        // SAFETY: inputs are made on such CPUs only.
        unsafe { many_gated(tiles, inputs, &mut out) };
    });
    gated
}

/// Of 64 columns, 32 of which are gates, makes one tile for each 16 inputs.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn many_gated<T: Unpack>(tiles: &[T], inputs: &Inputs, out: &mut [&mut Lines]) {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of(gates: __m512i, values: __m512i) -> __m512 {
        gate(_mm512_castsi512_ps(gates), _mm512_castsi512_ps(values))
    }
    let mut products = Products::new(inputs);
    let turns = pairs();
    for (group, tiles) in tiles.chunks_exact(2 * inputs.depth).enumerate() {
        products.unpack(tiles);
        for (pair, out) in out.chunks_mut(2).enumerate() {
            let sums = products.of(tiles, pair);
            for (out, [gates, values]) in out.iter_mut().zip(sums.as_chunks::<2>().0) {
                let lines = &mut out[group * COLUMNS / 2..][..COLUMNS / 2];
                let (gates, values) = (gates.as_chunks::<2>().0, values.as_chunks::<2>().0);
                for (line, (gates, values)) in lines.iter_mut().zip(gates.iter().zip(values)) {
                    let both = to_line(of(gates[0], values[0]), of(gates[1], values[1]));
                    *line = Line::of(_mm512_permutexvar_epi16(turns, both.words()));
                }
            }
        }
    }
}

/// 16 inputs, or twice 16, with twice 16 columns at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn many<T: Unpack>(tiles: &[T], inputs: &Inputs, out: &mut [&mut [f32]]) {
    let mut products = Products::new(inputs);
    for (group, tiles) in tiles.chunks_exact(2 * inputs.depth).enumerate() {
        products.unpack(tiles);
        for (pair, out) in out.chunks_mut(2 * ROWS).enumerate() {
            let sums = products.of(tiles, pair);
            for (out, halves) in out.chunks_mut(ROWS).zip(sums.as_chunks_mut::<2>().0) {
                for (half, rows) in halves.iter_mut().enumerate() {
                    transpose(rows);
                    for (out, row) in out.iter_mut().zip(*rows) {
                        store_columns(out, 2 * group + half, _mm512_castsi512_ps(row));
                    }
                }
            }
        }
    }
}

/// The products of several inputs with twice 16 columns after twice 16 columns.
struct Products<'a> {
    inputs: &'a Inputs,
    /// Twice 16 columns, those of the first 16 first. Empty where there are so few inputs that columns are needed only once: they are
    /// multiplied as they are unpacked, while they are near, and the next are on their way from memory.
    columns: Vec<Lines>,
    sums: [Sums; 4],
    _configured: Configured,
}

impl<'a> Products<'a> {
    /// For CPUs on which inputs are made.
    fn new(inputs: &'a Inputs) -> Self {
        let columns = if inputs.rows <= 2 * ROWS {
            0
        } else {
            2 * inputs.per_input()
        };
        Self {
            inputs,
            columns: vec![ZEROS; columns],
            sums: NO_SUMS,
            _configured: Configured::new(),
        }
    }

    /// Goes on to these columns.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn unpack<T: Unpack>(&mut self, tiles: &[T]) {
        for (lines, tile) in self.columns.as_chunks_mut::<BLOCKS>().0.iter_mut().zip(tiles) {
            unpack(tile, lines);
        }
    }

    /// The products of these columns with one pair of 16 inputs: of the first 16 columns and of the next with the first inputs, then with the others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn of<T: Unpack>(&mut self, tiles: &[T], pair: usize) -> &mut [Sums; 4] {
        let per_input = self.inputs.per_input();
        let inputs = &self.inputs.tiles[2 * pair * per_input..];
        let (first, rest) = inputs.split_at(per_input);
        let second = rest.get(..per_input);
        // SAFETY: tiles are configured.
        unsafe {
            zero();
            if self.columns.is_empty() {
                let (tiles, others) = tiles.split_at(self.inputs.depth);
                // What is written is not read at once, or reading would wait for it: the next columns are unpacked in between.
                let mut columns = [[[ZEROS; BLOCKS]; 2]; 2];
                unpack_both((&tiles[0], &others[0]), &mut columns[0]);
                for place in 0..tiles.len() {
                    if let Some(next) = tiles.get(place + 1).zip(others.get(place + 1)) {
                        unpack_both(next, &mut columns[(place + 1) % 2]);
                    }
                    let ([one, other], at) = (&columns[place % 2], place * BLOCKS);
                    for block in 0..BLOCKS {
                        let second = second.map(|second| &second[at + block]);
                        add_products((&one[block], &other[block]), &first[at + block], second);
                    }
                }
            } else {
                let columns = self.columns.split_at(per_input);
                for (at, columns) in columns.0.iter().zip(columns.1).enumerate() {
                    add_products(columns, &first[at], second.map(|second| &second[at]));
                }
            }
            take_sums(&mut self.sums);
        }
        &mut self.sums
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn unpack_both<T: Unpack>((tile, other): (&T, &T), [first, second]: &mut [[Lines; BLOCKS]; 2]) {
    unpack(tile, first);
    unpack(other, second);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn unpack<T: Unpack>(tile: &T, [first, second]: &mut [Lines; BLOCKS]) {
    ask_for(tile);
    // SAFETY: this function is for such CPUs, too.
    let scales = unsafe { tile.scales() };
    for (column, (first, second)) in first.iter_mut().zip(second).enumerate() {
        // SAFETY: likewise.
        [*first, *second] = unsafe { tile.column(column, &scales) };
    }
}

/// Takes the numbers of two halves of a register in turns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pairs() -> __m512i {
    const TURNS: [u16; 32] = {
        let mut turns = [0; 32];
        let mut i = 0;
        while i < 16 {
            turns[2 * i] = i as u16;
            turns[2 * i + 1] = i as u16 + 16;
            i += 1;
        }
        turns
    };
    // SAFETY: 64 bytes are read.
    unsafe { _mm512_loadu_si512(TURNS.as_ptr().cast()) }
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

/// 16 columns' products with 16 inputs, `[columns, inputs]`, in `f32`.
type Sums = [__m512i; COLUMNS];

// SAFETY: 64 bytes of zeros are a register of zeros.
const NO_SUMS: [Sums; 4] = unsafe { std::mem::zeroed() };

/// Empties the tiles of sums.
///
/// # Safety
/// While tiles are [`Configured`].
#[inline]
unsafe fn zero() {
    // SAFETY: the compiler has no use for tiles.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nostack, nomem, preserves_flags)
        );
    }
}

/// Adds the products of 32 numbers of twice 16 columns with those of 16 inputs to the first two tiles of sums, and with those of 16
/// others to the next two.
///
/// # Safety
/// While tiles are [`Configured`].
#[inline]
unsafe fn add_products(columns: (&Lines, &Lines), input: &Lines, other: Option<&Lines>) {
    // SAFETY: tiles of 1024 bytes are read, which is what lines have. The compiler has no use for tiles.
    unsafe {
        asm!(
            "tileloadd tmm6, [{input} + {stride}*1]",
            "tileloadd tmm4, [{first} + {stride}*1]",
            "tileloadd tmm5, [{second} + {stride}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm5, tmm6",
            input = in(reg) input, first = in(reg) columns.0, second = in(reg) columns.1,
            stride = in(reg) size_of::<Line>(),
            options(nostack, readonly, preserves_flags)
        );
        if let Some(other) = other {
            asm!(
                "tileloadd tmm7, [{other} + {stride}*1]",
                "tdpbf16ps tmm2, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                other = in(reg) other, stride = in(reg) size_of::<Line>(),
                options(nostack, readonly, preserves_flags)
            );
        }
    }
}

/// The tiles of sums.
///
/// # Safety
/// While tiles are [`Configured`].
#[inline]
unsafe fn take_sums(sums: &mut [Sums; 4]) {
    // SAFETY: four tiles of 1024 bytes are written.
    unsafe {
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
