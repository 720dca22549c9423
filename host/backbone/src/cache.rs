//! The KV cache: keys and values of the tokens a batch of sequences has so far.

use tch::{Device, Kind, Tensor};

use crate::BackboneError;
use crate::config::ModelConfig;
use crate::rope::RotaryTable;

/// Keys and values of `batch` sequences of one length, with room for `capacity` tokens. Sequences of different lengths are
/// padded at their start to one length, so that all end, and go on, together.
///
/// Made by [`crate::Backbone::new_cache`] or [`crate::Backbone::new_padded_cache`], filled by [`crate::Backbone::forward`].
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<KeysValues>,
    rotary: RotaryTable,
    /// How many tokens at the start of each sequence are padding, `[batch]`; `None` where none is.
    padding: Option<Tensor>,
    batch: usize,
    len: usize,
    capacity: usize,
}

/// One layer's part, each `[batch, kv_heads, capacity, head_dim]`; what lies past the length is undefined.
#[derive(Debug)]
struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

/// One layer's part of a cache.
pub(crate) struct Place<'a> {
    /// `[batch, kv_heads, capacity, head_dim]`.
    pub(crate) keys: &'a mut Tensor,
    /// Likewise.
    pub(crate) values: &'a mut Tensor,
    /// The rotary table, `[capacity, 1, head_dim]`.
    pub(crate) cos: &'a Tensor,
    /// Likewise, the first half negated.
    pub(crate) sin: &'a Tensor,
}

impl KvCache {
    pub(crate) fn new(
        config: &ModelConfig,
        batch: usize,
        capacity: usize,
        place: (Kind, Device),
    ) -> Result<Self, BackboneError> {
        if batch == 0 {
            return Err(BackboneError::CacheRows {
                rows: Vec::new(),
                batch,
            });
        }
        let limit = config.max_context;
        if capacity > limit {
            return Err(BackboneError::ContextFull {
                tokens: capacity,
                limit,
            });
        }
        let shape = [batch, config.kv_heads, capacity, config.head_dim].map(|size| size as i64);
        let room = || Tensor::f_empty(shape, place);
        let layers = (0..config.layers)
            .map(|_| {
                Ok(KeysValues {
                    keys: room()?,
                    values: room()?,
                })
            })
            .collect::<Result<_, BackboneError>>()?;
        let rotary = RotaryTable::new(&config.rope, config.head_dim, capacity, place)?;
        Ok(Self {
            layers,
            rotary,
            padding: None,
            batch,
            len: 0,
            capacity,
        })
    }

    /// The same, whose sequences begin with padding.
    pub(crate) fn with_padding(mut self, padding: &[usize]) -> Result<Self, BackboneError> {
        if padding.iter().any(|&tokens| tokens > 0) {
            let counts: Vec<i64> = padding.iter().map(|&tokens| tokens as i64).collect();
            self.padding = Some(Tensor::f_from_slice(&counts)?.f_to_device(self.rotary.device())?);
        }
        Ok(self)
    }

    /// Tokens that each sequence has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token has been added yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that each sequence can have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sequences.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Whether any sequence begins with padding.
    pub fn is_padded(&self) -> bool {
        self.padding.is_some()
    }

