//! T5: an encoder of the prompt and a decoder of the answer.
//!
//! Raffel et al. (arXiv 1910.10683, section 2.1), as transformers' `T5ForConditionalGeneration` computes it: in every layer
//! `x += output(attention(norm(x)))`, in the decoder then `x += output(attention(norm(x), encoder states))`, and
//! `x += feed_forward(norm(x))`. Scores are not divided by the square root of the head's width; positions enter as a bias by
//! distance, the same in every layer of a stack.

mod distance;
mod load;

use tch::{Kind, Tensor};

use self::distance::DistanceBias;
use super::{Model, embed, logits, parts, rms_norm, wanted};
use crate::cache::{EncoderDecoderCache, KeysValues, KvCache, ReadPrompt, Shape};
use crate::config::{EncoderDecoder, FeedForward, ModelConfig};
use crate::{BackboneError, Positions};

pub(crate) use load::{EMBEDDING, is_redundant};

/// The weights, on their device and in their kind; none requires a gradient.
#[derive(Debug)]
pub(crate) struct T5 {
    config: ModelConfig,
    shape: EncoderDecoder,
    embedding: Tensor,
    encoder: Vec<EncoderLayer>,
    encoder_norm: Tensor,
    encoder_bias: DistanceBias,
    decoder: Vec<DecoderLayer>,
    decoder_norm: Tensor,
    decoder_bias: DistanceBias,
    /// `None`: the embedding table.
    head: Option<Tensor>,
}

// SAFETY: as for a decoder: it holds nothing but tensors and numbers, is only ever shared by reference, and nothing writes to its
// tensors after loading.
unsafe impl Sync for T5 {}

#[derive(Debug)]
struct EncoderLayer {
    attention_norm: Tensor,
    attention: SelfAttention,
    ffn_norm: Tensor,
    ffn: Ffn,
}

#[derive(Debug)]
struct DecoderLayer {
    attention_norm: Tensor,
    attention: SelfAttention,
    cross_norm: Tensor,
    cross: CrossAttention,
    ffn_norm: Tensor,
    ffn: Ffn,
}

#[derive(Debug)]
struct SelfAttention {
    /// Query, key and value rows, `[3 heads head_dim, hidden]`.
    qkv: Tensor,
    /// `[hidden, heads head_dim]`.
    output: Tensor,
}

#[derive(Debug)]
struct CrossAttention {
    /// `[heads head_dim, hidden]`.
    query: Tensor,
    /// Key and value rows, `[2 heads head_dim, hidden]`.
    key_value: Tensor,
    /// `[hidden, heads head_dim]`.
    output: Tensor,
}

#[derive(Debug)]
struct Ffn {
    /// `[ffn, hidden]`; with a gate its rows first, `[2 ffn, hidden]`.
    input: Tensor,
    /// `[hidden, ffn]`.
    output: Tensor,
}

/// Sequences of a decoder's pass that go on from one cache.
struct Group<'a> {
    read: &'a ReadPrompt,
    /// `[1, heads, tokens, keys]`.
    bias: Tensor,
}

impl Model for T5 {
    fn new_cache(&self, padding: &[usize], capacity: usize) -> Result<KvCache, BackboneError> {
        let cache = EncoderDecoderCache::new(padding, capacity, self.embedding.device());
        Ok(KvCache(Shape::EncoderDecoder(cache)))
    }

    /// The first embeddings are the prompt, whose logits are those after the start token.
    fn forward(
        &self,
        embeddings: &Tensor,
        cache: Option<&mut KvCache>,
        positions: Positions,
    ) -> Result<Tensor, BackboneError> {
        let (batch, tokens) = (embeddings.size()[0] as usize, embeddings.size()[1] as usize);
        let Some(cache) = cache.map(KvCache::encoder_decoder).transpose()? else {
            let read = self.read(embeddings, &vec![0; batch], 0)?;
            let hidden = self.decode(&self.start(batch)?, &[&read])?;
            let (first, count) = wanted(positions, 1);
            return self.logits(&hidden.f_narrow(1, first, count)?);
        };
        cache.check(batch, tokens)?;
        let hidden = match cache.read() {
            Some(read) => {
                let hidden = self.decode(embeddings, &[read])?;
                read.decoded += tokens;
                hidden
            }
            None => {
                let room = cache.capacity() - tokens + 1;
                let mut read = self.read(embeddings, cache.padding(), room)?;
                if read.cross.iter().any(|layer| layer.keys.requires_grad()) {
                    return Err(BackboneError::GradientThroughCache);
                }
                let hidden = self.decode(&self.start(batch)?, &[&read])?;
                read.decoded = 1;
                cache.keep(read);
                hidden
            }
        };
        let (first, count) = wanted(positions, hidden.size()[1]);
        self.logits(&hidden.f_narrow(1, first, count)?)
    }

