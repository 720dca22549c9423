//! Many answers at once, for those who have all their prompts and wait for all answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, KvCache, Positions};

use crate::text::AnswerText;
use crate::{Completion, Decoding, EngineError, FinishReason, PromptEmbeddings, Strategy, Timings, Usage};

/// Finished sequences are taken out of the batch when they are at least this part of it: to take them out copies the cache
/// of those that stay, to keep them costs a row of every step.
const FINISHED_PART: usize = 8;

/// A prompt and how to decode its answer.
#[derive(Debug)]
pub struct OfflineRequest {
    /// The prompt.
    pub prompt: PromptEmbeddings,
    /// How to decode: greedily.
    pub decoding: Decoding,
}

impl OfflineRequest {
    /// The most tokens that its answer may have.
    fn most_tokens(&self, backbone: &Backbone) -> usize {
        let room = backbone.config().room(self.prompt.tokens());
        self.decoding.max_new_tokens().min(room)
    }
}

/// One answer in the making.
struct Sequence<'a> {
    /// Its place among the requests.
    place: usize,
    text: AnswerText<'a>,
    ids: Vec<u32>,
    limit: usize,
    finished: Option<FinishReason>,
}

/// Answers all requests in one batch, or as few as there can be, each as if it were alone: padding takes no part in anything. Prompts
/// of similar length waste least. The completions have the order of the requests; their times are those of the whole batch.
///
/// # Errors
/// [`EngineError`]; [`EngineError::Cancelled`] once `stop` is raised, [`EngineError::NotGreedy`] for a request that wants
/// something else than the likeliest token.
pub fn generate_together(
    backbone: &Backbone,
    requests: &[OfflineRequest],
    stop: &AtomicBool,
) -> Result<Vec<Completion>, EngineError> {
    let _no_grad = tch::no_grad_guard();
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    if requests
        .iter()
        .any(|request| request.decoding.strategy() != Strategy::Greedy)
    {
        return Err(EngineError::NotGreedy);
    }
    let mut completions: Vec<Option<Completion>> = requests.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..requests.len()).collect();
    while let Some(longest) = waiting.iter().map(|&place| requests[place].prompt.tokens()).max() {
        // Padded to the longest, a shorter prompt may have less room for its answer than by itself: then it has a batch of its own.
        let room = backbone.config().room(longest);
        let (batch, others): (Vec<_>, _) = waiting
            .into_iter()
            .partition(|&place| requests[place].most_tokens(backbone) <= room);
        let some: Vec<&OfflineRequest> = batch.iter().map(|&place| &requests[place]).collect();
        for (place, completion) in batch.into_iter().zip(generate_batch(backbone, &some, stop)?) {
            completions[place] = Some(completion);
        }
        waiting = others;
    }
    Ok(completions.into_iter().flatten().collect())
}