    /// Forgets all but the first `len` tokens of every sequence. A longer `len` changes nothing.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Replaces the sequences by those in `rows`, in that order; one may occur several times or not at all.
    ///
    /// This is how beams are followed, and how one prefilled prompt becomes a batch of beams.
    ///
    /// # Errors
    ///
    /// [`BackboneError::CacheRows`] if `rows` is empty or names a sequence that the cache does not have.
    pub fn reorder(&mut self, rows: &[usize]) -> Result<(), BackboneError> {
        if rows.is_empty() || rows.iter().any(|&row| row >= self.batch) {
            return Err(BackboneError::CacheRows {
                rows: rows.to_vec(),
                batch: self.batch,
            });
        }
        if rows.iter().copied().eq(0..self.batch) {
            return Ok(());
        }
        let ids = rows.iter().map(|&row| row as i64).collect::<Vec<_>>();
        let ids = Tensor::f_from_slice(&ids)?.f_to_device(self.rotary.device())?;
        // Made in full before the first is replaced, so that an error leaves the cache as it was.
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.reordered(&ids, self.len))
            .collect::<Result<_, _>>()?;
        let padding = self.padding.as_ref().map(|padding| padding.f_index_select(0, &ids));
        self.padding = padding.transpose()?;
        self.layers = layers;
        self.batch = rows.len();
        Ok(())
    }

    /// The rotary rows of the next `tokens` positions: of each sequence its own, where there is padding.
    pub(crate) fn rotary(&self, tokens: usize) -> Result<RotaryTable, BackboneError> {
        let (len, tokens) = (self.len as i64, tokens as i64);
        match &self.padding {
            None => self.rotary.narrow(len, tokens),
            Some(padding) => {
                let columns = Tensor::f_arange_start(len, len + tokens, (Kind::Int64, padding.device()))?;
                let positions = columns.f_unsqueeze(0)?.f_sub(&padding.f_unsqueeze(1)?)?;
                self.rotary.pick(&positions.f_clamp_min(0)?)
            }
        }
    }

    /// Which keys each of the next `tokens` tokens sees; `None` where "all before it" says it. `[tokens, keys]`, or where there
    /// is padding `[batch, 1, tokens, keys]`.
    pub(crate) fn mask(&self, tokens: usize) -> Result<Option<Tensor>, BackboneError> {
        let (len, tokens) = (self.len as i64, tokens as i64);
        let device = self.rotary.device();
        let causal = || Tensor::f_ones([tokens, len + tokens], (Kind::Bool, device))?.f_tril(len);
        let Some(padding) = &self.padding else {
            let plain = tokens == 1 || len == 0;
            return Ok(if plain { None } else { Some(causal()?) });
        };
        let keys = Tensor::f_arange(len + tokens, (Kind::Int64, device))?;
        let real = keys.f_ge_tensor(&padding.f_view([-1, 1, 1, 1])?)?;
        // What is padding sees itself, so that no softmax is over nothing.
        let itself = Tensor::f_ones([tokens, len + tokens], (Kind::Bool, device))?
            .f_tril(len)?
            .f_triu(len)?;
        Ok(Some(real.f_logical_and(&causal()?)?.f_logical_or(&itself)?))
    }

    /// Checks that `tokens` more fit into each of `batch` sequences.
    pub(crate) fn check(&self, batch: usize, tokens: usize) -> Result<(), BackboneError> {
        if batch != self.batch {
            return Err(BackboneError::CacheBatch {
                cache: self.batch,
                embeddings: batch,
            });
        }
        if tokens > self.capacity - self.len {
            return Err(BackboneError::CacheFull {
                len: self.len,
                tokens,
                capacity: self.capacity,
            });
        }
        Ok(())
    }

    /// Writes keys and values of new tokens, `[batch, kv_heads, tokens, head_dim]`, behind those of `layer`, and
    /// returns all of that layer's. They count only after [`Self::advance`].
    pub(crate) fn append(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), BackboneError> {
        let (len, tokens) = (self.len as i64, keys.size()[2]);
        let stored = &self.layers[layer];
        stored.keys.f_narrow(2, len, tokens)?.f_copy_(keys)?;
        stored.values.f_narrow(2, len, tokens)?.f_copy_(values)?;
        Ok((
            stored.keys.f_narrow(2, 0, len + tokens)?,
            stored.values.f_narrow(2, 0, len + tokens)?,
        ))
    }

    /// Where the next token goes in one layer.
    pub(crate) fn at(&mut self, layer: usize) -> Place<'_> {
        let KeysValues { keys, values } = &mut self.layers[layer];
        let (cos, sin) = self.rotary.tables();
        Place { keys, values, cos, sin }
    }

    /// Counts `tokens` that every layer has been given.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

impl KeysValues {
    fn reordered(&self, rows: &Tensor, len: usize) -> Result<Self, BackboneError> {
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
