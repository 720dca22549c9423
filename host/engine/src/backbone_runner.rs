//! Requests on the frozen backbone.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, KvCache, Positions};

use crate::beam::{BeamSearch, Candidate};
use crate::engine::{Generated, Progress, Runner};
use crate::sampler::Sampler;
use crate::text::AnswerText;
use crate::{Decoding, EngineError, FinishReason, PromptEmbeddings, Strategy};

/// Runs one request at a time.
pub(crate) struct BackboneRunner {
    pub(crate) backbone: Arc<Backbone>,
    /// Tokens of a prompt that are read between two looks at cancellation and deadline.
    pub(crate) prefill_chunk: usize,
}

impl Runner for BackboneRunner {
    fn run(
        &mut self,
        prompt: &PromptEmbeddings,
        decoding: &Decoding,
        progress: &mut Progress<'_>,
    ) -> Result<Generated, EngineError> {
        let _no_grad = tch::no_grad_guard();
        let started = Instant::now();
        // A prompt leaves room for at least one token.
        let room = self.backbone.config().max_context - prompt.tokens();
        let limit = decoding.max_new_tokens().min(room);
        // The last token of an answer is never read.
        let mut cache = self.backbone.new_cache(1, prompt.tokens() + limit - 1)?;
        let logits = self.prefill(prompt, &mut cache, progress)?;
        let prefill = started.elapsed();

        let run = Run {
            backbone: &self.backbone,
            decoding,
            limit,
            cache,
            progress,
        };
        let answer = match decoding.strategy() {
            Strategy::Greedy => run.token_by_token(logits, likeliest),
            Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed,
            } => {
                let mut sampler = Sampler::new(temperature, top_k, top_p, seed);
                run.token_by_token(logits, |logits| Ok(sampler.pick(&Vec::try_from(&logits.f_view(-1)?)?)))
            }
            Strategy::Beam { beams } => run.beams(logits, beams),
        }?;
        Ok(Generated {
            prefill,
            decode: started.elapsed().saturating_sub(prefill),
            ..answer
        })
    }
}

impl BackboneRunner {
    /// Logits after the prompt, `[1, 1, vocab]`.
    fn prefill(
        &self,
        prompt: &PromptEmbeddings,
        cache: &mut KvCache,
        progress: &mut Progress<'_>,
    ) -> Result<Tensor, EngineError> {
        let embeddings = prompt.tensor().f_unsqueeze(0)?;
        let tokens = prompt.tokens();
        let mut read = 0;
        loop {
            progress.check()?;
            let count = self.prefill_chunk.min(tokens - read);
            let chunk = embeddings.f_narrow(1, read as i64, count as i64)?;
            read += count;
            let positions = if read == tokens {
                Positions::Last
            } else {
                Positions::None
            };
            let logits = self.backbone.forward(&chunk, Some(cache), positions)?;
            if read == tokens {
                return Ok(logits);
            }
        }
    }
}

/// The likeliest token; `None` if the logits are no numbers.
fn likeliest(logits: &Tensor) -> Result<Option<u32>, EngineError> {
    let (highest, id) = logits.f_view(-1)?.f_max_dim(0, false)?;
    // Any NaN is the highest of all.
    let highest = highest.f_double_value(&[])?;
    Ok(highest.is_finite().then_some(id.f_int64_value(&[])? as u32))
}

/// One request after its prompt was read.
struct Run<'a, 'p> {
    backbone: &'a Backbone,
    decoding: &'a Decoding,
    /// Tokens that the answer may have.
    limit: usize,
    cache: KvCache,
    progress: &'a mut Progress<'p>,
}

