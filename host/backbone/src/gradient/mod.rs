//! Training's passes through a frozen decoder on a CPU: forwards, keeping what the way back needs, and back to its input embeddings.
//!
//! libtorch differentiates any model, but for this one it keeps and does too much: no weight is trained, so that no input of a product is
//! needed on the way back, and what lies between two products is a handful of passes over memory where one does. Here sequences lie one
//! behind the other without padding, and the gradient of the residual stream is summed up in `f32`.
//!
//! The same numbers as [`crate::model::Decoder`]'s but for their rounding.

mod heads;
mod loops;

use std::cmp::Reverse;
use std::iter;

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::BackboneError;
use crate::config::{Family, ModelConfig, Shape};
use crate::cpu::memory::{Element, numbers, numbers_mut};
use crate::cpu::team;
use crate::lesson::{HEAD_ROWS, Learned, Lesson, lengths};
use crate::model::{Decoder, embed};
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
struct Trace<'a> {
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

/// See [`crate::Backbone::losses`]: each thread takes some of the sequences all the way, so that none waits for another.
pub(crate) fn learn(
    decoder: &Decoder,
    prompts: &[Tensor],
    answers: &[&[u32]],
    lesson: &Lesson,
) -> Result<Vec<Learned>, BackboneError> {
    let lengths = lengths(prompts, answers);
    let threads = tch::get_num_threads();
    let groups = share(&lengths, lesson.most, usize::try_from(threads).unwrap_or(1));
    let mut group = |places: &Vec<usize>| {
        let prompts = places.iter().map(|&place| &prompts[place]);
        Group::new(decoder, prompts, places.iter().map(|&place| answers[place]).collect())
    };
    let tasks = groups.iter().map(&mut group).collect::<Result<Vec<_>, _>>()?;
    let mut results: Vec<Option<Result<Vec<Learned>, BackboneError>>> = groups.iter().map(|_| None).collect();
    // Where there are fewer groups than threads, libtorch uses the others.
    let of_each = (threads / groups.len().max(1) as i32).max(1);
    team::each(tasks.into_iter().zip(&mut results), |(group, result)| {
        tch::set_num_threads(of_each);
        *result = Some(match decoder.embedding.kind() {
            Kind::BFloat16 => group.learn::<bf16>(decoder, lesson.weight),
            _ => group.learn::<f32>(decoder, lesson.weight),
        });
    });
    tch::set_num_threads(threads);
    let mut learned: Vec<Option<Learned>> = prompts.iter().map(|_| None).collect();
    for (places, result) in groups.into_iter().zip(results.into_iter().flatten()) {
        for (place, one) in places.into_iter().zip(result?) {
            learned[place] = Some(one);
        }
    }
    Ok(learned.into_iter().flatten().collect())
}

/// Shares sequences out to groups of similar size: as many to each thread, and so many that those that are read at the same time have
/// about `most` tokens. The largest group comes first.
fn share(lengths: &[usize], most: usize, threads: usize) -> Vec<Vec<usize>> {
    let at_once = (most / threads).max(1);
    let groups = lengths
        .iter()
        .sum::<usize>()
        .div_ceil(at_once)
        .next_multiple_of(threads);
    let mut groups = vec![(0, Vec::new()); groups.min(lengths.len())];
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|&place| Reverse(lengths[place]));
    for place in places {
        if let Some((size, group)) = groups.iter_mut().min_by_key(|(size, _)| *size) {
            *size += lengths[place];
            group.push(place);
        }
    }
    groups.sort_by_key(|(size, _)| Reverse(*size));
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Some examples, one behind the other.
struct Group<'a> {
    /// What the first layer reads, `[rows, hidden]`.
    embeddings: Tensor,
    answers: Vec<&'a [u32]>,
    /// The tokens of each prompt.
    prompts: Vec<usize>,
}

