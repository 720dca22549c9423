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
pub(crate) fn loss(
    backbone: &Backbone,
    transducer: Option<&Transducer>,
    examples: &[&Example],
    weight: Option<f64>,
) -> Result<Loss, TrainError> {
    // The prompts, one behind the other.
    let (mut ids, mut inputs, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for example in examples {
        inputs.push(example.input(ids.len()));
        ids.extend(&example.prompt);
        lengths.push(example.prompt.len() as i64);
    }
    let mut embeddings = backbone.embed(&ids)?;
    if let Some(transducer) = transducer {
        embeddings = transducer.forward(&transducer.batch(&inputs, ids.len())?, &embeddings)?;
    }
    let prompts = embeddings.f_split_with_sizes(&lengths[..], 0)?;
    let ids: Vec<&[u32]> = examples.iter().map(|example| &example.answer[..]).collect();
    let answers = backbone.answers(&prompts, &ids)?;
    let labels: Vec<i64> = ids.concat().into_iter().map(i64::from).collect();
    let labels = Tensor::f_from_slice(&labels)?.f_to_device(backbone.device())?;

    // The head's rows a few at a time, each with its gradient at once.
    let leaf = answers.hidden().detach().set_requires_grad(weight.is_some());
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
    if weight.is_some() && loss.sum().is_finite() {
        answers.backward(&leaf.grad())?;
    }
    Ok(loss)
}
