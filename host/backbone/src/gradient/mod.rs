//! Training's passes through a frozen decoder on a CPU: forwards, keeping what the way back needs, and back to its input embeddings.
//!
//! libtorch differentiates any model, but for this one it keeps and does too much: no weight is trained, so that no input of a product is
//! needed on the way back, and what lies between two products is a handful of passes over memory where one does. Here sequences lie one
//! behind the other without padding, and the gradient of the residual stream is summed up in `f32`.
//!
//! The same numbers as [`crate::model::Decoder`]'s but for their rounding.

mod heads;
mod loops;

use std::iter;

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::BackboneError;
use crate::config::{Family, ModelConfig, Shape};
use crate::cpu::memory::{Element, numbers, numbers_mut};
use crate::cpu::team;
use crate::model::Decoder;
use heads::{Attended, Heads};
use loops::Gate;

/// Numbers that one thread does at a time.
const AT_ONCE: usize = 1 << 15;

/// Whether gradients of such a model are computed here: of a decoder with RMS norms and gates, on a CPU.
pub(crate) fn is_for(config: &ModelConfig, kind: Kind, device: Device) -> bool {
    matches!(config.shape, Shape::Decoder { .. })
        && matches!(config.family, Family::Llama | Family::Qwen2 | Family::Gemma)
        && matches!(kind, Kind::Float | Kind::BFloat16)
        && device == Device::Cpu
}

/// A pass that has been made, to go back on.
pub(crate) struct Trace<'a> {
    decoder: &'a Decoder,
    heads: Heads,
    layers: Vec<Kept>,
    /// What the final norm reads, `[wanted, hidden]`.
    last: Tensor,
    /// Of which rows.
    wanted: Tensor,
}

/// What is kept of a layer.
struct Kept {
    /// What the norm before attention reads, `[rows, hidden]`.
    x: Tensor,
    attended: Attended,
    /// What the norm before the feed-forward layer reads; of the last layer, the wanted rows.
    between: Tensor,
    /// Gates, and what they are for.
    both: Tensor,
}

/// Hidden states after the final norm of the rows `wanted` of `embeddings [rows, hidden]`, in the model's numbers: some sequences of these
/// `lengths`, one behind the other. With a way back, if it is asked for.
pub(crate) fn pass<'a>(
    decoder: &'a Decoder,
    embeddings: Tensor,
    lengths: &[usize],
    wanted: &[i64],
    back: bool,
) -> Result<(Tensor, Option<Trace<'a>>), BackboneError> {
    match embeddings.kind() {
        Kind::BFloat16 => forwards::<bf16>(decoder, embeddings, lengths, wanted, back),
        _ => forwards::<f32>(decoder, embeddings, lengths, wanted, back),
    }
}

fn forwards<'a, E: Element>(
    decoder: &'a Decoder,
    embeddings: Tensor,
    lengths: &[usize],
    wanted: &[i64],
    back: bool,
) -> Result<(Tensor, Option<Trace<'a>>), BackboneError> {
    let config = &decoder.config;
    let heads = Heads::new::<E>(config, &decoder.rope, lengths)?;
    let wanted = Tensor::f_from_slice(wanted)?;
    let mut layers = Vec::with_capacity(decoder.layers.len());
    let mut x = embeddings;
    for (index, layer) in decoder.layers.iter().enumerate() {
        let normed = norm::<E>(&x, &layer.attention_norm.weight, config)?;
        let qkv = match &layer.qkv_bias {
            None => normed.f_mm(&layer.qkv.f_tr()?)?,
            Some(bias) => bias.f_addmm(&normed, &layer.qkv.f_tr()?)?,
        };
        let (attended, mut mixed) = heads.attend::<E>(&qkv)?;
        let mut stream = x.shallow_clone();
        if index + 1 == decoder.layers.len() {
            // Nobody reads the other rows from here on.
            (stream, mixed) = (stream.f_index_select(0, &wanted)?, mixed.f_index_select(0, &wanted)?);
        }
        let between = stream.f_addmm(&mixed, &layer.output.f_tr()?)?;
        let both = norm::<E>(&between, &layer.ffn_norm.weight, config)?.f_mm(&layer.gate_up.f_tr()?)?;
        let after = between.f_addmm(&open::<E>(&both, config)?, &layer.down.f_tr()?)?;
        if back {
            layers.push(Kept {
                x,
                attended,
                between,
                both,
            });
        }
        x = after;
    }
    let hidden = norm::<E>(&x, &decoder.final_norm.weight, config)?;
    let trace = back.then_some(Trace {
        decoder,
        heads,
        layers,
        last: x,
        wanted,
    });
    Ok((hidden, trace))
}

