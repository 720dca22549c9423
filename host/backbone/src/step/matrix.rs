//! A matrix of weights, and the products of a few inputs with it.

use tch::{Kind, Tensor};

use super::blocks::{BLOCK, Block, Block4, Block8, GROUP, pack};
use super::kernels;
#[cfg(target_arch = "x86_64")]
use super::kernels::amx;
use super::kernels::whole;
use super::rounded::Inputs;
use super::shelf::{Shelf, Shelved};
use super::tiles::{self, Lanes4, Lanes8};
#[cfg(target_arch = "x86_64")]
use super::tiles::{Tile4, Tile8};
use crate::cpu::{memory, team};
use crate::hardware::Products;
use crate::{BackboneError, WeightFormat};

/// Up to how many inputs are multiplied with packed weights where libtorch multiplies `bf16` and we cannot (see [`amx`]): few cost
/// what it costs to read the weights, and packed ones are small; with more the products are the cost.
const PACKED_ROWS_BF16: usize = 6;

/// Columns that a thread multiplies before it asks for more, whole groups and tiles: some ten microseconds of work.
const PART: usize = 96;

/// How far, of the largest weight of a block, four bits may be from the weights they stand for, to be taken for them: what the
/// rounding of a file's own blocks to `f32` leaves.
const SAME: f32 = 1e-5;

/// Likewise where the weights were rounded to `bf16`: each by 2^-9 of itself, and so were the ends of its block.
const SAME_BF16: f32 = 1.01 / 256.0;

/// Memory that each product of a step uses again.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Rounded inputs of a product, and those that a gated one makes of the next.
    inputs: Inputs,
    gated_inputs: Inputs,
    /// Gates with what they are for, and what comes of them.
    both: Vec<f32>,
    gated: Vec<f32>,
}

/// Weights `[columns, width]`, for products with vectors of length `width`.
#[derive(Debug)]
pub(super) struct Matrix {
    /// As the model computes with it; shared with the model.
    full: Tensor,
    packed: Option<Packed>,
}

#[derive(Debug)]
enum Packed {
    Four(Shelved<[Block4; GROUP]>),
    Eight(Shelved<[Block8; GROUP]>),
    #[cfg(target_arch = "x86_64")]
    TiledFour(Shelved<Tile4>),
    #[cfg(target_arch = "x86_64")]
    TiledEight(Shelved<Tile8>),
    LanesFour(Shelved<Lanes4>),
    LanesEight(Shelved<Lanes8>),
}

impl Matrix {
    /// Packed weights are put on the shelf.
    pub(super) fn new(weights: &Tensor, how: Products, shelf: &mut Shelf) -> Result<Self, BackboneError> {
        let full = weights.shallow_clone();
        if !is_packed(weights, how) {
            return Ok(Self { full, packed: None });
        }
        let numbers = weights.f_to_kind(Kind::Float)?;
        let (numbers, width) = (memory::numbers::<f32>(&numbers)?, weights.size()[1] as usize);
        let same = if full.kind() == Kind::Float { SAME } else { SAME_BF16 };
        let four = match how.weights {
            WeightFormat::Auto => four_bits_suffice(numbers, same),
            format => format == WeightFormat::Int4,
        };
        if how.inputs_in_int8 {
            let packed = Some(if four {
                Packed::LanesFour(shelf.put(&tiles::pack(numbers, width, tiles::COLUMNS))?)
            } else {
                Packed::LanesEight(shelf.put(&tiles::pack(numbers, width, tiles::COLUMNS))?)
            });
            return Ok(Self { full, packed });
        }
        #[cfg(target_arch = "x86_64")]
        if full.kind() == Kind::BFloat16 && amx::is_there() {
            let packed = Some(if four {
                Packed::TiledFour(shelf.put(&tiles::pack(numbers, width, amx::TOGETHER))?)
            } else {
                Packed::TiledEight(shelf.put(&tiles::pack(numbers, width, amx::TOGETHER))?)
            });
            return Ok(Self { full, packed });
        }
        let packed = if four {
            Packed::Four(shelf.put(&pack(numbers, width))?)
        } else {
            Packed::Eight(shelf.put(&pack(numbers, width))?)
        };
        Ok(Self {
            full,
            packed: Some(packed),
        })
    }

    pub(super) fn columns(&self) -> usize {
        self.full.size()[0] as usize
    }