    fn forward_each(&self, embeddings: &Tensor, caches: &mut [&mut KvCache]) -> Result<Tensor, BackboneError> {
        let mut reads = Vec::with_capacity(caches.len());
        for (row, cache) in caches.iter_mut().enumerate() {
            let cache = cache.encoder_decoder()?;
            cache.check(1, 1)?;
            if cache.is_padded() {
                return Err(BackboneError::PaddedCache { row });
            }
            reads.push(cache.read().ok_or(BackboneError::NoPrompt { row })?);
        }
        let hidden = self.decode(embeddings, &reads.iter().map(|read| &**read).collect::<Vec<_>>())?;
        for read in reads {
            read.decoded += 1;
        }
        self.logits(&hidden)
    }

    /// The decoder reads the start token and the answer but for its last token.
    fn hidden_of_answers(&self, prompts: &[Tensor], answers: &[&[u32]]) -> Result<Tensor, BackboneError> {
        let longest_prompt = prompts.iter().map(|prompt| prompt.size()[0]).max().unwrap_or(0);
        let longest_answer = answers.iter().map(|answer| answer.len()).max().unwrap_or(0).max(1);
        self.fits(longest_answer)?;
        let padding: Vec<usize> = prompts
            .iter()
            .map(|prompt| (longest_prompt - prompt.size()[0]) as usize)
            .collect();
        let padded = prompts
            .iter()
            .zip(&padding)
            .map(|(prompt, &padding)| prompt.f_constant_pad_nd([0, 0, padding as i64, 0]));
        let padded = Tensor::f_stack(&padded.collect::<Result<Vec<_>, _>>()?, 0)?;
        let read = self.read(&padded, &padding, 0)?;

        let start = self.shape.start_token;
        let (mut ids, mut rows) = (Vec::new(), Vec::new());
        for (answer, first) in answers.iter().zip((0..).step_by(longest_answer)) {
            rows.extend((first..).take(answer.len()));
            let inputs = std::iter::once(start).chain(answer.iter().copied());
            // What follows the answer is seen by none of its tokens.
            ids.extend(
                inputs
                    .take(answer.len())
                    .chain(std::iter::repeat(start))
                    .take(longest_answer),
            );
        }
        let inputs = embed(&self.embedding, &ids)?.f_view([answers.len() as i64, longest_answer as i64, -1])?;
        let hidden = self.decode(&inputs, &[&read])?;
        let rows = Tensor::f_from_slice::<i64>(&rows)?.f_to_device(hidden.device())?;
        Ok(hidden.f_flatten(0, 1)?.f_index_select(0, &rows)?)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor, BackboneError> {
        logits(hidden, self.head.as_ref().unwrap_or(&self.embedding))
    }

    fn step_bytes(&self) -> Option<usize> {
        None
    }
}

impl T5 {
    /// Refuses more tokens than the model was made for.
    fn fits(&self, tokens: usize) -> Result<(), BackboneError> {
        let limit = self.config.max_context;
        if tokens > limit {
            return Err(BackboneError::ContextFull { tokens, limit });
        }
        Ok(())
    }

    /// What a decoder reads first, `[batch, 1, hidden]`.
    fn start(&self, batch: usize) -> Result<Tensor, BackboneError> {
        let start = vec![self.shape.start_token; batch];
        Ok(embed(&self.embedding, &start)?.f_unsqueeze(1)?)
    }

