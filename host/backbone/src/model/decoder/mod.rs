//! The decoder: embeddings in, hidden states and logits out.
//!
//! Llama as of Touvron et al. (arXiv 2302.13971) with grouped-query attention (arXiv 2305.13245): in every layer
//! `x += output(attention(norm(x)))`, then `x += down(silu(gate(norm(x))) * up(norm(x)))`. `StarCoder` 2 has biases and no gate:
//! `x += down(gelu(up(norm(x))))`, with GELU's tanh form. Gemma gates by that form, and multiplies embeddings before the first layer.

mod load;

use tch::Tensor;

use super::{Model, embed, logits, parts, rms_norm, wanted};
use crate::cache::{DecoderCache, KvCache, Shape};
use crate::config::{Family, ModelConfig};
use crate::gradient;
use crate::lesson::{self, Learned, Lesson};
use crate::rope::{Rope, RotaryTable};
use crate::step::{Part, Stepper};
use crate::{BackboneError, Piece, Positions};

/// The weights, on their device and in their kind; none requires a gradient.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) config: ModelConfig,
    pub(crate) rope: Rope,
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Norm,
    /// `None`: the embedding table.
    pub(crate) head: Option<Tensor>,
    /// `None` where libtorch does it.
    stepper: Option<Stepper>,
}

// SAFETY: a `Decoder` holds nothing but tensors and numbers. It is only ever shared by reference, and nothing writes to its tensors
// after loading; libtorch lets any number of threads read one tensor, and counts references to it atomically.
unsafe impl Sync for Decoder {}

/// One decoder layer. Projections that read the same input are one matrix: fewer, larger products.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    /// Query, key and value rows, `[(heads + 2 kv_heads) head_dim, hidden]`.
    pub(crate) qkv: Tensor,
    /// Their biases.
    pub(crate) qkv_bias: Option<Tensor>,
    /// `[hidden, heads head_dim]`.
    pub(crate) output: Tensor,
    output_bias: Option<Tensor>,
    pub(crate) ffn_norm: Norm,
    /// Gate rows, then up rows, `[2 ffn, hidden]`; without a gate `[ffn, hidden]`.
    pub(crate) gate_up: Tensor,
    gate_up_bias: Option<Tensor>,
    /// `[hidden, ffn]`.
    pub(crate) down: Tensor,
    down_bias: Option<Tensor>,
}

/// A norm's weight, `[hidden]`. With a bias it is one of mean and variance (Ba et al., arXiv 1607.06450), else of the mean square.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
}

impl Norm {
    fn of(&self, x: &Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
        match &self.bias {
            None => rms_norm(x, &self.weight, config),
            Some(bias) => {
                let width = [config.hidden_size as i64];
                Ok(x.f_layer_norm(width, Some(&self.weight), Some(bias), config.rms_eps, true)?)
            }
        }
    }
}

/// Sequences up to this length are trained with attention as plain products. libtorch's fused operator saves the memory of the
/// scores, but takes three times as long on a CPU for sequences of 150 tokens (31 against 11 ms, forwards and backwards, in
/// bf16); from some hundred tokens on the scores, which grow with the square, cost more than they save.
const PLAIN_ATTENTION: i64 = 384;

/// What one forward pass shares between its layers.
struct Pass<'a> {
    config: &'a ModelConfig,
    rotary: RotaryTable,
    /// Which keys each token sees, `[tokens, keys]` or `[batch, 1, tokens, keys]`; `None` where "all before it" or "all" says it.
    mask: Option<Tensor>,
}

/// The tokens before those of a forward pass.
enum Past<'a, 'c> {
    /// There are none, and none of these is kept.
    None,
    /// Those of a batch of sequences that go on together.
    Batch(&'a mut DecoderCache),
    /// Those of sequences that have nothing to do with one another: a cache of one sequence for each row.
    Each(&'a mut [&'c mut DecoderCache]),
}

impl Model for Decoder {
    fn new_cache(&self, padding: &[usize], capacity: usize) -> Result<KvCache, BackboneError> {
        let place = (self.embedding.kind(), self.embedding.device());
        let cache = DecoderCache::new((&self.config, &self.rope), padding, capacity, place)?;
        Ok(KvCache(Shape::Decoder(cache)))
    }