impl<'a> Group<'a> {
    fn new<'b>(
        decoder: &Decoder,
        prompts: impl Iterator<Item = &'b Tensor>,
        answers: Vec<&'a [u32]>,
    ) -> Result<Self, BackboneError> {
        let (mut sequences, mut lengths) = (Vec::new(), Vec::new());
        for (prompt, answer) in prompts.zip(&answers) {
            lengths.push(prompt.size()[0] as usize);
            sequences.push(prompt.shallow_clone());
            sequences.push(embed(&decoder.embedding, answer)?.f_to_kind(prompt.kind())?);
        }
        Ok(Self {
            embeddings: decoder.enter(&Tensor::f_cat(&sequences, 0)?)?,
            answers,
            prompts: lengths,
        })
    }

    /// What there is to learn from each example.
    fn learn<E: Element>(self, decoder: &Decoder, weight: Option<f64>) -> Result<Vec<Learned>, BackboneError> {
        let (mut first, mut lengths, mut wanted) = (0, Vec::new(), Vec::new());
        for (&read, answer) in self.prompts.iter().zip(&self.answers) {
            // A token is predicted at the place before it.
            wanted.extend((first + read - 1..).take(answer.len()).map(|row| row as i64));
            lengths.push(read + answer.len());
            first += read + answer.len();
        }
        let (hidden, trace) = forwards::<E>(decoder, self.embeddings, &lengths, &wanted, weight.is_some())?;
        let labels: Vec<usize> = self.answers.concat().into_iter().map(|id| id as usize).collect();
        let (losses, gradient) = head::<E>(decoder, hidden, &labels, weight)?;
        let entered = trace.map(|trace| trace.backwards::<E>(&gradient)).transpose()?;
        let entered = entered.map(|entered| decoder.scaled(entered)).transpose()?;
        let (mut first, mut rest) = (0, losses.as_slice());
        let learned = self.prompts.iter().zip(&self.answers).map(|(&read, answer)| {
            let (losses, others) = rest.split_at(answer.len());
            rest = others;
            let gradient = entered.as_ref().map(|entered| entered.f_narrow(0, first, read as i64));
            first += (read + answer.len()) as i64;
            Ok(Learned {
                losses: losses.to_vec(),
                gradient: gradient.transpose()?,
            })
        });
        learned.collect()
    }
}

/// The loss of each label after its hidden state, and the gradient of these, in whose place it comes: a few rows of the head at a time.
fn head<E: Element>(
    decoder: &Decoder,
    hidden: Tensor,
    labels: &[usize],
    weight: Option<f64>,
) -> Result<(Vec<f32>, Tensor), BackboneError> {
    let head = decoder.head.as_ref().unwrap_or(&decoder.embedding);
    let mut losses = vec![0.0; labels.len()];
    let rows = labels
        .chunks(HEAD_ROWS as usize)
        .zip(losses.chunks_mut(HEAD_ROWS as usize));
    for ((labels, losses), first) in rows.zip((0..).step_by(HEAD_ROWS as usize)) {
        let some = hidden.f_narrow(0, first, labels.len() as i64)?;
        let mut logits = some.f_mm(&head.f_tr()?)?;
        let width = logits.size()[1] as usize;
        let each = labels
            .iter()
            .zip(losses)
            .zip(numbers_mut::<E>(&mut logits)?.chunks_mut(width));
        team::each(each, |((&label, loss), logits)| {
            *loss = loops::cross_entropy(logits, label, weight.map(|weight| weight as f32));
        });
        if weight.is_some() {
            let _ = logits.f_mm_out(&some, head)?;
        }
    }
    Ok((losses, hidden))
}

/// Hidden states after the final norm of the rows `wanted` of `embeddings [rows, hidden]`: some sequences of these `lengths`, one behind
/// the other. With a way back, if it is asked for.
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
    fn backwards<E: Element>(self, gradient: &Tensor) -> Result<Tensor, BackboneError> {
        let config = &self.decoder.config;
        let mut stream = Stream::zeros::<E>(&self.last)?;
        stream.through_norm::<E>(&self.last, &self.decoder.final_norm.weight, config, gradient)?;
        let mut room = self.heads.room_for_back::<E>()?;
        for (index, (layer, kept)) in iter::zip(&self.decoder.layers, self.layers).enumerate().rev() {
            let opened = stream.rounded.f_mm(&layer.down)?;
            let both = open_back::<E>(&opened, kept.both, config)?;
            stream.through_norm::<E>(
                &kept.between,
                &layer.ffn_norm.weight,
                config,
                &both.f_mm(&layer.gate_up)?,
            )?;
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
    Ok(some
        .f_new_zeros([rows, some.size()[1]], (some.kind(), Device::Cpu))?
        .f_index_copy_(0, at, some)?)
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

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn sequences_are_shared_out_evenly() {
        // Two threads, of which each reads about 10 tokens at once.
        assert_eq!(
            share(&[3, 9, 4, 5, 8, 2], 20, 2),
            [vec![1], vec![4], vec![3, 5], vec![2, 0]]
        );
        // No more groups than sequences.
        assert_eq!(share(&[7], 20, 2), [vec![0]]);
        assert_eq!(share(&[1, 2, 3], 1, 1), [[2], [1], [0]]);
        assert!(share(&[], 20, 2).is_empty());
    }
}