    /// Encodes prompts `[batch, tokens, hidden]` that begin with so much padding; `room` for that many tokens of the decoder.
    fn read(&self, embeddings: &Tensor, padding: &[usize], room: usize) -> Result<ReadPrompt, BackboneError> {
        let (batch, tokens) = (embeddings.size()[0], embeddings.size()[1]);
        self.fits(tokens as usize)?;
        self.fits(room)?;
        let (kind, device) = (self.embedding.kind(), self.embedding.device());
        let mask = if padding.iter().any(|&tokens| tokens > 0) {
            let counts: Vec<i64> = padding.iter().map(|&tokens| tokens as i64).collect();
            let padding = Tensor::f_from_slice(&counts)?.f_to_device(device)?;
            let places = Tensor::f_arange(tokens, (Kind::Int64, device))?;
            Some(places.f_ge_tensor(&padding.f_view([-1, 1, 1, 1])?)?)
        } else {
            None
        };
        let states = self.encode(&embeddings.f_to_kind(kind)?, mask.as_ref())?;
        let cross = self.decoder.iter().map(|layer| {
            let [keys, values] = self.heads(&states.f_linear(&layer.cross.key_value, None::<&Tensor>)?)?;
            Ok(KeysValues { keys, values })
        });
        let cross = cross.collect::<Result<_, BackboneError>>()?;
        let shape = [
            batch,
            self.config.heads as i64,
            room as i64,
            self.config.head_dim as i64,
        ];
        let own = (0..self.decoder.len()).filter(|_| room > 0);
        let own = own.map(|_| KeysValues::new(shape, (kind, device)));
        Ok(ReadPrompt {
            prompt: tokens as usize,
            mask,
            cross,
            own: own.collect::<Result<_, _>>()?,
            decoded: 0,
        })
    }

    /// Hidden states of the encoder after its final norm, `[batch, tokens, hidden]`. `mask [batch, 1, 1, tokens]`: what is seen.
    fn encode(&self, embeddings: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, BackboneError> {
        let tokens = embeddings.size()[1] as usize;
        let mut bias = self.encoder_bias.between((0, tokens), tokens, false)?;
        if let Some(mask) = mask {
            bias = bias.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?;
        }
        let mut x = embeddings.shallow_clone();
        for layer in &self.encoder {
            let normed = rms_norm(&x, &layer.attention_norm, &self.config)?;
            let [queries, keys, values] = self.heads(&normed.f_linear(&layer.attention.qkv, None::<&Tensor>)?)?;
            let attended = attend(&queries, &keys, &values, Some(&bias))?;
            x = x.f_add(&joined(&attended)?.f_linear(&layer.attention.output, None::<&Tensor>)?)?;
            x = x.f_add(&self.feed_forward(&rms_norm(&x, &layer.ffn_norm, &self.config)?, &layer.ffn)?)?;
        }
        rms_norm(&x, &self.encoder_norm, &self.config)
    }

    /// Hidden states of the decoder, ready for the head, `[batch, tokens, hidden]`. The sequences go on from one cache, or each from
    /// one of its own. Keys and values are written to the caches, but do not count yet.
    fn decode(&self, embeddings: &Tensor, caches: &[&ReadPrompt]) -> Result<Tensor, BackboneError> {
        let tokens = embeddings.size()[1] as usize;
        let groups = caches.iter().map(|&read| {
            let keys = read.decoded + tokens;
            let bias = self.decoder_bias.between((read.decoded, tokens), keys, true)?;
            Ok(Group { read, bias })
        });
        let groups = groups.collect::<Result<Vec<_>, BackboneError>>()?;
        let mut x = embeddings.f_to_kind(self.embedding.kind())?;
        for (index, layer) in self.decoder.iter().enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, &self.config)?;
            let [queries, keys, values] = self.heads(&normed.f_linear(&layer.attention.qkv, None::<&Tensor>)?)?;
            let attended = by_group(
                &groups,
                [&queries, &keys, &values],
                |group, [queries, keys, values]| match group.read.own.get(index) {
                    Some(own) => {
                        let (keys, values) = own.append(group.read.decoded, &keys, &values)?;
                        attend(&queries, &keys, &values, Some(&group.bias))
                    }
                    None => attend(&queries, &keys, &values, Some(&group.bias)),
                },
            )?;
            x = x.f_add(&joined(&attended)?.f_linear(&layer.attention.output, None::<&Tensor>)?)?;

            let normed = rms_norm(&x, &layer.cross_norm, &self.config)?;
            let [queries] = self.heads(&normed.f_linear(&layer.cross.query, None::<&Tensor>)?)?;
            let attended = by_group(&groups, [&queries], |group, [queries]| {
                group.attend_to_prompt(&queries, index)
            })?;
            x = x.f_add(&joined(&attended)?.f_linear(&layer.cross.output, None::<&Tensor>)?)?;

            x = x.f_add(&self.feed_forward(&rms_norm(&x, &layer.ffn_norm, &self.config)?, &layer.ffn)?)?;
        }
        let hidden = rms_norm(&x, &self.decoder_norm, &self.config)?;
        Ok(if self.shape.scaled_head {
            hidden.f_mul_scalar((self.config.hidden_size as f64).sqrt().recip())?
        } else {
            hidden
        })
    }