fn generate_batch(
    backbone: &Backbone,
    requests: &[&OfflineRequest],
    stop: &AtomicBool,
) -> Result<Vec<Completion>, EngineError> {
    let begun = Instant::now();
    let (mut cache, embeddings) = pad(backbone, requests)?;
    let mut logits = backbone.forward(&embeddings, Some(&mut cache), Positions::Last)?;
    let prefill = begun.elapsed();

    let tokenizer = backbone.tokenizer();
    let mut running: Vec<Sequence<'_>> = requests
        .iter()
        .enumerate()
        .map(|(place, request)| Sequence {
            place,
            text: AnswerText::new(tokenizer, request.decoding.stop()),
            ids: Vec::new(),
            limit: request.most_tokens(backbone),
            finished: None,
        })
        .collect();
    let mut completions: Vec<Option<Completion>> = requests.iter().map(|_| None).collect();
    loop {
        let next = likeliest(&logits)?;
        for (sequence, next) in running.iter_mut().zip(next) {
            sequence.push(next, tokenizer.eos_ids())?;
        }
        let finished = running.iter().filter(|sequence| sequence.finished.is_some()).count();
        if finished == running.len() || finished * FINISHED_PART >= running.len() {
            let rows: Vec<usize> = (0..running.len())
                .filter(|&row| running[row].finished.is_none())
                .collect();
            let is_done = |sequence: &mut Sequence<'_>| sequence.finished.is_some();
            for sequence in running.extract_if(.., is_done).collect::<Vec<_>>() {
                let (place, prompt) = (sequence.place, requests[sequence.place].prompt.tokens());
                completions[place] = Some(sequence.completion(prompt, prefill, begun.elapsed()));
            }
            if running.is_empty() {
                return Ok(completions.into_iter().flatten().collect());
            }
            cache.reorder(&rows)?;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        let last: Vec<u32> = running
            .iter()
            .map(|sequence| sequence.ids.last().copied().unwrap_or(0))
            .collect();
        let embeddings = backbone.embed(&last)?.f_unsqueeze(1)?;
        logits = backbone.forward(&embeddings, Some(&mut cache), Positions::Last)?;
    }
}

/// The prompts padded to one length, `[requests, length, hidden]`, and a cache for them and their answers.
fn pad(backbone: &Backbone, requests: &[&OfflineRequest]) -> Result<(KvCache, Tensor), EngineError> {
    let lengths = requests.iter().map(|request| request.prompt.tokens());
    let length = lengths.clone().max().unwrap_or(0);
    let padding: Vec<usize> = lengths.map(|tokens| length - tokens).collect();
    let answers = requests.iter().map(|request| request.most_tokens(backbone));
    let padded = requests.iter().zip(&padding).map(|(request, &padding)| {
        // Zeros: no attention sees them.
        request.prompt.tensor().f_constant_pad_nd([0, 0, padding as i64, 0])
    });
    let embeddings = Tensor::f_stack(&padded.collect::<Result<Vec<_>, _>>()?, 0)?;
    // The last token of an answer is never read.
    let cache = backbone.new_padded_cache(&padding, length + answers.max().unwrap_or(0).max(1) - 1)?;
    Ok((cache, embeddings))
}

/// The likeliest token of each sequence, from logits `[batch, 1, vocab]`; `None` where they are no numbers.
pub(crate) fn likeliest(logits: &Tensor) -> Result<Vec<Option<u32>>, EngineError> {
    let (highest, ids) = logits.f_squeeze_dim(1)?.f_max_dim(1, false)?;
    let highest = Vec::<f32>::try_from(highest.f_to_kind(Kind::Float)?)?;
    let ids = Vec::<i64>::try_from(ids)?;
    // Any NaN is the highest of all.
    let pick = |(highest, id): (f32, i64)| highest.is_finite().then_some(id as u32);
    Ok(highest.into_iter().zip(ids).map(pick).collect())
}

impl Sequence<'_> {
    /// Takes the next token, if the answer is not at its end.
    fn push(&mut self, id: Option<u32>, eos: &[u32]) -> Result<(), EngineError> {
        if self.finished.is_some() {
            return Ok(());
        }
        let id = id.ok_or(EngineError::NotFinite { token: self.ids.len() })?;
        if eos.contains(&id) {
            self.finished = Some(FinishReason::EndToken);
            return Ok(());
        }
        self.ids.push(id);
        self.text.push(id);
        if self.text.stopped() {
            self.finished = Some(FinishReason::StopString);
        } else if self.ids.len() == self.limit {
            self.finished = Some(FinishReason::Length);
        }
        Ok(())
    }

    fn completion(mut self, prompt_tokens: usize, prefill: Duration, total: Duration) -> Completion {
        self.text.finish();
        let finish_reason = self.finished.unwrap_or(FinishReason::Length);
        let completion_tokens = self.ids.len() + usize::from(finish_reason == FinishReason::EndToken);
        Completion {
            text: self.text.into_text(),
            ids: self.ids,
            finish_reason,
            usage: Usage {
                prompt_tokens,
                completion_tokens,
            },
            timings: Timings {
                queued: Duration::ZERO,
                prefill,
                decode: total.saturating_sub(prefill),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_token_is_the_highest_number() {
        let pick = |logits: &[f32]| likeliest(&Tensor::from_slice(logits).view([1, 1, -1])).expect("a valid tensor");
        assert_eq!(pick(&[0.5, 2.0, -1.0]), [Some(1)]);
        assert_eq!(pick(&[0.5, f32::NEG_INFINITY]), [Some(0)]);
        assert_eq!(pick(&[0.5, f32::NAN, 3.0]), [None]);
        assert_eq!(pick(&[f32::INFINITY, 3.0]), [None]);
    }
}