    /// Bytes that a product with one input reads.
    pub(super) fn bytes(&self) -> usize {
        match &self.packed {
            None => self.full.numel() * self.full.kind().elt_size_in_bytes(),
            Some(Packed::Four(groups)) => size_of_val(&groups[..]),
            Some(Packed::Eight(groups)) => size_of_val(&groups[..]),
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(tiles)) => size_of_val(&tiles[..]),
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledEight(tiles)) => size_of_val(&tiles[..]),
            Some(Packed::LanesFour(tiles)) => size_of_val(&tiles[..]),
            Some(Packed::LanesEight(tiles)) => size_of_val(&tiles[..]),
        }
    }

    /// Whether any number of inputs is multiplied with packed weights.
    pub(super) fn is_always_packed(&self) -> bool {
        match &self.packed {
            None => false,
            Some(Packed::Four(_) | Packed::Eight(_)) => self.full.kind() == Kind::Float,
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(_) | Packed::TiledEight(_)) => true,
            Some(Packed::LanesFour(_) | Packed::LanesEight(_)) => true,
        }
    }

    fn packed_is_faster(&self, rows: usize) -> bool {
        self.full.kind() != Kind::BFloat16 || rows <= PACKED_ROWS_BF16
    }

    /// The products with the inputs `x [rows, width]`: `[rows, columns]`, in place of what is in `out`.
    pub(super) fn multiply(
        &self,
        x: &[f32],
        rows: usize,
        room: &mut Room,
        out: &mut [f32],
    ) -> Result<(), BackboneError> {
        assert!(
            out.len() == rows * self.columns(),
            "room for another number of products"
        );
        if rows == 0 {
            return Ok(());
        }
        match &self.packed {
            Some(Packed::Four(groups)) if self.packed_is_faster(rows) => multiply_packed(groups, x, rows, out),
            Some(Packed::Eight(groups)) if self.packed_is_faster(rows) => multiply_packed(groups, x, rows, out),
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(_) | Packed::TiledEight(_)) => {
                self.multiply_tiled(&amx::Inputs::new(x, x.len() / rows), out);
            }
            Some(Packed::LanesFour(_) | Packed::LanesEight(_)) => {
                self.multiply_rounded(room.inputs.round(x, rows), out);
            }
            _ => {
                let x = Tensor::f_from_slice(x)?.f_view([rows as i64, -1])?;
                let products = x.f_to_kind(self.full.kind())?.f_linear(&self.full, None::<&Tensor>)?;
                let columns = self.columns();
                products.f_to_kind(Kind::Float)?.f_copy_data(out, rows * columns)?;
            }
        }
        Ok(())
    }

    /// [`Self::multiply`] of inputs that are rounded, with weights in lanes.
    fn multiply_rounded(&self, inputs: &Inputs, out: &mut [f32]) {
        match &self.packed {
            Some(Packed::LanesFour(tiles)) => multiply_lanes(tiles, inputs, out),
            Some(Packed::LanesEight(tiles)) => multiply_lanes(tiles, inputs, out),
            _ => unreachable!("rounded inputs are for weights in lanes"),
        }
    }

    /// [`Self::multiply`] of inputs and weights in tiles.
    #[cfg(target_arch = "x86_64")]
    fn multiply_tiled(&self, inputs: &amx::Inputs, out: &mut [f32]) {
        match &self.packed {
            Some(Packed::TiledFour(tiles)) => multiply_tiled(tiles, inputs, out),
            Some(Packed::TiledEight(tiles)) => multiply_tiled(tiles, inputs, out),
            _ => unreachable!("inputs in tiles are for weights in tiles"),
        }
    }
}

/// The two matrices around the gate of a layer: `down(silu(gate(x)) * up(x))`.
#[derive(Debug)]
pub(super) struct FeedForward {
    gate_up: Matrix,
    down: Matrix,
    /// Where both are packed for products that make the next product's inputs: how many columns of gates there are in `gate_up` before
    /// those of what they are for, and so on. Else all gates come first.
    turns: Option<usize>,
}

