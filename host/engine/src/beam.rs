//! Beam search, as transformers' `generate` does it with `length_penalty = 1` and `early_stopping = False`.
//!
//! A hypothesis is scored by the sum of its tokens' log-probabilities divided by their number. The search ends when as
//! many hypotheses have ended as there are beams and the best one still running, at its present length, scores no
//! better than the worst of them; or when nothing is left that could go on.

use std::ops::ControlFlow;

use transducer_backbone::tokenizer::Tokenizer;

use crate::FinishReason;
use crate::text::AnswerText;

/// A sequence followed by the search.
#[derive(Debug, Clone)]
pub(crate) struct Hypothesis<'a> {
    /// Its tokens; an end token is the last.
    pub(crate) ids: Vec<u32>,
    /// Sum of the log-probabilities of its tokens.
    pub(crate) log_probability: f32,
    text: AnswerText<'a>,
}

impl Hypothesis<'_> {
    fn score(&self) -> f32 {
        self.log_probability / self.ids.len() as f32
    }
}

/// A hypothesis that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) hypothesis: Hypothesis<'a>,
    pub(crate) finish_reason: FinishReason,
}

/// One way to go on: `token` after the running hypothesis `row`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) row: usize,
    pub(crate) token: u32,
    /// Of the whole sequence, `token` included.
    pub(crate) log_probability: f32,
}

/// The state of a search.
#[derive(Debug)]
pub(crate) struct BeamSearch<'a> {
    beams: usize,
    /// Tokens after which a hypothesis ends.
    limit: usize,
    ends: &'a [u32],
    running: Vec<Hypothesis<'a>>,
    /// The best that have ended, best first, no more than `beams`.
    ended: Vec<Ended<'a>>,
}

impl<'a> BeamSearch<'a> {
    pub(crate) fn new(beams: usize, limit: usize, tokenizer: &'a Tokenizer, stops: &[String]) -> Self {
        let empty = Hypothesis {
            ids: Vec::new(),
            log_probability: 0.0,
            text: AnswerText::new(tokenizer, stops),
        };
        Self {
            beams,
            limit,
            ends: tokenizer.eos_ids(),
            running: vec![empty],
            ended: Vec::new(),
        }
    }

    /// How many of the best candidates [`Self::advance`] needs: enough that, though every end token of every beam be
    /// among them, there remain as many that go on as there are beams.
    pub(crate) fn candidates_wanted(&self) -> usize {
        (1 + self.ends.len()).max(2) * self.beams
    }

    /// Log-probabilities of the running hypotheses, by row.
    pub(crate) fn log_probabilities(&self) -> Vec<f32> {
        self.running
            .iter()
            .map(|hypothesis| hypothesis.log_probability)
            .collect()
    }

    /// Takes the best candidates, best first. Goes on with the running hypotheses, of which the last token of each is
    /// new, and with the row that each came from; or ends with the best hypothesis of all.
    pub(crate) fn advance(&mut self, candidates: &[Candidate]) -> ControlFlow<Option<Ended<'a>>, Vec<usize>> {
        let mut next = Vec::with_capacity(self.beams);
        let mut rows = Vec::with_capacity(self.beams);
        for (rank, candidate) in candidates.iter().enumerate() {
            let mut hypothesis = self.running[candidate.row].clone();
            hypothesis.ids.push(candidate.token);
            hypothesis.log_probability = candidate.log_probability;
            match self.finish_reason(&mut hypothesis) {
                // One that ends counts only if it is among the best; the others were asked for to go on with.
                Some(finish_reason) if rank < self.beams => self.ended.push(Ended {
                    hypothesis,
                    finish_reason,
                }),
                Some(_) => {}
                None if next.len() < self.beams => {
                    next.push(hypothesis);
                    rows.push(candidate.row);
                }
                None => {}
            }
        }
        self.ended
            .sort_by(|a, b| b.hypothesis.score().total_cmp(&a.hypothesis.score()));
        self.ended.truncate(self.beams);

        let improvable = next.first().is_some_and(|best| match self.ended.get(self.beams - 1) {
            Some(worst) => best.score() > worst.hypothesis.score(),
            None => true,
        });
        if !improvable {
            return ControlFlow::Break(std::mem::take(&mut self.ended).into_iter().next());
        }
        self.running = next;
        ControlFlow::Continue(rows)
    }

    /// The newest token of each running hypothesis.
    pub(crate) fn last_tokens(&self) -> Vec<u32> {
        self.running
            .iter()
            .filter_map(|hypothesis| hypothesis.ids.last().copied())
            .collect()
    }

    /// Why the hypothesis ends with its newest token, if it does.
    fn finish_reason(&self, hypothesis: &mut Hypothesis<'a>) -> Option<FinishReason> {
        let token = *hypothesis.ids.last()?;
        if self.ends.contains(&token) {
            return Some(FinishReason::EndToken);
        }
        hypothesis.text.push(token);
        if hypothesis.text.stopped() {
            Some(FinishReason::StopString)
        } else if hypothesis.ids.len() >= self.limit {
            Some(FinishReason::Length)
        } else {
            None
        }
    }
}

impl Hypothesis<'_> {
    /// Its text, stop string and end token left out.
    pub(crate) fn into_text(mut self) -> String {
        self.text.finish();
        self.text.into_text()
    }
}
