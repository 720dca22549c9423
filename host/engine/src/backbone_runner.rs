//! Requests on the frozen backbone.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, KvCache, Positions};

use crate::beam::{BeamSearch, Candidate};
use crate::offline::likeliest;
use crate::running::{Generated, Progress, Runner};
use crate::sampler::Sampler;
use crate::text::AnswerText;
use crate::{Decoding, EngineError, FinishReason, PromptEmbeddings, Strategy};

/// Runs requests side by side. Each has a cache of its own, so that it comes and goes without moving another's, and attends as
/// it would alone; all else of a step is computed for all.
pub(crate) struct BackboneRunner<'a> {
    pub(crate) backbone: &'a Backbone,
    /// Tokens of prompts that are read in a turn.
    pub(crate) prefill_chunk: usize,
    /// Tokens of prompts that were read in this turn.
    pub(crate) read: usize,
}

/// One request in the making.
pub(crate) struct Sequence<'a> {
    cache: KvCache,
    decoding: Decoding,
    /// Tokens that the answer may have.
    limit: usize,
    stage: Stage<'a>,
}

enum Stage<'a> {
    /// The prompt is read, so many tokens of it so far.
    Prompt { prompt: PromptEmbeddings, read: usize },
    /// Token by token.
    Tokens(Tokens<'a>),
    /// Several sequences at once. Which is best is known at the end only: the text leaves in one piece.
    Beams { search: BeamSearch<'a>, token: usize },
}

/// An answer that grows by one token at a time.
struct Tokens<'a> {
    text: AnswerText<'a>,
    ids: Vec<u32>,
    sampler: Option<Sampler>,
    /// What the last forward pass gave.
    next: Option<Next>,
}

/// What a token is chosen by.
enum Next {
    /// The likeliest; `None` where the logits are no numbers.
    Likeliest(Option<u32>),
    /// `[vocab]`.
    Logits(Tensor),
}

impl<'a> Runner for BackboneRunner<'a> {
    type Sequence = Sequence<'a>;

