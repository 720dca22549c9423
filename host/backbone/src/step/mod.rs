//! One more token of each of several sequences, or a piece of a prompt, on a CPU.
//!
//! The same numbers as [`crate::model::Decoder`]'s, but for their rounding. A step has little to compute, a few hundred numbers at a
//! time: as tensor operations, each of which takes some microseconds to begin with, it would cost several times as much. And it
//! reads every weight once, so that weights of fewer bits are faster weights.

mod blocks;
mod kernels;
mod matrix;
mod rounded;
mod shelf;
mod tiles;

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::BackboneError;
use crate::cache::DecoderCache;
use crate::config::{Family, ModelConfig, Shape};
use crate::cpu::memory::{Element, numbers, numbers_mut};
use crate::cpu::team;
use crate::hardware::Products;
use crate::model::{Decoder, Layer};

#[cfg(target_arch = "x86_64")]
use kernels::{amx::attention as by_tiles, prompt as by_lanes};
use matrix::{FeedForward, Matrix, Room};
use shelf::Shelf;

/// From how many products on the attention of a step is shared between threads: to wake one takes as long as some ten thousand.
const SHARED_ATTENTION: usize = 200_000;

/// From how many tokens on a prompt's attend sixteen at a time, where the CPU can do that.
#[cfg(target_arch = "x86_64")]
const PROMPT_ATTENTION: usize = 8;

/// Tokens of a prompt that attend together.
#[cfg(target_arch = "x86_64")]
const PROMPT_TOKENS: usize = 16;

/// From how many numbers on the rows of a step are shared between threads.
const SHARED_ROWS: usize = 50_000;

/// From how many queries, keys and values on those of several sequences are turned and kept by several threads: there is more to do with
/// each than with the numbers of a row.
const SHARED_SEQUENCES: usize = 10_000;

/// Whether steps are made here of such a model: a decoder whose heads are a multiple of 8 wide, of a family with RMS norms, gates
/// of SiLU and no biases but those of queries, keys and values.
pub(crate) fn is_for(config: &ModelConfig) -> bool {
    let is_decoder = matches!(config.shape, Shape::Decoder { .. });
    is_decoder
        && config.head_dim.is_multiple_of(8)
        && config.hidden_size.is_multiple_of(8)
        && matches!(config.family, Family::Llama | Family::Qwen2)
}

/// Whether the CPU has instructions for products of whole numbers of eight bits, and so has this program.
pub(crate) fn multiplies_whole_numbers() -> bool {
    kernels::whole::is_there()
}

/// Whether the CPU multiplies tiles of `bf16`, and so does this program.
pub(crate) fn multiplies_tiles() -> bool {
    #[cfg(target_arch = "x86_64")]
    return kernels::amx::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Some more tokens of one sequence.
pub(crate) struct Part<'a> {
    pub(crate) tokens: usize,
    /// Of this sequence alone, without padding.
    pub(crate) cache: &'a mut DecoderCache,
    /// The first of these tokens after which logits are wanted, and how many.
    pub(crate) wanted: (usize, usize),
}

/// A [`Part`], its cache as memory.
struct Sequence<'a, E> {
    tokens: usize,
    wanted: (usize, usize),
    /// Tokens that are in the cache, and that it has room for.
    len: usize,
    capacity: usize,
    /// Keys and values of each layer, `[kv_heads, capacity, head_dim]`.
    layers: Vec<(&'a mut [E], &'a mut [E])>,
    /// The rotary table, `[capacity, head_dim]`.
    cos: &'a [E],
    sin: &'a [E],
}

/// The model's weights, as a step reads them.
#[derive(Debug)]
pub(crate) struct Stepper {
    layers: Vec<StepLayer>,
    final_norm: Vec<f32>,
    head: Matrix,
    kind: Kind,
}

// SAFETY: as for `Decoder`: nothing writes to its tensors after loading.
unsafe impl Sync for Stepper {}

