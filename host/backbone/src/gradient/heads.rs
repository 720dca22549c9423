//! Causal attention of whole sequences that lie one behind the other, forwards and backwards.
//!
//! The query heads of a group stand one below the other as the rows of one matrix, so that keys and values are never repeated.

use tch::{Device, Tensor};

use super::loops;
use crate::BackboneError;
use crate::config::ModelConfig;
use crate::cpu::memory::{Element, numbers, numbers_mut};
use crate::cpu::team;
use crate::rope::{Rope, RotaryTable};

/// Tokens of a sequence are padded to a multiple of this: libtorch compiles its products for each shape that it meets.
const PADDED: usize = 16;

/// From so many tokens on the weights of a sequence, whose number grows with the square, are computed again on the way back.
const LONG: usize = 512;

/// Rows that one thread does at a time.
const ROWS: usize = 32;

/// One sequence of the rows.
struct Span {
    first: usize,
    tokens: usize,
    padded: usize,
    /// The padded tokens before it.
    before: usize,
}

/// The heads of some sequences.
pub(super) struct Heads {
    spans: Vec<Span>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    /// `[longest, head_dim]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
    opposite_sin: Vec<f32>,
}

/// What attention reads: of each sequence `[kv_heads, heads / kv_heads * padded, head_dim]` queries, multiplied by `1 / sqrt(head_dim)`,
/// and `[kv_heads, padded, head_dim]` keys and values.
pub(super) struct Attended {
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    /// The softmax of the scores of each sequence that is not [`LONG`].
    weights: Vec<Option<Tensor>>,
}