    fn forward(
        &self,
        embeddings: &Tensor,
        cache: Option<&mut KvCache>,
        positions: Positions,
    ) -> Result<Tensor, BackboneError> {
        let (batch, tokens) = (embeddings.size()[0], embeddings.size()[1]);
        let (first, count) = wanted(positions, tokens);
        let cache = cache.map(KvCache::decoder).transpose()?;
        match cache.as_deref() {
            Some(cache) => cache.check(batch as usize, tokens as usize)?,
            None => self.fits(tokens as usize)?,
        }
        match (&self.stepper, cache) {
            (Some(stepper), Some(cache))
                if batch == 1 && stepper.reads_prompts() && !cache.is_padded() && !embeddings.requires_grad() =>
            {
                let part = Part {
                    tokens: tokens as usize,
                    cache,
                    wanted: (first as usize, count as usize),
                };
                let logits = stepper.logits(&self.config, embeddings, &mut [part])?;
                Ok(logits.f_unsqueeze(0)?)
            }
            (_, cache) => self.logits(&self.hidden(embeddings, cache)?.f_narrow(1, first, count)?),
        }
    }

    fn forward_each(&self, embeddings: &Tensor, caches: &mut [&mut KvCache]) -> Result<Tensor, BackboneError> {
        let caches = caches.iter_mut().map(|cache| cache.decoder());
        let mut caches = caches.collect::<Result<Vec<_>, _>>()?;
        for (row, cache) in caches.iter().enumerate() {
            cache.check(1, 1)?;
            if cache.is_padded() {
                return Err(BackboneError::PaddedCache { row });
            }
        }
        match &self.stepper {
            Some(stepper) => {
                let parts = caches.into_iter().map(|cache| Part {
                    tokens: 1,
                    cache,
                    wanted: (0, 1),
                });
                let logits = stepper.logits(&self.config, embeddings, &mut parts.collect::<Vec<_>>())?;
                Ok(logits.f_unsqueeze(1)?)
            }
            None => self.logits(&self.hidden_each(embeddings, &mut caches)?),
        }
    }

    fn reads_together(&self) -> bool {
        self.stepper.as_ref().is_some_and(Stepper::reads_prompts)
    }