impl FeedForward {
    /// Of `gate_up [2 ffn, hidden]` and `down [hidden, ffn]`.
    pub(super) fn new(
        gate_up: &Tensor,
        down: &Tensor,
        how: Products,
        shelf: &mut Shelf,
    ) -> Result<Self, BackboneError> {
        let down = Matrix::new(down, how, shelf)?;
        let turns = match &down.packed {
            Some(Packed::LanesFour(_) | Packed::LanesEight(_)) => Some(whole::TURNS),
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(_) | Packed::TiledEight(_)) => Some(tiles::COLUMNS),
            _ => None,
        };
        let turns = turns.filter(|_| is_packed(gate_up, how));
        let gate_up = match turns {
            None => Matrix::new(gate_up, how, shelf)?,
            Some(turns) => {
                let (columns, width) = gate_up.size2()?;
                let in_turns = gate_up.f_view([2, -1, turns as i64, width])?.f_transpose(0, 1)?;
                Matrix {
                    packed: Matrix::new(&in_turns.f_reshape([columns, width])?, how, shelf)?.packed,
                    full: gate_up.shallow_clone(),
                }
            }
        };
        Ok(Self { gate_up, down, turns })
    }

    /// Of the inputs `x [rows, hidden]`, `[rows, hidden]` in place of what is in `out`.
    pub(super) fn apply(&self, x: &[f32], rows: usize, room: &mut Room, out: &mut [f32]) -> Result<(), BackboneError> {
        if rows == 0 {
            return Ok(());
        }
        match &self.gate_up.packed {
            _ if self.turns.is_none() => {}
            Some(Packed::LanesFour(tiles)) => {
                whole::multiply_gated(tiles, room.inputs.round(x, rows), &mut room.gated_inputs);
                self.down.multiply_rounded(&room.gated_inputs, out);
                return Ok(());
            }
            Some(Packed::LanesEight(tiles)) => {
                whole::multiply_gated(tiles, room.inputs.round(x, rows), &mut room.gated_inputs);
                self.down.multiply_rounded(&room.gated_inputs, out);
                return Ok(());
            }
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(tiles)) if rows > 1 => {
                let gated = amx::multiply_gated(tiles, &amx::Inputs::new(x, x.len() / rows));
                self.down.multiply_tiled(&gated, out);
                return Ok(());
            }
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledEight(tiles)) if rows > 1 => {
                let gated = amx::multiply_gated(tiles, &amx::Inputs::new(x, x.len() / rows));
                self.down.multiply_tiled(&gated, out);
                return Ok(());
            }
            _ => {}
        }
        let [mut both, mut gated] = [&mut room.both, &mut room.gated].map(std::mem::take);
        both.resize(rows * self.gate_up.columns(), 0.0);
        gated.resize(both.len() / 2, 0.0);
        self.gate_up.multiply(x, rows, room, &mut both)?;
        let ffn = gated.len() / rows;
        let turns = self.turns.unwrap_or(ffn);
        super::for_rows(&both, &mut gated, (2 * ffn, ffn), |both, gated| {
            kernels::gate(both, turns, gated);
        });
        self.down.multiply(&gated, rows, room, out)?;
        (room.both, room.gated) = (both, gated);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.gate_up.bytes() + self.down.bytes()
    }
}

/// Whether the weights are packed, as far as they are of whole blocks.
fn is_packed(weights: &Tensor, how: Products) -> bool {
    how.weights != WeightFormat::Full && weights.size()[1] % BLOCK as i64 == 0
}

/// Whether four bits say all that is in the weights.
fn four_bits_suffice(weights: &[f32], same: f32) -> bool {
    weights.as_chunks::<BLOCK>().0.iter().all(|weights| {
        let decoded = Block4::encode(weights).decode();
        let most = weights.iter().fold(0.0, |most: f32, weight| most.max(weight.abs()));
        weights
            .iter()
            .zip(decoded)
            .all(|(weight, decoded)| (weight - decoded).abs() <= most * same)
    })
}

/// The columns in parts, each of them by one thread.
fn multiply_packed<B: Block>(groups: &[[B; GROUP]], x: &[f32], rows: usize, out: &mut [f32]) {
    let width = x.len() / rows;
    let groups = groups.chunks(PART / GROUP * (width / BLOCK));
    team::each(groups.zip(parts(out, rows).chunks_mut(rows)), |(groups, out)| {
        kernels::multiply(groups, x, width, out);
    });
}

/// Likewise, with tiles.
#[cfg(target_arch = "x86_64")]
fn multiply_tiled<T: amx::Unpack>(tiles: &[T], inputs: &amx::Inputs, out: &mut [f32]) {
    let of_parts = tiles.chunks(PART / tiles::COLUMNS * inputs.depth());
    let rows = inputs.rows();
    team::each(of_parts.zip(parts(out, rows).chunks_mut(rows)), |(tiles, out)| {
        amx::multiply(tiles, inputs, out);
    });
}