impl Run<'_, '_> {
    /// One sequence, its text leaving as it becomes certain. `pick` chooses from logits, `[1, 1, vocab]`.
    fn token_by_token(
        mut self,
        mut logits: Tensor,
        mut pick: impl FnMut(&Tensor) -> Result<Option<u32>, EngineError>,
    ) -> Result<Generated, EngineError> {
        let tokenizer = self.backbone.tokenizer();
        let mut text = AnswerText::new(tokenizer, self.decoding.stop());
        let mut ids = Vec::new();
        let finish_reason = loop {
            self.progress.check()?;
            let id = pick(&logits)?.ok_or(EngineError::NotFinite { token: ids.len() })?;
            if tokenizer.eos_ids().contains(&id) {
                break FinishReason::EndToken;
            }
            ids.push(id);
            let piece = text.push(id);
            self.progress.text(piece)?;
            if text.stopped() {
                break FinishReason::StopString;
            }
            if ids.len() == self.limit {
                break FinishReason::Length;
            }
            logits = self.next_logits(&[id])?;
        };
        let rest = text.finish();
        self.progress.text(rest)?;
        let completion_tokens = ids.len() + usize::from(finish_reason == FinishReason::EndToken);
        Ok(Generated::new(text.into_text(), ids, finish_reason, completion_tokens))
    }

    /// Several sequences at once. Which is best is known at the end only: the text leaves in one piece.
    fn beams(mut self, mut logits: Tensor, beams: usize) -> Result<Generated, EngineError> {
        let mut search = BeamSearch::new(beams, self.limit, self.backbone.tokenizer(), self.decoding.stop());
        let mut token = 0;
        let best = loop {
            self.progress.check()?;
            let candidates = candidates(&logits, &search)?;
            if candidates
                .iter()
                .any(|candidate| !candidate.log_probability.is_finite())
            {
                return Err(EngineError::NotFinite { token });
            }
            match search.advance(&candidates) {
                ControlFlow::Break(best) => break best,
                ControlFlow::Continue(rows) => self.cache.reorder(&rows)?,
            }
            logits = self.next_logits(&search.last_tokens())?;
            token += 1;
        };
        // Without a single candidate: a vocabulary of no tokens, or logits of none.
        let best = best.ok_or(EngineError::NotFinite { token })?;
        let mut ids = best.hypothesis.ids.clone();
        let completion_tokens = ids.len();
        if best.finish_reason == FinishReason::EndToken {
            ids.pop();
        }
        let text = best.hypothesis.into_text();
        self.progress.text(text.clone())?;
        Ok(Generated::new(text, ids, best.finish_reason, completion_tokens))
    }

    /// Logits after one more token of each sequence, `[sequences, 1, vocab]`.
    fn next_logits(&mut self, ids: &[u32]) -> Result<Tensor, EngineError> {
        let embeddings = self.backbone.embed(ids)?.f_unsqueeze(1)?;
        Ok(self
            .backbone
            .forward(&embeddings, Some(&mut self.cache), Positions::Last)?)
    }
}

/// The best ways to go on, best first, from logits `[sequences, 1, vocab]`.
fn candidates(logits: &Tensor, search: &BeamSearch<'_>) -> Result<Vec<Candidate>, EngineError> {
    let so_far = Tensor::f_from_slice(&search.log_probabilities())?.f_to_device(logits.device())?;
    let vocabulary = logits.size()[2];
    let totals = logits
        .f_squeeze_dim(1)?
        .f_log_softmax(-1, Kind::Float)?
        .f_add(&so_far.f_unsqueeze(1)?)?
        .f_view(-1)?;
    let wanted = (search.candidates_wanted() as i64).min(totals.size()[0]);
    let (log_probabilities, places) = totals.f_topk(wanted, 0, true, true)?;
    let log_probabilities = Vec::<f32>::try_from(&log_probabilities)?;
    let places = Vec::<i64>::try_from(&places)?;
    Ok(log_probabilities
        .into_iter()
        .zip(places)
        .map(|(log_probability, place)| Candidate {
            row: (place / vocabulary) as usize,
            token: (place % vocabulary) as u32,
            log_probability,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_token_is_the_highest_number() {
        let pick = |logits: &[f32]| likeliest(&Tensor::from_slice(logits).view([1, 1, -1])).expect("a valid tensor");
        assert_eq!(pick(&[0.5, 2.0, -1.0]), Some(1));
        assert_eq!(pick(&[0.5, f32::NEG_INFINITY]), Some(0));
        assert_eq!(pick(&[0.5, f32::NAN, 3.0]), None);
        assert_eq!(pick(&[f32::INFINITY, 3.0]), None);
    }
}