#[derive(Debug)]
struct StepLayer {
    attention_norm: Vec<f32>,
    qkv: Matrix,
    qkv_bias: Option<Vec<f32>>,
    output: Matrix,
    ffn_norm: Vec<f32>,
    feed_forward: FeedForward,
}

impl Stepper {
    /// `None` where steps are left to libtorch: on another device than the CPU, and for models that they [are not for](is_for).
    pub(crate) fn new(config: &ModelConfig, model: &Decoder, how: Products) -> Result<Option<Self>, BackboneError> {
        let kind = model.embedding.kind();
        let known = matches!(kind, Kind::Float | Kind::BFloat16);
        if model.embedding.device() != Device::Cpu || !known || !is_for(config) {
            return Ok(None);
        }
        let mut shelf = Shelf::default();
        let layers = model.layers.iter().map(|layer| StepLayer::new(layer, how, &mut shelf));
        Ok(Some(Self {
            layers: layers.collect::<Result<_, _>>()?,
            final_norm: to_vec(&model.final_norm.weight)?,
            head: Matrix::new(model.head.as_ref().unwrap_or(&model.embedding), how, &mut shelf)?,
            kind,
        }))
    }

    /// Bytes of weights that a step of one sequence reads.
    pub(crate) fn bytes(&self) -> usize {
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.qkv.bytes() + layer.output.bytes() + layer.feed_forward.bytes());
        layers.sum::<usize>() + self.head.bytes()
    }

    /// Whether prompts are read here, too: where all numbers of inputs are multiplied with packed weights.
    pub(crate) fn reads_prompts(&self) -> bool {
        self.head.is_always_packed()
    }

    /// Logits in `f32` after some more embeddings of each of several sequences, `embeddings [rows, hidden]`, those of the first part
    /// first: of the tokens that each part wants, `[wanted, vocab]`. The input has been checked. Where it fails, the caches are as they
    /// were.
    pub(crate) fn logits(
        &self,
        config: &ModelConfig,
        embeddings: &Tensor,
        parts: &mut [Part<'_>],
    ) -> Result<Tensor, BackboneError> {
        team::gather();
        let x = to_vec(embeddings)?;
        let mut room = Room::default();
        let hidden = match self.kind {
            Kind::Float => self.step::<f32>(config, x, parts, &mut room)?,
            _ => self.step::<bf16>(config, x, parts, &mut room)?,
        };
        let count = hidden.len() / config.hidden_size;
        let mut logits = Tensor::f_empty([count as i64, self.head.columns() as i64], (Kind::Float, Device::Cpu))?;
        self.head
            .multiply(&hidden, count, &mut room, numbers_mut(&mut logits)?)?;
        for part in parts {
            part.cache.advance(part.tokens);
        }
        Ok(logits)
    }

    /// Hidden states after the final norm, of the tokens that each part wants, `[wanted, hidden]`. Of the others the last layer makes keys and
    /// values, and nothing else.
    fn step<E: Element>(
        &self,
        config: &ModelConfig,
        mut x: Vec<f32>,
        parts: &mut [Part<'_>],
        room: &mut Room,
    ) -> Result<Vec<f32>, BackboneError> {
        let sequences = parts.iter_mut().map(Sequence::<E>::new);
        let mut sequences = sequences.collect::<Result<Vec<_>, _>>()?;
        let mut rows = x.len() / config.hidden_size;
        let mut normed = vec![0.0; x.len()];
        // Memory that every layer uses again.
        let heads = config.heads * config.head_dim;
        let per_row = heads + 2 * config.kv_heads * config.head_dim;
        let (mut qkv, mut attended) = (vec![0.0; rows * per_row], vec![0.0; rows * heads]);
        let mut added = vec![0.0; x.len()];
        for (index, layer) in self.layers.iter().enumerate() {
            norm_rows(&x, &layer.attention_norm, config, &mut normed);
            layer.qkv.multiply(&normed, rows, room, &mut qkv)?;
            if let Some(bias) = &layer.qkv_bias {
                qkv.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
            }
            let is_last = index + 1 == self.layers.len();
            attention(config, (index, is_last), &mut qkv, &mut sequences, &mut attended);
            if is_last {
                (x, attended) = (wanted(&x, rows, &sequences), wanted(&attended, rows, &sequences));
                rows = x.len() / config.hidden_size;
                added.truncate(x.len());
                normed.truncate(x.len());
            }
            layer.output.multiply(&attended, rows, room, &mut added)?;
            add(&mut x, &added);

            norm_rows(&x, &layer.ffn_norm, config, &mut normed);
            layer.feed_forward.apply(&normed, rows, room, &mut added)?;
            add(&mut x, &added);
        }
        norm_rows(&x, &self.final_norm, config, &mut normed);
        Ok(normed)
    }
}

impl StepLayer {
    fn new(layer: &Layer, how: Products, shelf: &mut Shelf) -> Result<Self, BackboneError> {
        Ok(Self {
            attention_norm: to_vec(&layer.attention_norm.weight)?,
            qkv: Matrix::new(&layer.qkv, how, shelf)?,
            qkv_bias: layer.qkv_bias.as_ref().map(to_vec).transpose()?,
            output: Matrix::new(&layer.output, how, shelf)?,
            ffn_norm: to_vec(&layer.ffn_norm.weight)?,
            feed_forward: FeedForward::new(&layer.gate_up, &layer.down, how, shelf)?,
        })
    }
}

impl<'a, E: Element> Sequence<'a, E> {
    fn new(part: &'a mut Part<'_>) -> Result<Self, BackboneError> {
        let (len, capacity) = (part.cache.len(), part.cache.capacity());
        let contents = part.cache.contents();
        let layers = contents.layers.iter_mut();
        let layers = layers.map(|layer| Ok((numbers_mut(&mut layer.keys)?, numbers_mut(&mut layer.values)?)));
        Ok(Self {
            tokens: part.tokens,
            wanted: part.wanted,
            len,
            capacity,
            layers: layers.collect::<Result<_, BackboneError>>()?,
            cos: numbers(contents.cos)?,
            sin: numbers(contents.sin)?,
        })
    }
}

/// The rows of the tokens that each part wants.
fn wanted<E>(x: &[f32], rows: usize, sequences: &[Sequence<'_, E>]) -> Vec<f32> {
    let width = x.len() / rows;
    let mut wanted = Vec::new();
    let mut before = 0;
    for sequence in sequences {
        let (first, count) = sequence.wanted;
        wanted.extend_from_slice(&x[(before + first) * width..][..count * width]);
        before += sequence.tokens;
    }
    wanted
}

/// What the query heads of one group of one token attend with.
struct Group<'a, E> {
    /// `[group, head_dim]`.
    queries: &'a [f32],
    /// Of this token and those before it, `[seen, head_dim]`.
    keys: &'a [E],
    values: &'a [E],
    /// `[group, head_dim]`.
    out: &'a mut [f32],
}

/// Attention of some more tokens of each sequence, whose keys and values go into the caches:
/// `qkv [rows, (heads + 2 kv_heads) head_dim]` to `[rows, heads head_dim]`; in the last layer only the rows of the tokens that are wanted.
fn attention<E: Element>(
    config: &ModelConfig,
    (layer, is_last): (usize, bool),
    mut qkv: &mut [f32],
    sequences: &mut [Sequence<'_, E>],
    mut attended: &mut [f32],
) {
    let ModelConfig {
        heads,
        kv_heads,
        head_dim,
        ..
    } = *config;
    let (group, width) = (heads / kv_heads * head_dim, heads * head_dim);
    let per_row = width + 2 * kv_heads * head_dim;
    let many = sequences.len() > 1 && qkv.len() >= SHARED_SEQUENCES;
    let mut of_sequences = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let (rows, out);
        (rows, qkv) = qkv.split_at_mut(sequence.tokens * per_row);
        (out, attended) = attended.split_at_mut(sequence.tokens * width);
        of_sequences.push((sequence, rows, out));
    }
    team::each_if(many, &mut of_sequences, |(sequence, rows, _)| {
        keep(config, layer, rows, sequence);
    });
    let mut groups = Vec::new();
    let mut products = 0;
    for (sequence, rows, out) in of_sequences {
        let &mut Sequence {
            tokens, len, capacity, ..
        } = sequence;
        let (first, count) = if is_last { sequence.wanted } else { (0, tokens) };
        let (keys, values) = &sequence.layers[layer];
        // Not in `f32`, where answers are the same to the last bit however a prompt is cut into pieces.
        #[cfg(target_arch = "x86_64")]
        if count >= PROMPT_ATTENTION
            && count == tokens
            && let Some(seen) = E::as_bf16(keys).zip(E::as_bf16(values))
        {
            let place = (len, capacity);
            if by_tiles::is_for(head_dim) {
                prompt_attention(config, rows, place, seen, by_tiles::Seen::new, by_tiles::attend, out);
                continue;
            }
            if by_lanes::is_for(head_dim) {
                prompt_attention(config, rows, place, seen, by_lanes::Seen::new, by_lanes::attend, out);
                continue;
            }
        }
        let rows = rows.chunks_exact(per_row).zip(out.chunks_exact_mut(width));
        for (seen, (row, out)) in (len + 1..).zip(rows).skip(first).take(count) {
            products += 2 * width * seen;
            let of_heads = keys
                .chunks_exact(capacity * head_dim)
                .zip(values.chunks_exact(capacity * head_dim));
            let of_groups = row.chunks_exact(group).zip(out.chunks_exact_mut(group)).zip(of_heads);
            groups.extend(of_groups.map(|((queries, out), (keys, values))| Group {
                queries,
                keys: &keys[..seen * head_dim],
                values: &values[..seen * head_dim],
                out,
            }));
        }
    }
    team::each_if(products >= SHARED_ATTENTION, groups, |group| group.attend(head_dim));
}

/// Turns the queries and keys of some more tokens of a sequence to their positions, divides the queries by `sqrt(head_dim)`, and puts
/// keys and values into the cache: `rows [tokens, (heads + 2 kv_heads) head_dim]`.
fn keep<E: Element>(config: &ModelConfig, layer: usize, rows: &mut [f32], sequence: &mut Sequence<'_, E>) {
    let ModelConfig {
        heads,
        kv_heads,
        head_dim,
        ..
    } = *config;
    let per_row = (heads + 2 * kv_heads) * head_dim;
    let many = rows.len() >= SHARED_ROWS;
    let &mut Sequence {
        len,
        capacity,
        cos,
        sin,
        ..
    } = sequence;
    let (keys, values) = &mut sequence.layers[layer];

    let scale = (head_dim as f32).sqrt().recip();
    let turn = |(position, row): (usize, &mut [f32])| {
        let here = position * head_dim..(position + 1) * head_dim;
        let (cos, sin) = (&cos[here.clone()], &sin[here]);
        let to_turn = row[..(heads + kv_heads) * head_dim].chunks_exact_mut(head_dim);
        to_turn.for_each(|head| kernels::turn(head, cos, sin));
        row[..heads * head_dim].iter_mut().for_each(|number| *number *= scale);
    };
    let together = (SHARED_ROWS / 4).div_ceil(per_row);
    let parts = (len..).step_by(together).zip(rows.chunks_mut(together * per_row));
    team::each_if(many, parts, |(first, rows)| {
        (first..).zip(rows.chunks_exact_mut(per_row)).for_each(turn);
    });

    let of_heads = keys
        .chunks_exact_mut(capacity * head_dim)
        .zip(values.chunks_exact_mut(capacity * head_dim));
    let from = |row: &[f32], head: usize, to: &mut [E]| {
        let numbers = &row[head * head_dim..][..head_dim];
        to.iter_mut()
            .zip(numbers)
            .for_each(|(to, from)| *to = E::from_f32(*from));
    };
    team::each_if(many, of_heads.enumerate(), |(head, (keys, values))| {
        let places = keys.chunks_exact_mut(head_dim).zip(values.chunks_exact_mut(head_dim));
        for ((key, value), row) in places.skip(len).zip(rows.chunks_exact(per_row)) {
            from(row, heads + head, key);
            from(row, heads + kv_heads + head, value);
        }
    });
}

/// Attention of the tokens of a prompt, `rows [tokens, ..]` that begin with the queries, to `[tokens, heads head_dim]`. The sequence had
/// `len` tokens before; what it has seen are its keys and values of these and of those before, `[kv_heads, capacity, head_dim]`. What
/// `see` makes of those of a head, `attend` takes for all heads, with how many heads of queries share one and what [`PROMPT_TOKENS`] of
/// the tokens have: how many are before them, their rows, and room.
#[cfg(target_arch = "x86_64")]
fn prompt_attention<'a, S: Send + Sync>(
    config: &ModelConfig,
    rows: &[f32],
    (len, capacity): (usize, usize),
    (keys, values): (&'a [bf16], &'a [bf16]),
    see: impl Fn(&'a [bf16], &'a [bf16]) -> S + Sync,
    attend: impl Fn(&[S], usize, usize, (&[f32], usize), &mut [f32]) + Sync,
    out: &mut [f32],
) {
    let ModelConfig {
        heads,
        kv_heads,
        head_dim,
        ..
    } = *config;
    let (width, per_row) = (heads * head_dim, (heads + 2 * kv_heads) * head_dim);
    let all = (len + rows.len() / per_row) * head_dim;
    let of_heads = keys
        .chunks_exact(capacity * head_dim)
        .zip(values.chunks_exact(capacity * head_dim));
    let mut seen: Vec<_> = (0..kv_heads).map(|_| None).collect();
    team::each(of_heads.zip(&mut seen), |((keys, values), place)| {
        *place = Some(see(&keys[..all], &values[..all]));
    });
    let seen: Vec<_> = seen.into_iter().flatten().collect();
    let blocks = rows
        .chunks(PROMPT_TOKENS * per_row)
        .zip(out.chunks_mut(PROMPT_TOKENS * width));
    let blocks: Vec<_> = blocks.enumerate().collect();
    // What sees most takes longest, and is begun first.
    team::each(blocks.into_iter().rev(), |(block, (rows, out))| {
        let before = len + block * PROMPT_TOKENS;
        attend(&seen, heads / kv_heads, before, (rows, per_row), out);
    });
}

