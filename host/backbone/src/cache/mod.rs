//! The KV cache: what a model keeps of the tokens that a batch of sequences has so far.

mod decoder;
mod encoder_decoder;

use tch::Tensor;

use crate::BackboneError;

pub(crate) use decoder::DecoderCache;
pub(crate) use encoder_decoder::{EncoderDecoderCache, ReadPrompt};

/// Keys and values of `batch` sequences of one length, with room for `capacity` tokens, prompts included. Sequences of different
/// lengths are padded at their start to one length, so that all end, and go on, together.
///
/// Made by [`crate::Backbone::new_cache`] or [`crate::Backbone::new_padded_cache`], filled by [`crate::Backbone::forward`].
#[derive(Debug)]
pub struct KvCache(pub(crate) Shape);

/// Whose cache it is.
#[derive(Debug)]
pub(crate) enum Shape {
    Decoder(DecoderCache),
    EncoderDecoder(EncoderDecoderCache),
}

impl KvCache {
    /// Tokens that each sequence has, those of its prompt included.
    pub fn len(&self) -> usize {
        match &self.0 {
            Shape::Decoder(cache) => cache.len(),
            Shape::EncoderDecoder(cache) => cache.len(),
        }
    }

    /// Whether no token has been added yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that each sequence can have.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Shape::Decoder(cache) => cache.capacity(),
            Shape::EncoderDecoder(cache) => cache.capacity(),
        }
    }

    /// Sequences.
    pub fn batch(&self) -> usize {
        match &self.0 {
            Shape::Decoder(cache) => cache.batch(),
            Shape::EncoderDecoder(cache) => cache.batch(),
        }
    }

    /// Whether any sequence begins with padding.
    pub fn is_padded(&self) -> bool {
        match &self.0 {
            Shape::Decoder(cache) => cache.is_padded(),
            Shape::EncoderDecoder(cache) => cache.is_padded(),
        }
    }

    /// Replaces the sequences by those in `rows`, in that order; one may occur several times or not at all.
    ///
    /// This is how beams are followed, and how one prefilled prompt becomes a batch of beams.
    ///
    /// # Errors
    ///
    /// [`BackboneError::CacheRows`] if `rows` is empty or names a sequence that the cache does not have.
    pub fn reorder(&mut self, rows: &[usize]) -> Result<(), BackboneError> {
        let batch = self.batch();
        if rows.is_empty() || rows.iter().any(|&row| row >= batch) {
            let rows = rows.to_vec();
            return Err(BackboneError::CacheRows { rows, batch });
        }
        if rows.iter().copied().eq(0..batch) {
            return Ok(());
        }
        match &mut self.0 {
            Shape::Decoder(cache) => cache.reorder(rows),
            Shape::EncoderDecoder(cache) => cache.reorder(rows),
        }
    }

    /// The cache of a decoder.
    pub(crate) fn decoder(&mut self) -> Result<&mut DecoderCache, BackboneError> {
        match &mut self.0 {
            Shape::Decoder(cache) => Ok(cache),
            Shape::EncoderDecoder(_) => Err(BackboneError::CacheModel),
        }
    }

    /// The cache of an encoder and a decoder.
    pub(crate) fn encoder_decoder(&mut self) -> Result<&mut EncoderDecoderCache, BackboneError> {
        match &mut self.0 {
            Shape::EncoderDecoder(cache) => Ok(cache),
            Shape::Decoder(_) => Err(BackboneError::CacheModel),
        }
    }
}

/// Refuses more tokens than there is room for, and another number of sequences.
fn check((batch, len, capacity): (usize, usize, usize), sequences: usize, tokens: usize) -> Result<(), BackboneError> {
    if sequences != batch {
        return Err(BackboneError::CacheBatch {
            cache: batch,
            embeddings: sequences,
        });
    }
    if tokens > capacity - len {
        return Err(BackboneError::CacheFull { len, tokens, capacity });
    }
    Ok(())
}

/// One layer's keys and values, each `[batch, kv_heads, capacity, head_dim]`; what lies past the length is undefined.
#[derive(Debug)]
pub(crate) struct KeysValues {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
}

impl KeysValues {
    /// Room for so many, `[batch, kv_heads, capacity, head_dim]`.
    pub(crate) fn new(shape: [i64; 4], place: (tch::Kind, tch::Device)) -> Result<Self, BackboneError> {
        let room = || Tensor::f_empty(shape, place);
        Ok(Self {
            keys: room()?,
            values: room()?,
        })
    }

    /// Writes keys and values of new tokens, `[batch, kv_heads, tokens, head_dim]`, behind the first `len`, and returns all.
    pub(crate) fn append(&self, len: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor), BackboneError> {
        let (len, tokens) = (len as i64, keys.size()[2]);
        self.keys.f_narrow(2, len, tokens)?.f_copy_(keys)?;
        self.values.f_narrow(2, len, tokens)?.f_copy_(values)?;
        Ok((
            self.keys.f_narrow(2, 0, len + tokens)?,
            self.values.f_narrow(2, 0, len + tokens)?,
        ))
    }

    /// Those of other sequences; of each its first `len`.
    pub(crate) fn reordered(&self, rows: &Tensor, len: usize) -> Result<Self, BackboneError> {
        let pick = |stored: &Tensor| -> Result<Tensor, BackboneError> {
            let mut shape = stored.size();
            shape[0] = rows.size()[0];
            let room = Tensor::f_empty(&shape, (stored.kind(), stored.device()))?;
            // Only what is in use is copied.
            room.f_narrow(2, 0, len as i64)?
                .f_copy_(&stored.f_narrow(2, 0, len as i64)?.f_index_select(0, rows)?)?;
            Ok(room)
        };
        Ok(Self {
            keys: pick(&self.keys)?,
            values: pick(&self.values)?,
        })
    }
}

/// Rows as the tensor that picks them.
fn picks(rows: &[usize], device: tch::Device) -> Result<Tensor, BackboneError> {
    let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Ok(Tensor::f_from_slice(&ids)?.f_to_device(device)?)
}
