//! What training asks of a backbone: how well it predicts answers, and what would make it predict them better.

use tch::{Kind, Reduction, Tensor};

use crate::BackboneError;
use crate::model::Model;

/// Answer tokens whose logits are in memory at once. For a vocabulary of 49,152 and 32-bit floats 128 rows are 24 MiB, about
/// the size of a last-level cache; all rows of a batch at once would be most of a training's memory.
pub(crate) const HEAD_ROWS: i64 = 128;

/// How examples are read.
pub(crate) struct Lesson {
    /// What losses are multiplied by for the gradient; `None`: there is none to be computed.
    pub(crate) weight: Option<f64>,
    /// About how many tokens are read at once.
    pub(crate) most: usize,
}

/// What there is to learn from one example.
pub(crate) struct Learned {
    /// The negative log-likelihood of each token of the answer.
    pub(crate) losses: Vec<f32>,
    /// The gradient of the prompt's embeddings, `[tokens, hidden]`.
    pub(crate) gradient: Option<Tensor>,
}

/// Cuts items into runs of similar length: the places of each run's items, such that `longest × items ≤ most` (or one item).
pub fn by_length(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|&place| lengths[place]);
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for place in places {
        match runs.last_mut() {
            // Sorted: this one is the longest so far.
            Some(run) if lengths[place] * (run.len() + 1) <= most => run.push(place),
            _ => runs.push(vec![place]),
        }
    }
    runs
}

/// Tokens of each prompt and its answer.
pub(crate) fn lengths(prompts: &[Tensor], answers: &[&[u32]]) -> Vec<usize> {
    let examples = prompts.iter().zip(answers);
    examples
        .map(|(prompt, answer)| prompt.size()[0] as usize + answer.len())
        .collect()
}

/// Hands a gradient on to what a tensor was computed from: the product with a constant has that constant as its gradient.
pub(crate) fn hand_on(to: &Tensor, gradient: &Tensor) -> Result<(), BackboneError> {
    Ok(to
        .f_mul(&gradient.f_to_kind(to.kind())?)?
        .f_sum(Kind::Float)?
        .f_backward()?)
}

/// Of any model: in padded batches, differentiated by libtorch. No prompt requires a gradient.
pub(crate) fn by_libtorch<M: Model + ?Sized>(
    model: &M,
    prompts: &[Tensor],
    answers: &[&[u32]],
    lesson: &Lesson,
) -> Result<Vec<Learned>, BackboneError> {
    let lengths = lengths(prompts, answers);
    let mut learned: Vec<Option<Learned>> = prompts.iter().map(|_| None).collect();
    for run in by_length(&lengths, lesson.most) {
        let own = run
            .iter()
            .map(|&place| prompts[place].detach().set_requires_grad(lesson.weight.is_some()));
        let own: Vec<Tensor> = own.collect();
        let answers: Vec<&[u32]> = run.iter().map(|&place| answers[place]).collect();
        let hidden = model.hidden_of_answers(&own, &answers)?;
        let losses = losses(model, &hidden, &answers.concat(), lesson)?;
        let mut rest = losses.as_slice();
        for ((place, prompt), answer) in run.into_iter().zip(own).zip(answers) {
            let (losses, others) = rest.split_at(answer.len());
            rest = others;
            learned[place] = Some(Learned {
                losses: losses.to_vec(),
                gradient: lesson.weight.is_some().then(|| prompt.grad()),
            });
        }
    }
    Ok(learned.into_iter().flatten().collect())
}

/// The losses of these tokens after their hidden states, to which their gradient is handed on: a few rows of the head at a time, each
/// with its gradient at once.
fn losses<M: Model + ?Sized>(
    model: &M,
    hidden: &Tensor,
    labels: &[u32],
    lesson: &Lesson,
) -> Result<Vec<f32>, BackboneError> {
    let leaf = hidden.detach().set_requires_grad(lesson.weight.is_some());
    let labels: Vec<i64> = labels.iter().copied().map(i64::from).collect();
    let labels = Tensor::f_from_slice(&labels)?.f_to_device(hidden.device())?;
    let total = labels.size()[0];
    let mut losses = Vec::new();
    for start in (0..total).step_by(HEAD_ROWS as usize) {
        let count = HEAD_ROWS.min(total - start);
        let logits = model.logits(&leaf.f_narrow(0, start, count)?)?;
        let labels = labels.f_narrow(0, start, count)?;
        let each = logits.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::None, -100, 0.0)?;
        if let Some(weight) = lesson.weight {
            (each.f_sum(Kind::Float)? * weight).f_backward()?;
        }
        losses.push(each.detach());
    }
    if lesson.weight.is_some() {
        hand_on(hidden, &leaf.grad())?;
    }
    Ok(Vec::try_from(Tensor::f_cat(&losses, 0)?)?)
}

#[cfg(test)]
mod tests {
    use super::by_length;

    #[test]
    fn runs_hold_what_fits() {
        assert_eq!(by_length(&[5, 1, 2, 9, 2], 8), [vec![1, 2, 4], vec![0], vec![3]]);
        assert!(by_length(&[], 8).is_empty());
    }
}
