//! The loss of a few examples: one padded pass through the frozen LLM.

use tch::{Kind, Reduction, Tensor};
use transducer_backbone::Backbone;
use transducer_core::Transducer;

use crate::TrainError;
use crate::example::Example;

/// Answer tokens whose logits are in memory at once. For a vocabulary of 49,152 and 32-bit floats 128 rows are 24 MiB, about
/// the size of a last-level cache; all rows of a batch at once would be most of a training's memory.
const HEAD_ROWS: i64 = 128;

/// The loss of a batch.
pub(crate) struct Loss {
    /// Sum of the negative log-likelihoods of the answers' tokens, a number an example.
    pub(crate) sums: Vec<f64>,
    /// Answer tokens.
    pub(crate) tokens: usize,
}

impl Loss {
    /// The sum over all examples.
    pub(crate) fn sum(&self) -> f64 {
        self.sums.iter().sum()
    }
}

/// The loss of `examples`; where `weight` is given, the gradient of `weight × sum` is added to the transducer's parameters.
///
/// Right padding: under causal attention no token sees what follows it, so no mask is needed.
pub(crate) fn loss(
    backbone: &Backbone,
    transducer: Option<&Transducer>,
    examples: &[&Example],
    weight: Option<f64>,
) -> Result<Loss, TrainError> {
    let length = examples.iter().map(|example| example.tokens()).max().unwrap_or(0);
    let mut ids: Vec<u32> = Vec::with_capacity(length * examples.len());
    let (mut labels, mut rows) = (Vec::new(), Vec::new());
    for (place, example) in examples.iter().enumerate() {
        let first = place * length;
        // A token is predicted at the position before it.
        let answer = first + example.prompt.len() - 1;
        rows.extend((answer..answer + example.answer.len()).map(|row| row as i64));
        labels.extend(example.answer.iter().copied().map(i64::from));
        ids.extend(example.prompt.iter().chain(&example.answer));
        ids.resize(first + length, 0);
    }
    let device = backbone.device();
    let mut embeddings = backbone.embed(&ids)?;
    if let Some(transducer) = transducer {
        let inputs: Vec<_> = examples
            .iter()
            .enumerate()
            .map(|(place, example)| example.input(place * length))
            .collect();
        embeddings = transducer.forward(&transducer.batch(&inputs, ids.len())?, &embeddings)?;
    }
    let shape = [examples.len() as i64, length as i64, -1];
    let hidden = backbone.hidden(&embeddings.f_view(shape)?, None)?;
    let rows = Tensor::f_from_slice(&rows)?.f_to_device(device)?;
    let answers = hidden.f_flatten(0, 1)?.f_index_select(0, &rows)?;
    let labels = Tensor::f_from_slice(&labels)?.f_to_device(device)?;

    // The head's rows a few at a time, each with its gradient at once.
    let leaf = answers.detach().set_requires_grad(weight.is_some());
    let total = labels.size()[0];
    let mut losses = Vec::new();
    for start in (0..total).step_by(HEAD_ROWS as usize) {
        let count = HEAD_ROWS.min(total - start);
        let logits = backbone.logits(&leaf.f_narrow(0, start, count)?)?;
        let labels = labels.f_narrow(0, start, count)?;
        let each = logits.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::None, -100, 0.0)?;
        if let Some(weight) = weight {
            (each.f_sum(Kind::Float)? * weight).f_backward()?;
        }
        losses.push(each.detach());
    }
    let losses = Vec::<f32>::try_from(Tensor::f_cat(&losses, 0)?)?;
    let mut rest = losses.as_slice();
    let sums = examples.iter().map(|example| {
        let (own, others) = rest.split_at(example.answer.len());
        rest = others;
        own.iter().copied().map(f64::from).sum()
    });
    let loss = Loss {
        sums: sums.collect(),
        tokens: losses.len(),
    };
    if weight.is_some() && loss.sum().is_finite() && answers.requires_grad() {
        // The product with a constant has that constant as its gradient: the way to hand a gradient on.
        (answers * leaf.grad()).f_sum(Kind::Float)?.f_backward()?;
    }
    Ok(loss)
}