/// Likewise, with lanes.
fn multiply_lanes<T: whole::Lanes>(tiles: &[T], inputs: &Inputs, out: &mut [f32]) {
    let of_parts = tiles.chunks(PART / tiles::COLUMNS * inputs.depth());
    let rows = inputs.rows();
    team::each(of_parts.zip(parts(out, rows).chunks_mut(rows)), |(tiles, out)| {
        whole::multiply(tiles, inputs, out);
    });
}

/// Of the outputs `[rows, columns]` the columns of each part, row by row: as many slices a part as there are rows.
fn parts(out: &mut [f32], rows: usize) -> Vec<&mut [f32]> {
    let columns = out.len() / rows;
    let mut rest: Vec<_> = out.chunks_exact_mut(columns).map(|row| row.chunks_mut(PART)).collect();
    let mut parts = Vec::with_capacity(rows * columns.div_ceil(PART));
    for _ in 0..columns.div_ceil(PART) {
        parts.extend(rest.iter_mut().filter_map(Iterator::next));
    }
    parts
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{FeedForward, Matrix, Packed, Room, Shelf};
    use crate::hardware::Products;
    use crate::{BackboneError, WeightFormat};

    /// How numbers are held, and whether inputs are rounded to eight bits.
    const KINDS: [(Kind, bool); 4] = [
        (Kind::Float, false),
        (Kind::BFloat16, false),
        (Kind::Float, true),
        (Kind::BFloat16, true),
    ];

    fn how(weights: WeightFormat, inputs_in_int8: bool) -> Products {
        Products {
            weights,
            inputs_in_int8,
        }
    }

    fn new(weights: &Tensor, how: Products) -> Result<Matrix, BackboneError> {
        Matrix::new(weights, how, &mut Shelf::default())
    }

    /// One input, several, and a width of no whole blocks.
    #[test]
    fn products_are_those_of_libtorch() {
        // 16 inputs are a tile; 33 are two and a rest.
        for (width, rows) in [(64, 1), (64, 2), (64, 5), (64, 16), (64, 33), (40, 3)] {
            let weights = Tensor::randn([130, width], (Kind::Float, Device::Cpu));
            let x = Tensor::randn([rows as i64, width], (Kind::Float, Device::Cpu));
            let expected = x.linear(&weights, None::<&Tensor>);
            for (format, tolerance) in [
                (WeightFormat::Full, 1e-4),
                (WeightFormat::Int8, 0.3),
                (WeightFormat::Int4, 5.0),
            ] {
                for (kind, rounded) in KINDS {
                    // In `bf16` each product is off by up to 2^-8 of it, in eight bits by half a step.
                    let rounding = f64::from(kind == Kind::BFloat16) * 0.25 + f64::from(rounded) * 0.25;
                    let matrix = new(&weights.to_kind(kind), how(format, rounded)).expect("a valid matrix");
                    let numbers: Vec<f32> = Vec::try_from(x.view(-1)).expect("numbers");
                    let mut products = vec![0.0; rows * 130];
                    matrix
                        .multiply(&numbers, rows, &mut Room::default(), &mut products)
                        .expect("valid inputs");
                    let far = (Tensor::from_slice(&products).view_as(&expected) - &expected)
                        .abs()
                        .max()
                        .double_value(&[]);
                    let tolerance = tolerance + rounding;
                    assert!(
                        far < tolerance,
                        "{kind:?}, {rounded}, {format:?}, {rows} x {width}: {far}"
                    );
                }
            }
        }
    }

    /// In `bf16` and in eight bits, too, whose rounding loses nothing of these weights and inputs: so that no place of a tile can be another's.
    /// Where there are no tiles, products of many rows in `bf16` are libtorch's, and rounded themselves.
    #[test]
    fn products_of_what_four_bits_can_say_are_exact() {
        for (columns, width, rows) in [(130, 64, 1), (130, 64, 2), (33, 96, 17), (130, 160, 40)] {
            let codes = Tensor::randint(16, [columns, width], (Kind::Float, Device::Cpu));
            // Both ends are there in every block, as in a file's.
            let _ = codes.view([-1, 32]).select(1, 0).fill_(0.0);
            let _ = codes.view([-1, 32]).select(1, 1).fill_(15.0);
            let weights = codes * 0.125 - 1.0;
            let x = Tensor::randint(255, [rows, width], (Kind::Float, Device::Cpu)) - 127;
            let _ = x.view([-1, 32]).select(1, 3).fill_(127.0);
            let expected = x.linear(&weights, None::<&Tensor>);
            for (kind, rounded) in KINDS {
                let matrix = new(&weights.to_kind(kind), how(WeightFormat::Auto, rounded)).expect("a valid matrix");
                let numbers: Vec<f32> = Vec::try_from(x.view(-1)).expect("numbers");
                let mut products = vec![0.0; (rows * columns) as usize];
                matrix
                    .multiply(&numbers, rows as usize, &mut Room::default(), &mut products)
                    .expect("valid inputs");
                let far = (Tensor::from_slice(&products).view_as(&expected) - &expected)
                    .abs()
                    .max()
                    .double_value(&[]);
                let rounding = match kind {
                    Kind::BFloat16 if !rounded && !matrix.is_tiled() => expected.abs().max().double_value(&[]) / 256.0,
                    _ => 0.0,
                };
                assert!(
                    far < 1e-3 + rounding,
                    "{kind:?}, {rounded}, {rows} x {width} x {columns}: {far}"
                );
            }
        }
    }

    impl Matrix {
        fn is_tiled(&self) -> bool {
            #[cfg(target_arch = "x86_64")]
            return matches!(self.packed, Some(Packed::TiledFour(_) | Packed::TiledEight(_)));
            #[cfg(not(target_arch = "x86_64"))]
            false
        }
    }

    /// Inputs alone, several, and as many as fill tiles or not.
    #[test]
    fn a_gated_layer_is_that_of_libtorch() {
        let (hidden, ffn) = (64, 96);
        let weights = |rows, width| {
            let codes = Tensor::randint(16, [rows, width], (Kind::Float, Device::Cpu));
            // Both ends are there in every block, so that four bits say it all.
            let _ = codes.view([-1, 32]).select(1, 0).fill_(0.0);
            let _ = codes.view([-1, 32]).select(1, 1).fill_(15.0);
            codes * 0.02 - 0.15
        };
        let (gate_up, down) = (weights(2 * ffn, hidden), weights(hidden, ffn));
        for rows in [1, 2, 16, 33, 70] {
            let x = Tensor::randn([rows, hidden], (Kind::Float, Device::Cpu));
            let both = x.linear(&gate_up, None::<&Tensor>).chunk(2, 1);
            let expected = (both[0].silu() * &both[1]).linear(&down, None::<&Tensor>);
            for (kind, rounded) in KINDS {
                let rounding = if kind == Kind::Float && !rounded { 1e-3 } else { 0.03 };
                for format in [WeightFormat::Full, WeightFormat::Auto] {
                    let how = how(format, rounded);
                    let layer =
                        FeedForward::new(&gate_up.to_kind(kind), &down.to_kind(kind), how, &mut Shelf::default());
                    let numbers: Vec<f32> = Vec::try_from(x.view(-1)).expect("numbers");
                    let mut out = vec![0.0; (rows * hidden) as usize];
                    layer
                        .and_then(|layer| layer.apply(&numbers, rows as usize, &mut Room::default(), &mut out))
                        .expect("a valid layer");
                    let far = (Tensor::from_slice(&out).view_as(&expected) - &expected).abs().max();
                    let most = expected.abs().max().double_value(&[]);
                    let far = far.double_value(&[]) / most;
                    assert!(far < rounding, "{kind:?}, {how:?}, {rows} rows: {far} of {most}");
                }
            }
        }
    }

    #[test]
    fn four_bits_are_taken_where_they_say_it_all() {
        let codes = Tensor::randint(16, [8, 64], (Kind::Float, Device::Cpu));
        // Both ends are there in every block, as in a file's.
        let _ = codes.view([-1, 32]).select(1, 0).fill_(0.0);
        let _ = codes.view([-1, 32]).select(1, 1).fill_(15.0);
        let packed = |weights: &Tensor| {
            new(weights, how(WeightFormat::Auto, false))
                .expect("a valid matrix")
                .packed
        };
        let in_file = &codes * 0.013 - 0.1;
        assert!(matches!(packed(&in_file), Some(Packed::Four(_))));
        assert!(matches!(packed(&codes.exp2()), Some(Packed::Eight(_))));
        let four = |packed: Option<Packed>| match packed {
            Some(Packed::Four(_)) => true,
            #[cfg(target_arch = "x86_64")]
            Some(Packed::TiledFour(_)) => true,
            _ => false,
        };
        assert!(
            four(packed(&in_file.to_kind(Kind::BFloat16))),
            "rounding to bf16 changes nothing"
        );
        let others = Tensor::randn([8, 64], (Kind::BFloat16, Device::Cpu));
        assert!(!four(packed(&others)));
    }
}
