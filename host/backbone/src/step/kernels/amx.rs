//! For CPUs that multiply tiles of `bf16` (AMX), which have AVX-512, too.
//!
//! A few inputs are multiplied in `f32`, as weights are unpacked: that costs what it costs to read them. For more, the columns are
//! unpacked to `bf16` once and multiplied 16 inputs at a time.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::super::blocks::BLOCK;
use super::super::tiles::{COLUMNS, HALF, PAIRS, Tile, Tile4, Tile8};

/// Columns that are multiplied together: two tiles.
pub(in super::super) const TOGETHER: usize = 2 * COLUMNS;

/// Up to how many inputs are multiplied as the weights are unpacked.
const FEW: usize = 2;

/// How far ahead of what is multiplied memory is asked for, in bytes.
const AHEAD: usize = 4096;

/// Inputs of a tile.
const ROWS: usize = 16;

/// 32 numbers in `bf16`: a row of a tile of inputs, or 16 pairs of weights.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u16; 32]);

type Lines = [Line; ROWS];

const ZEROS: Lines = [Line([0; 32]); ROWS];

/// Whether this process may use such a CPU.
pub(in super::super) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| {
        let vectors = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        vectors && has_tiles() && may_use_tiles()
    });
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

/// What a tile is unpacked with: for each half of a row, `scale` and `min` of its columns, twice side by side.
struct Scales {
    scale: [__m512; 2],
    min: [__m512; 2],
}

impl Scales {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of<T: Tile>(tile: &T) -> Self {
        let (scale, min) = tile.scales();
        // SAFETY: sixteen floats are read.
        let (scale, min) = unsafe { (_mm512_loadu_ps(scale.as_ptr()), _mm512_loadu_ps(min.as_ptr())) };
        let first = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
        let last = _mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8);
        Self {
            scale: [_mm512_permutexvar_ps(first, scale), _mm512_permutexvar_ps(last, scale)],
            min: [_mm512_permutexvar_ps(first, min), _mm512_permutexvar_ps(last, min)],
        }
    }

    /// `min + scale * code`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn apply(&self, codes: [__m512i; 2]) -> [__m512; 2] {
        [
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(codes[0]), self.scale[0], self.min[0]),
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(codes[1]), self.scale[1], self.min[1]),
        ]
    }
}

/// A tile whose codes are read into registers.
pub(in super::super) trait Unpack: Tile {
    /// The codes of one row, as whole numbers: of the first eight columns, and of the last.
    ///
    /// # Safety
    /// For CPUs with AVX-512.
    unsafe fn row(&self, row: usize) -> [__m512i; 2];
}

impl Unpack for Tile4 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn row(&self, row: usize) -> [__m512i; 2] {
        // SAFETY: a row is 16 bytes.
        let both = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(self.codes[row].as_ptr().cast()) });
        [
            _mm512_and_si512(both, _mm512_set1_epi32(15)),
            _mm512_srli_epi32::<4>(both),
        ]
    }
}

impl Unpack for Tile8 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn row(&self, row: usize) -> [__m512i; 2] {
        const { assert!(HALF == 16) };
        // SAFETY: half a row is 16 bytes.
        let [first, last] = self.codes[row]
            .each_ref()
            .map(|half| unsafe { _mm_loadu_si128(half.as_ptr().cast()) });
        [_mm512_cvtepi8_epi32(first), _mm512_cvtepi8_epi32(last)]
    }
}

/// Inputs `[rows, width]` in the order in which they are multiplied.
pub(in super::super) struct Inputs<'a> {
    x: &'a [f32],
    width: usize,
    /// Tiles of 16 inputs and 32 numbers: those of the first 16 inputs, then those of the next. None for [`FEW`] inputs.
    tiles: Vec<Lines>,
}