    fn forward_pieces(&self, pieces: &mut [Piece<'_>]) -> Result<Tensor, BackboneError> {
        let Some(stepper) = self.stepper.as_ref().filter(|stepper| stepper.reads_prompts()) else {
            return super::one_by_one(self, pieces);
        };
        let (mut embeddings, mut parts) = (Vec::with_capacity(pieces.len()), Vec::with_capacity(pieces.len()));
        for (row, piece) in pieces.iter_mut().enumerate() {
            let cache = piece.cache.decoder()?;
            let tokens = piece.embeddings.size()[0];
            cache.check(1, tokens as usize)?;
            if cache.is_padded() {
                return Err(BackboneError::PaddedCache { row });
            }
            let (first, count) = wanted(piece.positions, tokens);
            embeddings.push(piece.embeddings.f_to_kind(tch::Kind::Float)?);
            parts.push(Part {
                tokens: tokens as usize,
                cache,
                wanted: (first as usize, count as usize),
            });
        }
        stepper.logits(&self.config, &Tensor::f_cat(&embeddings, 0)?, &mut parts)
    }

    /// Right padding: under causal attention no token sees what follows it, so no mask is needed.
    fn hidden_of_answers(&self, prompts: &[Tensor], answers: &[&[u32]]) -> Result<Tensor, BackboneError> {
        let lengths = prompts
            .iter()
            .zip(answers)
            .map(|(prompt, answer)| prompt.size()[0] + answer.len() as i64);
        let longest = lengths.max().unwrap_or(0);
        self.fits(longest as usize)?;
        let (mut sequences, mut rows) = (Vec::new(), Vec::new());
        for ((prompt, answer), first) in prompts.iter().zip(answers).zip((0..).step_by(longest as usize)) {
            let (read, answered) = (prompt.size()[0], answer.len() as i64);
            // A token is predicted at the position before it.
            rows.extend(first + read - 1..first + read - 1 + answered);
            let answer = embed(&self.embedding, answer)?.f_to_kind(prompt.kind())?;
            let sequence = Tensor::f_cat(&[prompt, &answer], 0)?;
            sequences.push(sequence.f_constant_pad_nd([0, 0, 0, longest - read - answered])?);
        }
        let hidden = self.hidden(&Tensor::f_stack(&sequences, 0)?, None)?;
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(hidden.device())?;
        Ok(hidden.f_flatten(0, 1)?.f_index_select(0, &rows)?)
    }

    fn learn(&self, prompts: &[Tensor], answers: &[&[u32]], lesson: &Lesson) -> Result<Vec<Learned>, BackboneError> {
        if !gradient::is_for(&self.config, self.embedding.kind(), self.embedding.device()) {
            return lesson::by_libtorch(self, prompts, answers, lesson);
        }
        for length in lesson::lengths(prompts, answers) {
            self.fits(length)?;
        }
        gradient::learn(self, prompts, answers, lesson)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor, BackboneError> {
        logits(hidden, self.head.as_ref().unwrap_or(&self.embedding))
    }

    fn step_bytes(&self) -> Option<usize> {
        self.stepper.as_ref().map(Stepper::bytes)
    }
}

impl Decoder {
    /// Refuses more tokens than the model was made for.
    fn fits(&self, tokens: usize) -> Result<(), BackboneError> {
        let limit = self.config.max_context;
        if tokens > limit {
            return Err(BackboneError::ContextFull { tokens, limit });
        }
        Ok(())
    }

    /// What the first layer reads.
    pub(crate) fn enter(&self, embeddings: &Tensor) -> Result<Tensor, BackboneError> {
        let kind = self.embedding.kind();
        self.scaled(embeddings.f_to_kind(kind)?)
    }

    /// Times what the family multiplies its embeddings by.
    pub(crate) fn scaled(&self, x: Tensor) -> Result<Tensor, BackboneError> {
        let Some(scale) = self.config.embedding_scale() else {
            return Ok(x);
        };
        // In the kind of the weights, as it was trained.
        let scale = Tensor::f_from_slice(&[scale])?.f_to_kind(self.embedding.kind())?;
        Ok(x.f_mul(&scale.f_to_device(x.device())?)?)
    }

    /// Hidden states after the final norm, `[batch, tokens, hidden]`. The input has been checked.
    fn hidden(&self, embeddings: &Tensor, mut cache: Option<&mut DecoderCache>) -> Result<Tensor, BackboneError> {
        let config = &self.config;
        let (kind, device) = (self.embedding.kind(), self.embedding.device());
        let tokens = embeddings.size()[1] as usize;
        let pass = match cache.as_deref() {
            None => {
                let rotary = RotaryTable::new(&self.rope, config.head_dim, tokens, (kind, device))?;
                Pass {
                    config,
                    rotary,
                    mask: None,
                }
            }
            Some(cache) => Pass {
                config,
                rotary: cache.rotary(tokens)?,
                mask: cache.mask(tokens)?,
            },
        };
        let mut x = self.enter(embeddings)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let past = cache.as_deref_mut().map_or(Past::None, Past::Batch);
            x = layer.forward(&pass, &x, index, past)?;
        }
        if let Some(cache) = cache {
            cache.advance(tokens);
        }
        self.final_norm.of(&x, config)
    }

    /// Hidden states of one more token of each of several sequences, `[sequences, 1, hidden]`. The input has been checked.
    fn hidden_each(&self, embeddings: &Tensor, caches: &mut [&mut DecoderCache]) -> Result<Tensor, BackboneError> {
        let config = &self.config;
        let rows = caches
            .iter()
            .map(|cache| cache.rotary(1))
            .collect::<Result<Vec<_>, _>>()?;
        let pass = Pass {
            config,
            rotary: RotaryTable::stack(&rows)?,
            mask: None,
        };
        let mut x = self.enter(embeddings)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&pass, &x, index, Past::Each(caches))?;
        }
        for cache in caches {
            cache.advance(1);
        }
        self.final_norm.of(&x, config)
    }
}

impl Layer {
    fn forward(&self, pass: &Pass<'_>, x: &Tensor, index: usize, past: Past<'_, '_>) -> Result<Tensor, BackboneError> {
        let normed = self.attention_norm.of(x, pass.config)?;
        let x = x.f_add(&self.attention(pass, &normed, index, past)?)?;
        let normed = self.ffn_norm.of(&x, pass.config)?;
        Ok(x.f_add(&self.feed_forward(&normed, pass.config)?)?)
    }

