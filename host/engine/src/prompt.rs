use tch::{Device, Kind, Tensor};
use transducer_backbone::Embedder;

/// Why a tensor cannot be a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Not a matrix as wide as the model.
    #[error("prompt embeddings have the shape {found:?}, expected [tokens, {hidden}] with at least one token")]
    Shape { found: Vec<i64>, hidden: usize },

    /// Not floats, or on another device.
    #[error("prompt embeddings are {kind:?} on {device:?}, expected floats on {expected:?}")]
    Place {
        kind: Kind,
        device: Device,
        expected: Device,
    },

    /// No room for an answer.
    #[error(
        "the prompt has {tokens} tokens; at most {limit} leave room for an answer in the model's context of {context}"
    )]
    TooLong {
        tokens: usize,
        limit: usize,
        context: usize,
    },

    /// Overflow or a division by zero in whatever made the embeddings.
    #[error("prompt embeddings hold {count} numbers that are infinite or not numbers")]
    NotFinite { count: i64 },

    /// libtorch refused an operation; out of memory, most likely.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

/// Input embeddings of a whole prompt, `[tokens, hidden]`: numbers of the model's kind and on its device, all finite,
/// with room for an answer in the model's context. No gradient hangs on them.
#[derive(Debug)]
pub struct PromptEmbeddings(Tensor);

impl PromptEmbeddings {
    /// Checks `embeddings` against the model that will read them.
    ///
    /// # Errors
    /// [`PromptError`] says which expectation is not met, and by what.
    pub fn new(embeddings: &Tensor, model: &Embedder) -> Result<Self, PromptError> {
        let config = model.config();
        let hidden = config.hidden_size;
        let tokens = match embeddings.size()[..] {
            [tokens, width] if tokens > 0 && width == hidden as i64 => tokens as usize,
            _ => {
                return Err(PromptError::Shape {
                    found: embeddings.size(),
                    hidden,
                });
            }
        };
        let (kind, device, expected) = (embeddings.kind(), embeddings.device(), model.device());
        if !matches!(kind, Kind::Float | Kind::BFloat16 | Kind::Half | Kind::Double) || device != expected {
            return Err(PromptError::Place { kind, device, expected });
        }
        let context = config.max_context;
        let limit = config.longest_prompt();
        if tokens > limit {
            return Err(PromptError::TooLong { tokens, limit, context });
        }
        // In the model's own kind of numbers, in which a large `f64` would be infinite.
        let embeddings = embeddings.f_detach()?.f_to_kind(model.kind())?;
        // One pass, which is all that a good prompt takes: whatever an infinity or a NaN is added to is one of them. A sum of large
        // numbers may be infinite, too, so only the count below says that something is wrong.
        if embeddings.f_sum(None)?.f_double_value(&[])?.is_finite() {
            return Ok(Self(embeddings));
        }
        let not_finite = embeddings
            .f_isfinite()?
            .f_logical_not()?
            .f_sum(Kind::Int64)?
            .f_int64_value(&[])?;
        match not_finite {
            0 => Ok(Self(embeddings)),
            count => Err(PromptError::NotFinite { count }),
        }
    }

    /// For tests of what does not read the embeddings.
    #[cfg(test)]
    pub(crate) fn unchecked(embeddings: Tensor) -> Self {
        Self(embeddings)
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.0.size()[0] as usize
    }

    /// `[tokens, hidden]`.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }
}