impl Heads {
    /// Of sequences of these lengths.
    pub(super) fn new<E: Element>(config: &ModelConfig, rope: &Rope, lengths: &[usize]) -> Result<Self, BackboneError> {
        let (mut spans, mut first, mut before) = (Vec::with_capacity(lengths.len()), 0, 0);
        for &tokens in lengths {
            let padded = tokens.next_multiple_of(PADDED);
            spans.push(Span {
                first,
                tokens,
                padded,
                before,
            });
            first += tokens;
            before += padded;
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // Rounded as the model's own numbers are.
        let table = RotaryTable::new(rope, config.head_dim, longest, (E::KIND, Device::Cpu))?;
        let floats = |table: &Tensor| -> Result<Vec<f32>, BackboneError> {
            Ok(numbers::<E>(table)?.iter().map(|number| number.to_f32()).collect())
        };
        let (cos, sin) = table.tables();
        let sin = floats(sin)?;
        Ok(Self {
            spans,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            cos: floats(cos)?,
            opposite_sin: sin.iter().map(|sin| -sin).collect(),
            sin,
        })
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The numbers of a row of queries, keys and values.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Zeros for `per_key` heads to each head of keys.
    fn room<E: Element>(&self, per_key: usize) -> Result<Tensor, BackboneError> {
        let tokens: usize = self.spans.iter().map(|span| span.padded).sum();
        let numbers = tokens * self.kv_heads * per_key * self.head_dim;
        Ok(Tensor::f_zeros([numbers as i64], (E::KIND, Device::Cpu))?)
    }

    /// The matrices of one sequence in such room, `[kv_heads, per_key * padded, head_dim]`.
    fn matrices(&self, room: &Tensor, span: &Span, per_key: usize) -> Result<Tensor, BackboneError> {
        let per_token = self.kv_heads * per_key * self.head_dim;
        let [kv_heads, rows, head_dim] = [self.kv_heads, per_key * span.padded, self.head_dim].map(|size| size as i64);
        let own = room.f_narrow(0, (span.before * per_token) as i64, kv_heads * rows * head_dim)?;
        Ok(own.f_view([kv_heads, rows, head_dim])?)
    }

    /// The parts of such room: a sequence, a head of keys, and what belongs to both.
    fn parts<'a, E: Element>(
        &'a self,
        mut room: &'a mut [E],
        per_key: usize,
    ) -> impl Iterator<Item = (&'a Span, usize, &'a mut [E])> {
        let parts = self
            .spans
            .iter()
            .flat_map(|span| (0..self.kv_heads).map(move |head| (span, head)));
        parts.map(move |(span, head)| {
            let own = room.split_off_mut(..per_key * span.padded * self.head_dim);
            (span, head, own.unwrap_or_default())
        })
    }

    /// Attention of the rows of `qkv`, `[rows, (heads + 2 kv_heads) head_dim]`, and what comes of it, `[rows, heads head_dim]`.
    pub(super) fn attend<E: Element>(&self, qkv: &Tensor) -> Result<(Attended, Tensor), BackboneError> {
        let (mut queries, mut keys, mut values) =
            (self.room::<E>(self.group())?, self.room::<E>(1)?, self.room::<E>(1)?);
        self.turn::<E>(
            numbers(qkv)?,
            numbers_mut(&mut queries)?,
            numbers_mut(&mut keys)?,
            numbers_mut(&mut values)?,
        );
        let mut attended = Attended {
            queries,
            keys,
            values,
            weights: Vec::with_capacity(self.spans.len()),
        };
        let mixed = self.room::<E>(self.group())?;
        for span in &self.spans {
            let weights = self.weights::<E>(&attended, span)?;
            let values = self.matrices(&attended.values, span, 1)?;
            let _ = weights.f_bmm_out(&self.matrices(&mixed, span, self.group())?, &values)?;
            attended.weights.push((span.tokens < LONG).then_some(weights));
        }
        let width = (self.heads * self.head_dim) as i64;
        let mut out = Tensor::f_empty([qkv.size()[0], width], (E::KIND, Device::Cpu))?;
        self.join(numbers::<E>(&mixed)?, numbers_mut(&mut out)?);
        Ok((attended, out))
    }

    /// The softmax of one sequence's scores, `[kv_heads, heads / kv_heads * padded, padded]`.
    fn weights<E: Element>(&self, attended: &Attended, span: &Span) -> Result<Tensor, BackboneError> {
        let queries = self.matrices(&attended.queries, span, self.group())?;
        let keys = self.matrices(&attended.keys, span, 1)?;
        let mut scores = queries.f_bmm(&keys.f_transpose(1, 2)?)?;
        let heads = numbers_mut::<E>(&mut scores)?.chunks_mut(span.padded * span.padded);
        team::each(heads, |head| loops::weigh(head, span.padded));
        Ok(scores)
    }

    /// What `back`, the gradient of what came of attention, hands back to `qkv`.
    pub(super) fn back<E: Element>(
        &self,
        mut attended: Attended,
        back: &Tensor,
        room: &mut Room,
    ) -> Result<Tensor, BackboneError> {
        self.split(numbers::<E>(back)?, numbers_mut(&mut room.back)?);
        for (index, span) in self.spans.iter().enumerate() {
            let weights = match attended.weights[index].take() {
                Some(weights) => weights,
                None => self.weights::<E>(&attended, span)?,
            };
            let of_group = |all: &Tensor| self.matrices(all, span, self.group());
            let of_key = |all: &Tensor| self.matrices(all, span, 1);
            let back = of_group(&room.back)?;
            let _ = weights.f_transpose(1, 2)?.f_bmm_out(&of_key(&room.values)?, &back)?;
            let mut scores = back.f_bmm(&of_key(&attended.values)?.f_transpose(1, 2)?)?;
            let square = span.padded * span.padded;
            let heads = numbers_mut::<E>(&mut scores)?.chunks_mut(square);
            team::each(heads.zip(numbers::<E>(&weights)?.chunks(square)), |(back, weights)| {
                loops::weigh_back(weights, span.padded, back);
            });
            let _ = scores.f_bmm_out(&of_group(&room.queries)?, &of_key(&attended.keys)?)?;
            let _ = scores
                .f_transpose(1, 2)?
                .f_bmm_out(&of_key(&room.keys)?, &of_group(&attended.queries)?)?;
        }
        let mut qkv = Tensor::f_empty([back.size()[0], self.width() as i64], (E::KIND, Device::Cpu))?;
        self.turn_back::<E>(
            numbers(&room.queries)?,
            numbers(&room.keys)?,
            numbers(&room.values)?,
            numbers_mut(&mut qkv)?,
        );
        Ok(qkv)
    }

    /// Where gradients of queries, keys and values are computed.
    pub(super) fn room_for_back<E: Element>(&self) -> Result<Room, BackboneError> {
        Ok(Room {
            back: self.room::<E>(self.group())?,
            queries: self.room::<E>(self.group())?,
            keys: self.room::<E>(1)?,
            values: self.room::<E>(1)?,
        })
    }

    /// Queries and keys, turned by their positions, and values, from the rows of all heads.
    fn turn<E: Element>(&self, qkv: &[E], queries: &mut [E], keys: &mut [E], values: &mut [E]) {
        let (width, dim, group) = (self.width(), self.head_dim, self.group());
        let scale = (dim as f32).sqrt().recip();
        let keys = self.parts(keys, 1).map(|(_, _, keys)| keys);
        let values = self.parts(values, 1).map(|(_, _, values)| values);
        team::each(
            self.parts(queries, group).zip(keys.zip(values)),
            |((span, head, queries), (keys, values))| {
                let rows = &qkv[span.first * width..][..span.tokens * width];
                for (token, row) in rows.chunks_exact(width).enumerate() {
                    let angles = self.angles(token, &self.sin);
                    let of = |head: usize| &row[head * dim..][..dim];
                    for query in 0..group {
                        let out = &mut queries[(query * span.padded + token) * dim..][..dim];
                        loops::turn(of(head * group + query), angles, scale, out);
                    }
                    loops::turn(of(self.heads + head), angles, 1.0, &mut keys[token * dim..][..dim]);
                    values[token * dim..][..dim].copy_from_slice(of(self.heads + self.kv_heads + head));
                }
            },
        );
    }

    /// The gradient of the rows of all heads from those of what [`Self::turn`] made of them.
    fn turn_back<E: Element>(&self, queries: &[E], keys: &[E], values: &[E], qkv: &mut [E]) {
        let (dim, group) = (self.head_dim, self.group());
        let scale = (dim as f32).sqrt().recip();
        team::each(self.rows(qkv, self.width()), |(span, first, rows)| {
            for (token, row) in (first..).zip(rows.chunks_exact_mut(self.width())) {
                let angles = self.angles(token, &self.opposite_sin);
                let (of_queries, others) = row.split_at_mut(self.heads * dim);
                let (of_keys, of_values) = others.split_at_mut(self.kv_heads * dim);
                for (head, out) in of_queries.chunks_exact_mut(dim).enumerate() {
                    loops::turn(self.head(queries, span, (group, head), token), angles, scale, out);
                }
                for (head, out) in of_keys.chunks_exact_mut(dim).enumerate() {
                    loops::turn(self.head(keys, span, (1, head), token), angles, 1.0, out);
                }
                for (head, out) in of_values.chunks_exact_mut(dim).enumerate() {
                    out.copy_from_slice(self.head(values, span, (1, head), token));
                }
            }
        });
    }

    /// From matrices of heads to rows of all heads.
    fn join<E: Element>(&self, matrices: &[E], rows: &mut [E]) {
        let width = self.heads * self.head_dim;
        team::each(self.rows(rows, width), |(span, first, rows)| {
            for (token, row) in (first..).zip(rows.chunks_exact_mut(width)) {
                for (head, out) in row.chunks_exact_mut(self.head_dim).enumerate() {
                    out.copy_from_slice(self.head(matrices, span, (self.group(), head), token));
                }
            }
        });
    }

    /// From rows of all heads to matrices of heads.
    fn split<E: Element>(&self, rows: &[E], matrices: &mut [E]) {
        let (width, dim, group) = (self.heads * self.head_dim, self.head_dim, self.group());
        team::each(self.parts(matrices, group), |(span, head, matrix)| {
            let rows = &rows[span.first * width..][..span.tokens * width];
            for (token, row) in rows.chunks_exact(width).enumerate() {
                for query in 0..group {
                    let out = &mut matrix[(query * span.padded + token) * dim..][..dim];
                    out.copy_from_slice(&row[(head * group + query) * dim..][..dim]);
                }
            }
        });
    }

    /// Some rows of a sequence at a time, and the token of the first of them.
    fn rows<'a, E: Element>(
        &'a self,
        mut rows: &'a mut [E],
        width: usize,
    ) -> impl Iterator<Item = (&'a Span, usize, &'a mut [E])> {
        self.spans.iter().flat_map(move |span| {
            let own = rows.split_off_mut(..span.tokens * width).unwrap_or_default();
            let some = own.chunks_mut(ROWS * width).zip((0..).step_by(ROWS));
            some.map(move |(some, first)| (span, first, some))
        })
    }

    /// One token's part of a head, of matrices of `per_key` heads to each head of keys.
    fn head<'a, E>(&self, matrices: &'a [E], span: &Span, (per_key, head): (usize, usize), token: usize) -> &'a [E] {
        let row = span.before * self.kv_heads * per_key + head * span.padded + token;
        &matrices[row * self.head_dim..][..self.head_dim]
    }

    fn angles<'a>(&'a self, token: usize, sin: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        let at = token * self.head_dim..(token + 1) * self.head_dim;
        (&self.cos[at.clone()], &sin[at])
    }
}

/// Where gradients are computed on the way back through attention, one layer after the other.
pub(super) struct Room {
    back: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
}
