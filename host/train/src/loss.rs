//! The loss of a few examples.

use std::borrow::Borrow;

use transducer_backbone::Backbone;
use transducer_core::Transducer;

use crate::TrainError;
use crate::example::Example;

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

/// The loss of `examples`, of which about `most` tokens go through the LLM at once; where `weight` is given, the gradient of `weight × sum` is
/// added to the transducer's parameters.
pub(crate) fn loss(
    backbone: &Backbone,
    transducer: Option<&Transducer>,
    examples: &[impl Borrow<Example>],
    weight: Option<f64>,
    most: usize,
) -> Result<Loss, TrainError> {
    // The prompts, one behind the other.
    let (mut ids, mut inputs, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for example in examples.iter().map(Borrow::borrow) {
        inputs.push(example.input(ids.len()));
        ids.extend(&example.prompt);
        lengths.push(example.prompt.len() as i64);
    }
    let mut embeddings = backbone.embed(&ids)?;
    if let Some(transducer) = transducer {
        embeddings = transducer.forward(&transducer.batch(&inputs, ids.len())?, &embeddings)?;
    }
    let prompts = embeddings.f_split_with_sizes(&lengths[..], 0)?;
    let ids: Vec<&[u32]> = examples.iter().map(|example| &example.borrow().answer[..]).collect();
    let losses = backbone.losses(&prompts, &ids, weight, most)?;
    let sum = |losses: &Vec<f32>| losses.iter().copied().map(f64::from).sum();
    Ok(Loss {
        sums: losses.iter().map(sum).collect(),
        tokens: losses.iter().map(Vec::len).sum(),
    })
}
