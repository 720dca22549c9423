//! The two shapes of model: one trait, so that nothing outside this folder knows which of them runs.
//!
//! A prompt comes as embeddings; what follows it is a matter of a cache that goes on by one token at a time. How much of the
//! prompt the first token sees, and what is kept of it, is each shape's own business.

mod decoder;
mod t5;

use tch::Tensor;

use crate::cache::KvCache;
use crate::config::{ModelConfig, Shape};
use crate::lesson::{self, Learned, Lesson};
use crate::weights::{Weight, WeightSource};
use crate::{BackboneError, Piece, Positions};

pub(crate) use decoder::{Decoder, Layer};
pub(crate) use t5::{T5, is_redundant as is_redundant_in_t5};

/// What a source calls the table of input embeddings.
pub(crate) fn embedding_name(source: &dyn WeightSource, config: &ModelConfig) -> String {
    match config.shape {
        Shape::Decoder { .. } => source.name(Weight::Embedding),
        Shape::EncoderDecoder(_) => t5::EMBEDDING.to_owned(),
    }
}

/// A frozen model: weights on their device, of which none requires a gradient. The door in front of it, [`crate::Backbone`], has
/// checked shapes, kinds and devices of what it is given.
pub(crate) trait Model: std::fmt::Debug + Send + Sync {
    /// An empty cache for one sequence for each of `padding`, the tokens that count as not there at its start.
    fn new_cache(&self, padding: &[usize], capacity: usize) -> Result<KvCache, BackboneError>;

    /// See [`crate::Backbone::forward`].
    fn forward(
        &self,
        embeddings: &Tensor,
        cache: Option<&mut KvCache>,
        positions: Positions,
    ) -> Result<Tensor, BackboneError>;

    /// See [`crate::Backbone::forward_each`].
    fn forward_each(&self, embeddings: &Tensor, caches: &mut [&mut KvCache]) -> Result<Tensor, BackboneError>;

    /// See [`crate::Backbone::reads_together`].
    fn reads_together(&self) -> bool {
        false
    }

    /// See [`crate::Backbone::forward_pieces`].
    fn forward_pieces(&self, pieces: &mut [Piece<'_>]) -> Result<Tensor, BackboneError> {
        one_by_one(self, pieces)
    }

    /// See [`crate::Backbone::hidden_of_answers`].
    fn hidden_of_answers(&self, prompts: &[Tensor], answers: &[&[u32]]) -> Result<Tensor, BackboneError>;

    /// What there is to learn from each example, see [`crate::Backbone::losses`].
    fn learn(&self, prompts: &[Tensor], answers: &[&[u32]], lesson: &Lesson) -> Result<Vec<Learned>, BackboneError> {
        lesson::by_libtorch(self, prompts, answers, lesson)
    }

    /// Logits of hidden states, `[.., hidden]` to `[.., vocab]` in `f32`.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor, BackboneError>;

    /// Bytes of weights that a step of one sequence reads; `None` where libtorch does it.
    fn step_bytes(&self) -> Option<usize>;
}

/// The logits after each piece, read by itself.
fn one_by_one<M: Model + ?Sized>(model: &M, pieces: &mut [Piece<'_>]) -> Result<Tensor, BackboneError> {
    let logits = pieces.iter_mut().map(|piece| {
        let embeddings = piece.embeddings.f_unsqueeze(0)?;
        let logits = model.forward(&embeddings, Some(&mut *piece.cache), piece.positions)?;
        Ok(logits.f_squeeze_dim(0)?)
    });
    Ok(Tensor::f_cat(&logits.collect::<Result<Vec<_>, BackboneError>>()?, 0)?)
}

/// The first of the tokens whose logits are wanted, and how many.
fn wanted(positions: Positions, tokens: i64) -> (i64, i64) {
    match positions {
        Positions::Last => (tokens - 1, 1),
        Positions::All => (0, tokens),
        Positions::None => (0, 0),
    }
}

/// The embeddings of ids that are in the vocabulary, `[ids, hidden]`.
pub(crate) fn embed(table: &Tensor, ids: &[u32]) -> Result<Tensor, BackboneError> {
    let ids: Vec<i64> = ids.iter().copied().map(i64::from).collect();
    let ids = Tensor::f_from_slice(&ids)?.f_to_device(table.device())?;
    Ok(table.f_index_select(0, &ids)?)
}

/// Logits by the rows of `head`, in `f32`.
fn logits(hidden: &Tensor, head: &Tensor) -> Result<Tensor, BackboneError> {
    Ok(hidden.f_linear(head, None::<&Tensor>)?.f_to_kind(tch::Kind::Float)?)
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension (Zhang & Sennrich, arXiv 1910.07467).
fn rms_norm(x: &Tensor, weight: &Tensor, config: &ModelConfig) -> Result<Tensor, BackboneError> {
    Ok(x.f_rms_norm([config.hidden_size as i64], Some(weight), config.rms_eps)?)
}

/// The parts of a split into `N`.
fn parts<const N: usize>(parts: Vec<Tensor>) -> Result<[Tensor; N], BackboneError> {
    let count = parts.len();
    let parts = parts.try_into();
    parts.map_err(|_| tch::TchError::Shape(format!("a split into {count}")).into())
}