    fn begin(&mut self, prompt: PromptEmbeddings, decoding: Decoding) -> Result<Sequence<'a>, EngineError> {
        // A prompt leaves room for at least one token.
        let room = self.backbone.config().room(prompt.tokens());
        let limit = decoding.max_new_tokens().min(room);
        Ok(Sequence {
            // The last token of an answer is never read.
            cache: self.backbone.new_cache(1, prompt.tokens() + limit - 1)?,
            limit,
            stage: Stage::Prompt { prompt, read: 0 },
            decoding,
        })
    }

    fn turn(
        &mut self,
        sequence: &mut Sequence<'a>,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Generated>, EngineError> {
        let _no_grad = tch::no_grad_guard();
        if let Stage::Prompt { .. } = sequence.stage {
            let Some(logits) = self.read(sequence)? else {
                return Ok(None);
            };
            progress.prefilled();
            return self.choose_first(sequence, &logits, progress);
        }
        match &mut sequence.stage {
            Stage::Prompt { .. } => Ok(None),
            Stage::Tokens(tokens) => tokens.choose(self.backbone, sequence.limit, progress),
            Stage::Beams { search, .. } => {
                let embeddings = self.backbone.embed(&search.last_tokens())?.f_unsqueeze(1)?;
                let cache = Some(&mut sequence.cache);
                let logits = self.backbone.forward(&embeddings, cache, Positions::Last)?;
                sequence.choose_beams(&logits, progress)
            }
        }
    }

    fn together(&mut self, sequences: &mut [&mut Sequence<'a>]) -> Result<(), EngineError> {
        let _no_grad = tch::no_grad_guard();
        self.read = 0;
        let mut ids = Vec::with_capacity(sequences.len());
        let mut caches = Vec::with_capacity(sequences.len());
        let mut waiting = Vec::with_capacity(sequences.len());
        for Sequence { cache, stage, .. } in sequences {
            if let Stage::Tokens(tokens) = stage
                && let (None, Some(&last)) = (&tokens.next, tokens.ids.last())
            {
                ids.push(last);
                caches.push(cache);
                waiting.push(tokens);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let embeddings = self.backbone.embed(&ids)?.f_unsqueeze(1)?;
        let logits = self.backbone.forward_each(&embeddings, &mut caches)?;
        let likeliest = likeliest(&logits)?;
        for ((tokens, likeliest), row) in waiting.into_iter().zip(likeliest).zip(0..) {
            tokens.next = Some(match tokens.sampler {
                None => Next::Likeliest(likeliest),
                Some(_) => Next::Logits(logits.f_select(0, row)?.f_view(-1)?),
            });
        }
        Ok(())
    }
}

impl<'a> BackboneRunner<'a> {
    /// Reads a piece of the prompt, or where an encoder reads it all of it, if others have left some of this turn's tokens. Logits after the prompt, `[1, 1, vocab]`, once
    /// it is read.
    fn read(&mut self, sequence: &mut Sequence<'a>) -> Result<Option<Tensor>, EngineError> {
        let Stage::Prompt { prompt, read } = &mut sequence.stage else {
            return Ok(None);
        };
        let (left, unread) = (self.prefill_chunk.saturating_sub(self.read), prompt.tokens() - *read);
        let whole = self.backbone.config().reads_prompts_whole();
        let count = match left.min(unread) {
            // Longer than what is left of the turn, but it is the first: it would wait for ever.
            _ if whole && self.read == 0 => unread,
            count if whole && count < unread => 0,
            count => count,
        };
        if count == 0 {
            return Ok(None);
        }
        self.read += count;
        let chunk = prompt
            .tensor()
            .f_narrow(0, *read as i64, count as i64)?
            .f_unsqueeze(0)?;
        *read += count;
        let all = *read == prompt.tokens();
        let positions = if all { Positions::Last } else { Positions::None };
        let logits = self.backbone.forward(&chunk, Some(&mut sequence.cache), positions)?;
        Ok(all.then_some(logits))
    }

    /// The first token, or the first of each beam, from the logits after the prompt.
    fn choose_first(
        &self,
        sequence: &mut Sequence<'a>,
        logits: &Tensor,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Generated>, EngineError> {
        let (tokenizer, limit, stop) = (self.backbone.tokenizer(), sequence.limit, sequence.decoding.stop());
        let (sampler, next) = match sequence.decoding.strategy() {
            Strategy::Greedy => (None, Next::Likeliest(likeliest(logits)?.pop().flatten())),
            Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed,
            } => {
                let sampler = Sampler::new(temperature, top_k, top_p, seed);
                (Some(sampler), Next::Logits(logits.f_view(-1)?))
            }
            Strategy::Beam { beams } => {
                let search = BeamSearch::new(beams, limit, tokenizer, stop);
                sequence.stage = Stage::Beams { search, token: 0 };
                return sequence.choose_beams(logits, progress);
            }
        };
        let mut tokens = Tokens {
            text: AnswerText::new(tokenizer, stop),
            ids: Vec::new(),
            sampler,
            next: Some(next),
        };
        let made = tokens.choose(self.backbone, limit, progress)?;
        sequence.stage = Stage::Tokens(tokens);
        Ok(made)
    }
}

impl Tokens<'_> {
    /// Takes the next token, and hands on the text that it makes certain.
    fn choose(
        &mut self,
        backbone: &Backbone,
        limit: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Generated>, EngineError> {
        let Some(next) = self.next.take() else {
            return Ok(None);
        };
        let id = match (next, &mut self.sampler) {
            (Next::Likeliest(id), _) => id,
            (Next::Logits(logits), Some(sampler)) => sampler.pick(&Vec::try_from(&logits)?),
            (Next::Logits(logits), None) => likeliest(&logits.f_view([1, 1, -1])?)?.pop().flatten(),
        };
        let id = id.ok_or(EngineError::NotFinite { token: self.ids.len() })?;
        let reason = if backbone.tokenizer().eos_ids().contains(&id) {
            FinishReason::EndToken
        } else {
            self.ids.push(id);
            let piece = self.text.push(id);
            progress.text(piece)?;
            if self.text.stopped() {
                FinishReason::StopString
            } else if self.ids.len() == limit {
                FinishReason::Length
            } else {
                return Ok(None);
            }
        };
        let rest = self.text.finish();
        progress.text(rest)?;
        let ids = std::mem::take(&mut self.ids);
        Ok(Some(Generated {
            text: self.text.clone().into_text(),
            completion_tokens: ids.len() + usize::from(reason == FinishReason::EndToken),
            ids,
            finish_reason: reason,
        }))
    }
}

impl Sequence<'_> {
    /// Follows the best beams, whose next tokens the logits `[beams, 1, vocab]` are for.
    fn choose_beams(&mut self, logits: &Tensor, progress: &mut Progress<'_>) -> Result<Option<Generated>, EngineError> {
        let Stage::Beams { search, token } = &mut self.stage else {
            return Ok(None);
        };
        let candidates = candidates(logits, search)?;
        let finite = |candidate: &Candidate| candidate.log_probability.is_finite();
        if !candidates.iter().all(finite) {
            return Err(EngineError::NotFinite { token: *token });
        }
        let best = match search.advance(&candidates) {
            ControlFlow::Continue(rows) => {
                self.cache.reorder(&rows)?;
                *token += 1;
                return Ok(None);
            }
            ControlFlow::Break(best) => best,
        };
        // Without a single candidate: a vocabulary of no tokens, or logits of none.
        let best = best.ok_or(EngineError::NotFinite { token: *token })?;
        let mut ids = best.hypothesis.ids.clone();
        let completion_tokens = ids.len();
        if best.finish_reason == FinishReason::EndToken {
            ids.pop();
        }
        let text = best.hypothesis.into_text();
        progress.text(text.clone())?;
        Ok(Some(Generated {
            text,
            ids,
            finish_reason: best.finish_reason,
            completion_tokens,
        }))
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