impl<E: Element> Group<'_, E> {
    fn attend(self, head_dim: usize) {
        let mut scores = vec![0.0; self.queries.len() / head_dim * (self.keys.len() / head_dim)];
        kernels::attend(self.queries, self.keys, self.values, head_dim, &mut scores, self.out);
    }
}

fn norm_rows(x: &[f32], weight: &[f32], config: &ModelConfig, out: &mut [f32]) {
    let width = weight.len();
    for_rows(x, out, (width, width), |x, out| {
        kernels::rms_norm(x, weight, config.rms_eps, out);
    });
}

/// Makes each row of `out` from that of `x`, where there are many by several threads. Rows are so many numbers wide.
fn for_rows(x: &[f32], out: &mut [f32], (from, to): (usize, usize), make: impl Fn(&[f32], &mut [f32]) + Sync) {
    let together = (SHARED_ROWS / 4).div_ceil(from);
    let parts = x.chunks(together * from).zip(out.chunks_mut(together * to));
    team::each_if(x.len() >= SHARED_ROWS, parts, |(x, out)| {
        x.chunks_exact(from)
            .zip(out.chunks_exact_mut(to))
            .for_each(|(x, out)| make(x, out));
    });
}

fn add(to: &mut [f32], what: &[f32]) {
    let many = to.len() >= SHARED_ROWS;
    let parts = to.chunks_mut(SHARED_ROWS / 4).zip(what.chunks(SHARED_ROWS / 4));
    team::each_if(many, parts, |(to, what)| {
        to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
    });
}

fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, BackboneError> {
    Ok(Vec::try_from(
        tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(-1)?,
    )?)
}