    /// Splits projections `[batch, tokens, N heads head_dim]` into `N` times `[batch, heads, tokens, head_dim]`.
    fn heads<const N: usize>(&self, projected: &Tensor) -> Result<[Tensor; N], BackboneError> {
        let (batch, tokens) = (projected.size()[0], projected.size()[1]);
        let [heads, head_dim] = [self.config.heads, self.config.head_dim].map(|size| size as i64);
        let all = projected
            .f_view([batch, tokens, N as i64 * heads, head_dim])?
            .f_transpose(1, 2)?;
        parts(all.f_split_with_sizes([heads; N], 1)?)
    }

    fn feed_forward(&self, x: &Tensor, ffn: &Ffn) -> Result<Tensor, BackboneError> {
        let projected = x.f_linear(&ffn.input, None::<&Tensor>)?;
        let inner = match self.shape.feed_forward {
            FeedForward::Relu => projected.f_relu()?,
            FeedForward::GatedGelu => {
                let width = ffn.output.size()[1];
                let [gate, up] = parts(projected.f_split_with_sizes([width, width], -1)?)?;
                gate.f_gelu("tanh")?.f_mul(&up)?
            }
        };
        Ok(inner.f_linear(&ffn.output, None::<&Tensor>)?)
    }
}

impl Group<'_> {
    /// Attention of `queries [sequences, heads, tokens, head_dim]` to the prompt.
    fn attend_to_prompt(&self, queries: &Tensor, layer: usize) -> Result<Tensor, BackboneError> {
        let KeysValues { keys, values } = &self.read.cross[layer];
        let [sequences, heads, tokens, head_dim] = queries.size()[..] else {
            return Err(tch::TchError::Shape(format!("queries of shape {:?}", queries.size())).into());
        };
        if keys.size()[0] == sequences {
            return attend(queries, keys, values, self.read.mask.as_ref());
        }
        // The sequences are beams of one prompt: the rows of one matrix.
        let rows = queries
            .f_transpose(0, 1)?
            .f_reshape([1, heads, sequences * tokens, head_dim])?;
        Ok(attend(&rows, keys, values, self.read.mask.as_ref())?
            .f_view([heads, sequences, tokens, head_dim])?
            .f_transpose(0, 1)?)
    }
}

/// What `work` makes of the rows of each group: of all where there is one group, else of one each.
fn by_group<const N: usize>(
    groups: &[Group<'_>],
    rows: [&Tensor; N],
    work: impl Fn(&Group<'_>, [Tensor; N]) -> Result<Tensor, BackboneError>,
) -> Result<Tensor, BackboneError> {
    if let [group] = groups {
        return work(group, rows.map(Tensor::shallow_clone));
    }
    let made = groups.iter().zip(0..).map(|(group, row)| {
        let mut own = rows.map(Tensor::shallow_clone);
        for rows in &mut own {
            *rows = rows.f_narrow(0, row, 1)?;
        }
        work(group, own)
    });
    Ok(Tensor::f_cat(&made.collect::<Result<Vec<_>, _>>()?, 0)?)
}

/// `softmax(queries keys^T + mask) values`, each `[batch, heads, tokens, head_dim]`. The mask is added, or says what is seen.
fn attend(queries: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, BackboneError> {
    Ok(Tensor::f_scaled_dot_product_attention(
        queries, keys, values, mask, 0.0, false, 1.0, false,
    )?)
}

/// Heads side by side: `[batch, heads, tokens, head_dim]` to `[batch, tokens, heads head_dim]`.
fn joined(attended: &Tensor) -> Result<Tensor, BackboneError> {
    Ok(attended.f_transpose(1, 2)?.f_flatten(2, 3)?)
}