impl Trace<'_> {
    /// The gradient of all embeddings, `[rows, hidden]` in `f32`, from that of the hidden states.
    pub(crate) fn back(self, gradient: &Tensor) -> Result<Tensor, BackboneError> {
        match self.last.kind() {
            Kind::BFloat16 => self.backwards::<bf16>(gradient),
            _ => self.backwards::<f32>(gradient),
        }
    }

    fn backwards<E: Element>(self, gradient: &Tensor) -> Result<Tensor, BackboneError> {
        let config = &self.decoder.config;
        let mut stream = Stream::zeros::<E>(&self.last)?;
        let gradient = gradient.f_to_kind(E::KIND)?.f_contiguous()?;
        stream.through_norm::<E>(&self.last, &self.decoder.final_norm.weight, config, &gradient)?;
        let mut room = self.heads.room_for_back::<E>()?;
        for (index, (layer, kept)) in iter::zip(&self.decoder.layers, self.layers).enumerate().rev() {
            let opened = stream.rounded.f_mm(&layer.down)?;
            let both = open_back::<E>(&opened, kept.both, config)?;
            stream.through_norm::<E>(&kept.between, &layer.ffn_norm.weight, config, &both.f_mm(&layer.gate_up)?)?;
            let mut mixed = stream.rounded.f_mm(&layer.output)?;
            if index + 1 == self.decoder.layers.len() {
                let rows = kept.x.size()[0];
                stream = Stream {
                    total: scatter(&stream.total, &self.wanted, rows)?,
                    rounded: scatter(&stream.rounded, &self.wanted, rows)?,
                };
                mixed = scatter(&mixed, &self.wanted, rows)?;
            }
            let qkv = self.heads.back::<E>(kept.attended, &mixed, &mut room)?;
            stream.through_norm::<E>(&kept.x, &layer.attention_norm.weight, config, &qkv.f_mm(&layer.qkv)?)?;
        }
        Ok(stream.total)
    }
}

/// The gradient of the residual stream.
struct Stream {
    /// In `f32`.
    total: Tensor,
    /// In the model's numbers, which products read.
    rounded: Tensor,
}

impl Stream {
    fn zeros<E: Element>(like: &Tensor) -> Result<Self, BackboneError> {
        let zeros = |kind| Tensor::f_zeros(like.size(), (kind, Device::Cpu));
        Ok(Self {
            total: zeros(Kind::Float)?,
            rounded: zeros(E::KIND)?,
        })
    }

    /// Adds what `out`, a gradient of the norm of `x`, hands back to `x`.
    fn through_norm<E: Element>(
        &mut self,
        x: &Tensor,
        weight: &Tensor,
        config: &ModelConfig,
        out: &Tensor,
    ) -> Result<(), BackboneError> {
        let weight = floats::<E>(weight)?;
        let some = rows_at_once(weight.len()) * weight.len();
        let read = numbers::<E>(x)?.chunks(some).zip(numbers::<E>(out)?.chunks(some));
        let totals = numbers_mut::<f32>(&mut self.total)?.chunks_mut(some);
        let sums = totals.zip(numbers_mut::<E>(&mut self.rounded)?.chunks_mut(some));
        team::each(read.zip(sums), |((x, out), sums)| {
            loops::norm_back(x, &weight, config.rms_eps, out, sums);
        });
        Ok(())
    }
}

/// So many rows, of which those `at` these places are given and the others zeros.
fn scatter(some: &Tensor, at: &Tensor, rows: i64) -> Result<Tensor, BackboneError> {
    Ok(some.f_new_zeros([rows, some.size()[1]], (some.kind(), Device::Cpu))?.f_index_copy_(0, at, some)?)
}

fn norm<E: Element>(x: &Tensor, weight: &Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
    let weight = floats::<E>(weight)?;
    let some = rows_at_once(weight.len()) * weight.len();
    let mut out = x.f_empty_like()?;
    let x = numbers::<E>(x)?.chunks(some);
    team::each(x.zip(numbers_mut(&mut out)?.chunks_mut(some)), |(x, out)| {
        loops::norm(x, &weight, config.rms_eps, out);
    });
    Ok(out)
}

/// What gates let through, `[rows, ffn]`.
fn open<E: Element>(both: &Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
    let (gate, width) = (gate(config), config.ffn_size);
    let some = rows_at_once(2 * width) * width;
    let mut out = Tensor::f_empty([both.size()[0], width as i64], (E::KIND, Device::Cpu))?;
    let pairs = numbers::<E>(both)?.chunks(2 * some);
    team::each(pairs.zip(numbers_mut(&mut out)?.chunks_mut(some)), |(both, out)| {
        loops::open(gate, both, width, out);
    });
    Ok(out)
}

/// The gradient of gates and what they are for, in their place.
fn open_back<E: Element>(out: &Tensor, mut both: Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
    let (gate, width) = (gate(config), config.ffn_size);
    let some = rows_at_once(2 * width) * width;
    let pairs = numbers_mut::<E>(&mut both)?.chunks_mut(2 * some);
    team::each(pairs.zip(numbers(out)?.chunks(some)), |(both, out)| {
        loops::open_back(gate, out, width, both);
    });
    Ok(both)
}

fn gate(config: &ModelConfig) -> Gate {
    match config.family {
        Family::Gemma => Gate::Gelu,
        _ => Gate::Silu,
    }
}

/// How many rows of this width one thread does at a time.
fn rows_at_once(width: usize) -> usize {
    (AT_ONCE / width).max(1)
}

fn floats<E: Element>(tensor: &Tensor) -> Result<Vec<f32>, BackboneError> {
    Ok(numbers::<E>(tensor)?.iter().map(|number| number.to_f32()).collect())
}