impl<'a> Inputs<'a> {
    pub(in super::super) fn new(x: &'a [f32], width: usize) -> Self {
        assert!(is_there() && width.is_multiple_of(BLOCK) && x.len().is_multiple_of(width));
        let mut tiles = Vec::new();
        if x.len() / width > FEW {
            tiles.resize((x.len() / width).div_ceil(ROWS) * (width / BLOCK), ZEROS);
            // SAFETY: the CPU has what the function is compiled for.
            unsafe { to_tiles(x, width, &mut tiles) };
        }
        Self { x, width, tiles }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn to_tiles(x: &[f32], width: usize, tiles: &mut [Lines]) {
    let per_row = width / BLOCK;
    for (row, x) in x.chunks_exact(width).enumerate() {
        let tiles = &mut tiles[row / ROWS * per_row..][..per_row];
        for (tile, x) in tiles.iter_mut().zip(x.as_chunks::<BLOCK>().0) {
            // SAFETY: thirty-two floats are read.
            let (first, last) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
            tile[row % ROWS] = to_line(first, last);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn to_line(first: __m512, last: __m512) -> Line {
    let both = _mm512_cvtne2ps_pbh(last, first);
    // SAFETY: both are 64 bytes without any that may not be copied.
    unsafe { std::mem::transmute::<__m512bh, Line>(both) }
}

/// `out[row][column] = x[row] . weights[column]` for the columns of these tiles, a multiple of [`TOGETHER`]; the last may be more
/// than there is room for in `out`.
pub(in super::super) fn multiply<T: Unpack>(tiles: &[T], inputs: &Inputs<'_>, out: &mut [&mut [f32]]) {
    assert!(out.len() == inputs.x.len() / inputs.width);
    // SAFETY: inputs are made on such CPUs only.
    unsafe {
        match out.len() {
            1 => few::<T, 1>(tiles, inputs, out),
            2 => few::<T, 2>(tiles, inputs, out),
            _ => many(tiles, inputs, out),
        }
    }
}

/// Unpacks and multiplies at once.
#[target_feature(enable = "avx512f")]
fn few<T: Unpack, const INPUTS: usize>(tiles: &[T], inputs: &Inputs<'_>, out: &mut [&mut [f32]]) {
    let per_column = inputs.width / BLOCK;
    let (x, _) = inputs.x.as_chunks::<BLOCK>();
    for (group, tiles) in tiles.chunks_exact(per_column).enumerate() {
        // Odd and even rows apart, so that a product need not wait for the one before it.
        let mut sums = [[[_mm512_setzero_ps(); 2]; 2]; INPUTS];
        for (at, tile) in tiles.iter().enumerate() {
            ask_for(tile);
            let scales = Scales::of(tile);
            for row in 0..PAIRS {
                // SAFETY: this function is for CPUs with AVX-512, too.
                let [first, last] = scales.apply(unsafe { tile.row(row) });
                for (input, sums) in sums.iter_mut().enumerate() {
                    let pair = &x[input * per_column + at][2 * row..][..2];
                    // SAFETY: two floats are read as one number of 64 bits.
                    let pair =
                        _mm512_castpd_ps(_mm512_set1_pd(unsafe { pair.as_ptr().cast::<f64>().read_unaligned() }));
                    let sums = &mut sums[row % 2];
                    sums[0] = _mm512_fmadd_ps(first, pair, sums[0]);
                    sums[1] = _mm512_fmadd_ps(last, pair, sums[1]);
                }
            }
        }
        for (sums, out) in sums.iter().zip(out.iter_mut()) {
            let first = _mm512_add_ps(sums[0][0], sums[1][0]);
            let last = _mm512_add_ps(sums[0][1], sums[1][1]);
            // The sum of each pair.
            let evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
            let odds = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
            let all = _mm512_add_ps(
                _mm512_permutex2var_ps(first, evens, last),
                _mm512_permutex2var_ps(first, odds, last),
            );
            let mut columns = [0.0; COLUMNS];
            // SAFETY: sixteen floats are written.
            unsafe { _mm512_storeu_ps(columns.as_mut_ptr(), all) };
            store(out, group, &columns);
        }
    }
}

/// Unpacks, and multiplies 16 inputs, or twice 16, with two tiles at a time.
#[target_feature(enable = "avx512f,avx512bf16")]
fn many<T: Unpack>(tiles: &[T], inputs: &Inputs<'_>, out: &mut [&mut [f32]]) {
    let per_column = inputs.width / BLOCK;
    let mut columns = vec![ZEROS; 2 * per_column];
    let _configured = Configured::new();
    for (group, tiles) in tiles.chunks_exact(2 * per_column).enumerate() {
        for (tile, lines) in tiles.iter().zip(&mut columns) {
            ask_for(tile);
            let scales = Scales::of(tile);
            for (row, line) in lines.iter_mut().enumerate() {
                // SAFETY: this function is for CPUs with AVX-512, too.
                let [first, last] = scales.apply(unsafe { tile.row(row) });
                *line = to_line(first, last);
            }
        }
        let columns = columns.split_at(per_column);
        let pairs = inputs.tiles.chunks(2 * per_column).zip(out.chunks_mut(2 * ROWS));
        for (inputs, out) in pairs {
            let mut sums = [[[0.0; COLUMNS]; ROWS]; 4];
            let (first, second) = inputs.split_at(per_column);
            // SAFETY: tiles are configured.
            unsafe {
                if second.is_empty() {
                    one_by_two(first, columns, &mut sums);
                } else {
                    two_by_two((first, second), columns, &mut sums);
                }
            }
            for (out, sums) in out.chunks_mut(ROWS).zip(sums.chunks(2)) {
                for (row, out) in out.iter_mut().enumerate() {
                    store(out, 2 * group, &sums[0][row]);
                    store(out, 2 * group + 1, &sums[1][row]);
                }
            }
        }
    }
}

/// Writes the sums of 16 columns; there may be room for fewer.
#[inline(always)]
fn store(out: &mut [f32], group: usize, sums: &[f32; COLUMNS]) {
    let out = out.get_mut(group * COLUMNS..).unwrap_or_default();
    match out.first_chunk_mut::<COLUMNS>() {
        Some(out) => *out = *sums,
        None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum),
    }
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
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags))
        };
        Self
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the CPU has tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// The products of 16 inputs with twice 16 columns: the first two of `sums`.
///
/// # Safety
/// While tiles are [`Configured`].
unsafe fn one_by_two(inputs: &[Lines], columns: (&[Lines], &[Lines]), sums: &mut [[[f32; COLUMNS]; ROWS]; 4]) {
    assert!(columns.0.len() == inputs.len() && columns.1.len() == inputs.len());
    // SAFETY: as many tiles of 1024 bytes are read as there are; two of 1024 bytes are written. The compiler has no use for tiles.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            options(nostack, nomem, preserves_flags)
        );
        for ((input, first), second) in inputs.iter().zip(columns.0).zip(columns.1) {
            asm!(
                "tileloadd tmm4, [{input} + {stride}*1]",
                "tileloadd tmm6, [{first} + {stride}*1]",
                "tileloadd tmm7, [{second} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                input = in(reg) input, first = in(reg) first, second = in(reg) second, stride = in(reg) size_of::<Line>(),
                options(nostack, readonly, preserves_flags)
            );
        }
        asm!(
            "tilestored [{first} + {stride}*1], tmm0",
            "tilestored [{second} + {stride}*1], tmm1",
            first = in(reg) &raw mut sums[0], second = in(reg) &raw mut sums[1], stride = in(reg) size_of::<Line>(),
            options(nostack, preserves_flags)
        );
    }
}

/// The products of twice 16 inputs with twice 16 columns: of the first inputs, then of the second.
///
/// # Safety
/// While tiles are [`Configured`].
unsafe fn two_by_two(
    inputs: (&[Lines], &[Lines]),
    columns: (&[Lines], &[Lines]),
    sums: &mut [[[f32; COLUMNS]; ROWS]; 4],
) {
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
        for ((one, two), (first, second)) in of_inputs.zip(columns.0.iter().zip(columns.1)) {
            asm!(
                "tileloadd tmm4, [{one} + {stride}*1]",
                "tileloadd tmm6, [{first} + {stride}*1]",
                "tileloadd tmm7, [{second} + {stride}*1]",
                "tileloadd tmm5, [{two} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
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