    fn attention(
        &self,
        pass: &Pass<'_>,
        x: &Tensor,
        index: usize,
        past: Past<'_, '_>,
    ) -> Result<Tensor, BackboneError> {
        let config = pass.config;
        let (batch, tokens) = (x.size()[0], x.size()[1]);
        let [heads, kv_heads, head_dim] = [config.heads, config.kv_heads, config.head_dim].map(|size| size as i64);
        let qkv =
            x.f_linear(&self.qkv, self.qkv_bias.as_ref())?
                .f_view([batch, tokens, heads + 2 * kv_heads, head_dim])?;
        // Splits rather than narrows: backwards they are one concatenation instead of sums of mostly zeros.
        let [to_turn, values] = parts(qkv.f_split_with_sizes([heads + kv_heads, kv_heads], 2)?)?;
        let turned = pass.rotary.turn(&to_turn)?.f_transpose(1, 2)?;
        let [queries, keys] = parts(turned.f_split_with_sizes([heads, kv_heads], 1)?)?;
        let values = values.f_transpose(1, 2)?;
        if keys.requires_grad() && !matches!(past, Past::None) {
            return Err(BackboneError::GradientThroughCache);
        }
        // The queries of one token: the heads of a group stand as the rows of one head, so that the group's keys and values are
        // read once and never repeated.
        let grouped = || queries.f_reshape([batch, kv_heads, heads / kv_heads, head_dim]);
        let (from_start, keys, values) = match past {
            Past::None => (true, keys, values),
            Past::Batch(cache) => {
                let from_start = cache.is_empty();
                let (keys, values) = cache.append(index, &keys, &values)?;
                (from_start, keys, values)
            }
            Past::Each(caches) => {
                let rows = grouped()?;
                let attended = caches.iter_mut().zip(0..).map(|(cache, row)| {
                    let own = |of: &Tensor| of.f_narrow(0, row, 1);
                    let (keys, values) = cache.append(index, &own(&keys)?, &own(&values)?)?;
                    attend(&own(&rows)?, &keys, &values, None, false)
                });
                let attended = Tensor::f_cat(&attended.collect::<Result<Vec<_>, _>>()?, 0)?;
                let attended = attended.f_reshape([batch, 1, heads * head_dim])?;
                return Ok(attended.f_linear(&self.output, self.output_bias.as_ref())?);
            }
        };
        let attended = if tokens == 1 {
            // One token sees everything but padding.
            let rows = grouped()?;
            attend(&rows, &keys, &values, pass.mask.as_ref(), false)?.f_reshape([batch, 1, heads * head_dim])?
        } else if keys.requires_grad() && tokens <= PLAIN_ATTENTION {
            attend_plainly(&queries, &keys, &values)?.f_reshape([batch, tokens, heads * head_dim])?
        } else {
            let causal = from_start && pass.mask.is_none();
            attend(&queries, &keys, &values, pass.mask.as_ref(), causal)?
                .f_transpose(1, 2)?
                .f_reshape([batch, tokens, heads * head_dim])?
        };
        Ok(attended.f_linear(&self.output, self.output_bias.as_ref())?)
    }

    fn feed_forward(&self, x: &Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
        let both = x.f_linear(&self.gate_up, self.gate_up_bias.as_ref())?;
        let ffn = self.down.size()[1];
        if self.gate_up.size()[0] == ffn {
            return Ok(both.f_gelu("tanh")?.f_linear(&self.down, self.down_bias.as_ref())?);
        }
        let [gate, up] = parts(both.f_split_with_sizes([ffn, ffn], -1)?)?;
        let gate = match config.family {
            Family::Gemma => gate.f_gelu("tanh")?,
            _ => gate.f_silu()?,
        };
        Ok(gate.f_mul(&up)?.f_linear(&self.down, None::<&Tensor>)?)
    }
}

/// `softmax(queries keys^T / sqrt(head_dim)) values`, each `[batch, heads, tokens, head_dim]`.
fn attend(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    mask: Option<&Tensor>,
    causal: bool,
) -> Result<Tensor, BackboneError> {
    let grouped = queries.size()[1] != keys.size()[1];
    Ok(Tensor::f_scaled_dot_product_attention(
        queries, keys, values, mask, 0.0, causal, None, grouped,
    )?)
}

/// Causal attention of whole sequences, as products of matrices: `queries [batch, heads, tokens, head_dim]`, `keys` and `values`
/// `[batch, kv_heads, tokens, head_dim]` → `[batch, tokens, heads, head_dim]`.
///
/// The query heads of a group stand one below the other as the rows of one matrix, so that keys and values are never repeated.
fn attend_plainly(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor, BackboneError> {
    let [batch, heads, tokens, head_dim] = queries.size()[..] else {
        return Err(tch::TchError::Shape(format!("queries of shape {:?}", queries.size())).into());
    };
    let kv_heads = keys.size()[1];
    let group = heads / kv_heads;
    let matrices = |heads: &Tensor| heads.f_reshape([batch * kv_heads, -1, head_dim]);
    let scaled = queries.f_mul_scalar((head_dim as f64).sqrt().recip())?;
    let future = Tensor::f_full([tokens, tokens], f64::NEG_INFINITY, (queries.kind(), queries.device()))?.f_triu(1)?;
    let scores = Tensor::f_baddbmm(
        &future.f_repeat([group, 1])?.f_unsqueeze(0)?,
        &matrices(&scaled)?,
        &matrices(keys)?.f_transpose(1, 2)?,
        1.0,
        1.0,
    )?;
    let attended = scores.f_softmax(-1, None)?.f_bmm(&matrices(values)?)?;
    Ok(attended.f_view([batch, heads, tokens, head_dim])?.f_transpose(1, 2)?)
}
