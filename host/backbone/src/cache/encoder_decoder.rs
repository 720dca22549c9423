//! The cache of an encoder and a decoder: what the decoder needs of a prompt, and its own tokens.

use tch::{Device, Tensor};

use super::{KeysValues, check, picks};
use crate::BackboneError;

/// Of a batch of prompts, each read by the encoder in one go.
#[derive(Debug)]
pub(crate) struct EncoderDecoderCache {
    /// How many tokens at the start of each prompt are padding.
    padding: Vec<usize>,
    capacity: usize,
    device: Device,
    read: Option<ReadPrompt>,
}

/// What is known of the prompts once they have been read.
#[derive(Debug)]
pub(crate) struct ReadPrompt {
    /// Tokens of each, padding included.
    pub(crate) prompt: usize,
    /// Which of them the decoder sees, `[batch, 1, 1, prompt]`; `None`: all.
    pub(crate) mask: Option<Tensor>,
    /// Each layer's keys and values of the prompts, `[batch, heads, prompt, head_dim]`, computed once; of one prompt
    /// `[1, heads, prompt, head_dim]`, however many sequences go on from it.
    pub(crate) cross: Vec<KeysValues>,
    /// Each layer's keys and values of the decoder's own tokens, the start token first. Empty where none are kept.
    pub(crate) own: Vec<KeysValues>,
    /// How many tokens the decoder has read.
    pub(crate) decoded: usize,
}

impl EncoderDecoderCache {
    pub(crate) fn new(padding: &[usize], capacity: usize, device: Device) -> Self {
        Self {
            padding: padding.to_vec(),
            capacity,
            device,
            read: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        // The start token is no token of the sequence: it only asks for the first.
        self.read.as_ref().map_or(0, |read| read.prompt + read.decoded - 1)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn batch(&self) -> usize {
        self.padding.len()
    }

    pub(crate) fn is_padded(&self) -> bool {
        self.padding.iter().any(|&tokens| tokens > 0)
    }

    pub(crate) fn padding(&self) -> &[usize] {
        &self.padding
    }

    /// Goes on with the sequences in `rows`.
    pub(crate) fn reorder(&mut self, rows: &[usize]) -> Result<(), BackboneError> {
        if let Some(read) = &self.read {
            let ids = picks(rows, self.device)?;
            let reordered = |layers: &[KeysValues], len| {
                let layers = layers.iter().map(|layer| layer.reordered(&ids, len));
                layers.collect::<Result<Vec<_>, _>>()
            };
            // Made in full before anything is replaced, so that an error leaves the cache as it was.
            let own = reordered(&read.own, read.decoded)?;
            let cross = if read.prompts() == 1 {
                None
            } else {
                Some(reordered(&read.cross, read.prompt)?)
            };
            let mask = read
                .mask
                .as_ref()
                .map(|mask| mask.f_index_select(0, &ids))
                .transpose()?;
            if let Some(read) = &mut self.read {
                read.own = own;
                read.cross = cross.unwrap_or_else(|| std::mem::take(&mut read.cross));
                read.mask = mask;
            }
        }
        self.padding = rows.iter().map(|&row| self.padding[row]).collect();
        Ok(())
    }

    /// Checks that `tokens` more fit into each of `batch` sequences.
    pub(crate) fn check(&self, batch: usize, tokens: usize) -> Result<(), BackboneError> {
        check((self.batch(), self.len(), self.capacity), batch, tokens)
    }

    /// The prompts, if they have been read.
    pub(crate) fn read(&mut self) -> Option<&mut ReadPrompt> {
        self.read.as_mut()
    }

    /// Keeps what has been read.
    pub(crate) fn keep(&mut self, read: ReadPrompt) {
        self.read = Some(read);
    }
}

impl ReadPrompt {
    /// How many prompts there are.
    pub(crate) fn prompts(&self) -> i64 {
        self.cross.first().map_or(0, |layer| layer.keys.size()[0])
    }
}
