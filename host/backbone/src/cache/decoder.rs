//! The cache of a decoder: keys and values of every token.

use tch::{Device, Kind, Tensor};

use super::{KeysValues, check, picks};
use crate::BackboneError;
use crate::config::ModelConfig;
use crate::rope::{Rope, RotaryTable};

/// Of a batch of sequences.
#[derive(Debug)]
pub(crate) struct DecoderCache {
    layers: Vec<KeysValues>,
    rotary: RotaryTable,
    /// How many tokens at the start of each sequence are padding, `[batch]`; `None` where none is.
    padding: Option<Tensor>,
    batch: usize,
    len: usize,
    capacity: usize,
}

/// What is in a cache.
pub(crate) struct Contents<'a> {
    /// Keys and values of each layer, `[batch, kv_heads, capacity, head_dim]` each.
    pub(crate) layers: &'a mut [KeysValues],
    /// The rotary table, `[capacity, 1, head_dim]`.
    pub(crate) cos: &'a Tensor,
    /// Likewise, the first half negated.
    pub(crate) sin: &'a Tensor,
}

impl DecoderCache {
    pub(crate) fn new(
        (config, rope): (&ModelConfig, &Rope),
        padding: &[usize],
        capacity: usize,
        place: (Kind, Device),
    ) -> Result<Self, BackboneError> {
        let batch = padding.len();
        let shape = [batch, config.kv_heads, capacity, config.head_dim].map(|size| size as i64);
        let layers = (0..config.layers).map(|_| KeysValues::new(shape, place));
        let padded = padding.iter().any(|&tokens| tokens > 0);
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            rotary: RotaryTable::new(rope, config.head_dim, capacity, place)?,
            padding: if padded { Some(picks(padding, place.1)?) } else { None },
            batch,
            len: 0,
            capacity,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    pub(crate) fn is_padded(&self) -> bool {
        self.padding.is_some()
    }

    /// Goes on with the sequences in `rows`.
    pub(crate) fn reorder(&mut self, rows: &[usize]) -> Result<(), BackboneError> {
        let ids = picks(rows, self.rotary.device())?;
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
        check((self.batch, self.len, self.capacity), batch, tokens)
    }

    /// Writes keys and values of new tokens, `[batch, kv_heads, tokens, head_dim]`, behind those of `layer`, and
    /// returns all of that layer's. They count only after [`Self::advance`].
    pub(crate) fn append(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), BackboneError> {
        self.layers[layer].append(self.len, keys, values)
    }

    /// Where the next tokens go, for one that writes to memory.
    pub(crate) fn contents(&mut self) -> Contents<'_> {
        let (cos, sin) = self.rotary.tables();
        let layers = &mut self.layers;
        Contents { layers, cos, sin }
    }

    /// Counts `tokens` that every layer has been given.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
