//! What training asks of a backbone: hidden states of answers, and the way back to the embeddings of their prompts.

use tch::{Kind, Tensor};

use crate::BackboneError;

/// Hidden states of answers, see [`crate::Backbone::answers`].
pub struct Answers<'a> {
    hidden: Tensor,
    back: Option<Box<Back<'a>>>,
}

/// Adds to the gradients of prompts what a gradient of the hidden states hands back to them.
type Back<'a> = dyn FnOnce(&Tensor) -> Result<(), BackboneError> + 'a;

impl<'a> Answers<'a> {
    /// Of hidden states that libtorch differentiates, if any prompt requires a gradient.
    pub(crate) fn of_graph(hidden: Tensor) -> Self {
        let values = hidden.detach();
        if hidden.requires_grad() {
            Self::with_way_back(values, move |gradient| hand_on(&hidden, gradient))
        } else {
            Self::without_way_back(values)
        }
    }

    pub(crate) fn with_way_back(
        hidden: Tensor,
        back: impl FnOnce(&Tensor) -> Result<(), BackboneError> + 'a,
    ) -> Self {
        Self {
            hidden,
            back: Some(Box::new(back)),
        }
    }

    pub(crate) fn without_way_back(hidden: Tensor) -> Self {
        Self { hidden, back: None }
    }

    /// `[answer tokens, hidden]`, those of the first answer first. [`crate::Backbone::logits`] predicts from each the token of its place.
    /// No gradient goes through it but by [`Self::backward`].
    pub fn hidden(&self) -> &Tensor {
        &self.hidden
    }

    /// Adds to the gradients of what the prompts were computed from what `gradient`, that of [`Self::hidden`], hands back to it. Where no
    /// prompt requires a gradient, nothing.
    ///
    /// # Errors
    ///
    /// [`BackboneError::Torch`] if the shape of the gradient is another, or memory does not suffice.
    pub fn backward(self, gradient: &Tensor) -> Result<(), BackboneError> {
        self.back.map_or(Ok(()), |back| back(gradient))
    }
}

/// Hands a gradient on to what a tensor was computed from: the product with a constant has that constant as its gradient.
pub(crate) fn hand_on(to: &Tensor, gradient: &Tensor) -> Result<(), BackboneError> {
    Ok(to.f_mul(&gradient.f_to_kind(to.kind())?)?.f_sum(Kind::Float)?.f_backward()?)
}
