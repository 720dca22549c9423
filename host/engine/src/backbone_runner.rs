//! Requests on the frozen backbone.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, KvCache, Piece, Positions};

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
    /// Tokens of prompts that are read in a turn in which answers wait for their next token.
    pub(crate) prefill_chunk: usize,
    /// Tokens of prompts that may still be read in this turn.
    pub(crate) left: usize,
    /// Whether any have been.
    pub(crate) has_read: bool,
}

/// How many times as many tokens of prompts are read in a turn in which no answer waits: more at once are faster, and it is only
/// cancellations and new requests that wait.
const NOBODY_WAITS: usize = 4;

/// One request in the making.
pub(crate) struct Sequence<'a> {
    cache: KvCache,
    decoding: Decoding,
    /// Tokens that the answer may have.
    limit: usize,
    stage: Stage<'a>,
}

enum Stage<'a> {
    /// The prompt is read, so many tokens of it so far. Once all are, there are logits, `[1, 1, vocab]`.
    Prompt {
        prompt: PromptEmbeddings,
        read: usize,
        logits: Option<Tensor>,
    },
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
            stage: Stage::Prompt {
                prompt,
                read: 0,
                logits: None,
            },
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
            if !self.backbone.reads_together() {
                self.read(sequence)?;
            }
            let Stage::Prompt {
                logits: Some(logits), ..
            } = &sequence.stage
            else {
                return Ok(None);
            };
            let logits = logits.shallow_clone();
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
        let ids: Vec<u32> = sequences.iter().filter_map(|sequence| sequence.unread()).collect();
        let factor = if ids.is_empty() { NOBODY_WAITS } else { 1 };
        (self.left, self.has_read) = (self.prefill_chunk.saturating_mul(factor), false);
        if self.backbone.reads_together() {
            return self.step(&ids, sequences);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let (mut caches, mut waiting) = (Vec::with_capacity(ids.len()), Vec::with_capacity(ids.len()));
        for sequence in sequences.iter_mut().filter(|sequence| sequence.unread().is_some()) {
            let Sequence { cache, stage, .. } = &mut **sequence;
            caches.push(cache);
            waiting.push(stage);
        }
        let embeddings = self.backbone.embed(&ids)?.f_unsqueeze(1)?;
        let logits = self.backbone.forward_each(&embeddings, &mut caches)?;
        hand_out(&logits.f_squeeze_dim(1)?, waiting)
    }
}

/// Gives each what comes after its last token or its prompt: of `logits [stages, vocab]`, a row each.
fn hand_out(logits: &Tensor, stages: Vec<&mut Stage<'_>>) -> Result<(), EngineError> {
    if stages.is_empty() {
        return Ok(());
    }
    let likeliest = likeliest(&logits.f_unsqueeze(1)?)?;
    for ((stage, likeliest), row) in stages.into_iter().zip(likeliest).zip(0..) {
        let row = || logits.f_select(0, row);
        match stage {
            Stage::Prompt { logits, .. } => *logits = Some(row()?.f_view([1, 1, -1])?),
            Stage::Tokens(tokens) => {
                tokens.next = Some(match tokens.sampler {
                    None => Next::Likeliest(likeliest),
                    Some(_) => Next::Logits(row()?),
                });
            }
            Stage::Beams { .. } => {}
        }
    }
    Ok(())
}

impl Sequence<'_> {
    /// The last token of the answer, where the model has not read it.
    fn unread(&self) -> Option<u32> {
        match &self.stage {
            Stage::Tokens(Tokens { next: None, ids, .. }) => ids.last().copied(),
            _ => None,
        }
    }
}

impl<'a> BackboneRunner<'a> {
    /// One forward pass for all: after the last tokens `ids` of those that have one, and pieces of prompts.
    fn step(&mut self, ids: &[u32], sequences: &mut [&mut Sequence<'a>]) -> Result<(), EngineError> {
        let embeddings = if ids.is_empty() {
            None
        } else {
            Some(self.backbone.embed(ids)?)
        };
        let (mut pieces, mut waiting) = (Vec::new(), Vec::new());
        let mut row = 0;
        for sequence in sequences {
            let is_unread = sequence.unread().is_some();
            let Sequence { cache, stage, .. } = &mut **sequence;
            let (embeddings, positions) = match (&mut *stage, &embeddings) {
                (Stage::Tokens(_), Some(embeddings)) if is_unread => {
                    row += 1;
                    (embeddings.f_narrow(0, row - 1, 1)?, Positions::Last)
                }
                (Stage::Prompt { prompt, read, .. }, _) => match self.next_piece(prompt, read)? {
                    Some(piece) => piece,
                    None => continue,
                },
                _ => continue,
            };
            pieces.push(Piece {
                embeddings,
                cache,
                positions,
            });
            if positions == Positions::Last {
                waiting.push(stage);
            }
        }
        if pieces.is_empty() {
            return Ok(());
        }
        hand_out(&self.backbone.forward_pieces(&mut pieces)?, waiting)
    }

    /// Reads a piece of the prompt by itself, or where an encoder reads it all of it, if others have left some of this turn's tokens.
    fn read(&mut self, sequence: &mut Sequence<'a>) -> Result<(), EngineError> {
        let Stage::Prompt { prompt, read, logits } = &mut sequence.stage else {
            return Ok(());
        };
        if let Some((piece, positions)) = self.next_piece(prompt, read)? {
            let piece = piece.f_unsqueeze(0)?;
            let after = self.backbone.forward(&piece, Some(&mut sequence.cache), positions)?;
            if positions == Positions::Last {
                *logits = Some(after);
            }
        }
        Ok(())
    }

    /// What of a prompt is read next, `[tokens, hidden]`, if others have left some of this turn's tokens: all of it where an encoder
    /// reads it.
    fn next_piece(
        &mut self,
        prompt: &PromptEmbeddings,
        read: &mut usize,
    ) -> Result<Option<(Tensor, Positions)>, EngineError> {
        let unread = prompt.tokens() - *read;
        let whole = self.backbone.config().reads_prompts_whole();
        let count = match self.left.min(unread) {
            // Longer than what is left of the turn, but it is the first: it would wait for ever.
            _ if whole && !self.has_read => unread,
            count if whole && count < unread => 0,
            count => count,
        };
        if count == 0 {
            return Ok(None);
        }
        (self.left, self.has_read) = (self.left.saturating_sub(count), true);
        let piece = prompt.tensor().f_narrow(0, *read as i64, count as i64)?;
        *read += count;
        let positions = if *read == prompt.tokens() {
            Positions::Last
        } else {
            Positions::None
        };
        Ok(Some((piece, positions)))
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
