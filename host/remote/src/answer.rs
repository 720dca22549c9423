//! One request, from its place in the queue to its last event.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Either};
use serde_json::Value;
use tch::Tensor;
use transducer_engine::{
    AnswerText, Completion, Decoding, EngineError, Event, FinishReason, PromptEmbeddings, Sink, Strategy, Ticket,
    Timings, Usage,
};

use crate::ask::{Ask, Choice as Part, Piece, message};
use crate::client::causes;
use crate::endpoint::{Choice, Slot};
use crate::engine::{Core, Job};
use crate::probe::fields;
use crate::sse::Events;
use crate::{EndpointError, PromptBody, RemoteError};

/// How often one request is asked, at most.
const ATTEMPTS: usize = 5;

/// How often a request that waits looks whether it is still wanted: soon enough for a person, rare enough to cost nothing.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The last event of a stream.
const DONE: &str = "[DONE]";

/// Why an attempt has no answer.
enum Failure {
    /// Another endpoint may have it.
    Endpoint(EndpointError),
    /// Nobody will.
    Request(EngineError),
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Request(error)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::Request(error.into())
    }
}

/// What there is of an answer. It outlives the endpoint that made it: the next one is given its tokens behind the prompt and goes on,
/// so that nothing that was handed on is ever taken back.
struct Answer<'a> {
    prompt: PromptEmbeddings,
    decoding: Decoding,
    /// The most tokens that it may have.
    limit: usize,
    end_tokens: &'a [u32],
    /// Tokens that there are.
    vocab: usize,
    ids: Vec<u32>,
    text: AnswerText<'a>,
    first: Option<Instant>,
}

/// Answers a request. Its sink is told, whatever happens.
pub(crate) async fn answer(core: &Core, job: Job) {
    let begun = Instant::now();
    let Job {
        request,
        ticket,
        submitted,
    } = job;
    let mut line = Line {
        core,
        ticket,
        deadline: request.deadline,
        submitted,
        sink: Some(request.sink),
        ended: false,
    };
    let (prompt, decoding) = (request.prompt, request.decoding);
    let tokenizer = core.embedder.tokenizer();
    let context = core.embedder.config().max_context;
    let context = core.endpoints.context().unwrap_or(context).min(context);
    let mut answer = Answer {
        limit: decoding
            .max_new_tokens()
            .min(context.saturating_sub(prompt.tokens()).max(1)),
        end_tokens: tokenizer.eos_ids(),
        vocab: core.embedder.config().vocab_size,
        ids: Vec::new(),
        text: AnswerText::new(tokenizer, decoding.stop()),
        prompt,
        decoding,
        first: None,
    };
    let made = answer.make(core, &mut line).await;
    let outcome = made.and_then(|finish_reason| {
        line.text(answer.text.finish())?;
        let first = answer.first.unwrap_or_else(Instant::now);
        Ok(Completion {
            usage: Usage {
                prompt_tokens: answer.prompt.tokens(),
                completion_tokens: answer.ids.len() + usize::from(finish_reason == FinishReason::EndToken),
            },
            text: answer.text.into_text(),
            ids: answer.ids,
            finish_reason,
            timings: Timings {
                queued: begun - submitted,
                prefill: first - begun,
                decode: first.elapsed(),
            },
        })
    });
    line.end(outcome);
}

impl Answer<'_> {
    /// Asks endpoints until one has finished the answer.
    async fn make(&mut self, core: &Core, line: &mut Line<'_>) -> Result<FinishReason, EngineError> {
        self.check(core)?;
        core.retries.earn();
        for attempt in 1.. {
            let slot = line.slot().await?;
            let error = match self.attempt(core, line, &slot).await {
                Ok(finish_reason) => return Ok(finish_reason),
                Err(Failure::Request(error)) => return Err(error),
                Err(Failure::Endpoint(error)) => error,
            };
            let address = slot.address().clone();
            // Those refuse this request, and would another time.
            if let EndpointError::Status { status, message } = &error
                && matches!(status, 400 | 413 | 422)
            {
                return Err(RemoteError::Refused {
                    address,
                    status: *status,
                    message: message.clone(),
                }
                .into());
            }
            slot.failed(&error);
            tracing::debug!(id = %line.ticket.id, %address, %error, attempt, tokens = self.ids.len(), "an attempt failed");
            if attempt >= ATTEMPTS {
                return Err(RemoteError::Lost {
                    attempts: attempt,
                    address,
                    error,
                }
                .into());
            }
            if !core.retries.spend() {
                return Err(RemoteError::BudgetSpent { address, error }.into());
            }
        }
        // `for` has no end, which the compiler does not know.
        Err(EngineError::ShuttingDown)
    }

    /// Whether the endpoints can be asked for this at all.
    fn check(&self, core: &Core) -> Result<(), RemoteError> {
        if let Strategy::Beam { beams } = self.decoding.strategy() {
            return Err(RemoteError::Beams { beams });
        }
        let bytes = PromptBody::new("{}", self.prompt.tensor())?.file_bytes();
        match core.options.prompt_bytes {
            Some(limit) if bytes > limit => Err(RemoteError::TooLarge { bytes, limit }),
            _ => Ok(()),
        }
    }

    /// Asks one endpoint for the rest of the answer.
    async fn attempt(&mut self, core: &Core, line: &mut Line<'_>, slot: &Slot<'_>) -> Result<FinishReason, Failure> {
        let ask = Ask::new(
            &slot.served.id,
            self.strategy(),
            self.limit - self.ids.len(),
            self.decoding.stop(),
            self.end_tokens,
        );
        let body = PromptBody::new(&fields(&ask)?, &self.embeddings(core)?).map_err(RemoteError::from)?;
        let url = slot.address().url("/v1/completions");
        let response = line.watched(core.client.post(&url, Either::Right(body))).await??;
        slot.answered();
        let mut stream = response.into_body();
        let mut events = Events::default();
        loop {
            let frame = line.watched(stream.frame()).await?;
            let frame = frame.ok_or_else(|| EndpointError::Broken("the answer has no end".to_owned()))?;
            let frame = frame.map_err(|error| EndpointError::Broken(causes(&error)))?;
            let Some(bytes) = frame.data_ref() else { continue };
            let garbage = || EndpointError::Garbage("these are no server-sent events".to_owned());
            for data in events.push(bytes).map_err(|_| garbage())? {
                if data == DONE {
                    return Err(EndpointError::Broken("the answer has no end".to_owned()).into());
                }
                let piece: Piece =
                    serde_json::from_str(&data).map_err(|error| EndpointError::Garbage(error.to_string()))?;
                if let Some(error) = piece.error {
                    return Err(EndpointError::GaveUp(message(&error)).into());
                }
                for part in piece.choices {
                    if let Some(finish_reason) = self.take(part, line)? {
                        return Ok(finish_reason);
                    }
                }
            }
        }
    }

    /// The rest of a sampled answer is drawn by other numbers than its beginning was.
    fn strategy(&self) -> Strategy {
        match self.decoding.strategy() {
            Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed,
            } => Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed: seed.wrapping_add(self.ids.len() as u64),
            },
            strategy => strategy,
        }
    }

    /// The prompt, and behind it what there is of the answer.
    fn embeddings(&self, core: &Core) -> Result<Tensor, EngineError> {
        let prompt = self.prompt.tensor();
        if self.ids.is_empty() {
            return Ok(prompt.shallow_clone());
        }
        let made = core.embedder.embed(&self.ids)?;
        Ok(Tensor::f_cat(&[prompt, &made], 0)?)
    }

    /// Takes the next tokens, and hands on the text that is certain with them. Returns why the answer ends, once it does.
    fn take(&mut self, part: Part, line: &mut Line<'_>) -> Result<Option<FinishReason>, Failure> {
        let mut ids = part.token_ids.ok_or(EndpointError::NoTokenIds)?;
        let ended = match part.finish_reason.as_deref() {
            None => None,
            Some("length") => Some(FinishReason::Length),
            Some("stop") if matches!(part.stop_reason, Some(Value::String(_))) => Some(FinishReason::StopString),
            Some("stop") => {
                // An end token that the model's folder there names, and ours does not.
                ids.pop_if(|id| !self.end_tokens.contains(id));
                Some(FinishReason::EndToken)
            }
            Some(other) => return Err(EndpointError::GaveUp(format!("it ended for the reason {other:?}")).into()),
        };
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab) {
            return Err(EndpointError::Garbage(format!("token {id} is none of {}", self.vocab)).into());
        }
        if !ids.is_empty() {
            self.first.get_or_insert_with(Instant::now);
        }
        let mut text = String::new();
        let mut own = None;
        for id in ids {
            if self.end_tokens.contains(&id) {
                own = Some(FinishReason::EndToken);
                break;
            }
            self.ids.push(id);
            text.push_str(&self.text.push(id));
            if self.text.stopped() {
                own = Some(FinishReason::StopString);
                break;
            }
            if self.ids.len() == self.limit {
                own = Some(FinishReason::Length);
                break;
            }
        }
        line.text(text)?;
        Ok(own.or(ended))
    }
}

/// A request's line to whoever asked for it.
struct Line<'a> {
    core: &'a Core,
    ticket: Ticket,
    deadline: Option<Instant>,
    submitted: Instant,
    /// Closed for good by a `Break` and by a panic.
    sink: Option<Sink>,
    ended: bool,
}

impl<'a> Line<'a> {
    /// Whether to go on.
    fn check(&self) -> Result<(), EngineError> {
        if self.core.abort.load(Ordering::Relaxed) {
            return Err(EngineError::ShuttingDown);
        }
        self.ticket.given_up(self.deadline, self.submitted).map_or(Ok(()), Err)
    }

    /// A place at an endpoint, once there is one.
    async fn slot(&mut self) -> Result<Slot<'a>, EngineError> {
        loop {
            let changed = self.core.endpoints.changed.notified();
            self.check()?;
            match self.core.endpoints.choose() {
                Choice::Slot(slot) => return Ok(slot),
                Choice::NoneUp(waited) if waited >= self.core.options.patience => {
                    let endpoints = self.core.endpoints.errors();
                    return Err(RemoteError::NoEndpoint { waited, endpoints }.into());
                }
                Choice::NoneUp(_) | Choice::Later => {}
            }
            // Whether it is over or something changed, everything is looked at again.
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }

    /// What an endpoint does, as long as the answer is wanted and patience is not over. What is given up is dropped, and its
    /// connection with it, by which the server learns of it.
    async fn watched<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        let (begun, patience) = (Instant::now(), self.core.options.patience);
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK, &mut work).await {
                return Ok(done);
            }
            self.check()?;
            if begun.elapsed() >= patience {
                return Err(EndpointError::Silent(patience).into());
            }
        }
    }

    /// Hands on a piece of the answer; an empty one is none.
    fn text(&mut self, text: String) -> Result<(), EngineError> {
        if text.is_empty() {
            return Ok(());
        }
        self.check()?;
        self.send(Event::Text(text))
    }

    /// A sink that breaks or panics is not called again.
    fn send(&mut self, event: Event) -> Result<(), EngineError> {
        let mut sink = self.sink.take().ok_or(EngineError::Cancelled)?;
        let flow = catch_unwind(AssertUnwindSafe(|| sink(event))).map_err(|_| EngineError::Panicked {
            message: "a request's sink panicked".to_owned(),
        })?;
        if flow.is_break() {
            return Err(EngineError::Cancelled);
        }
        self.sink = Some(sink);
        Ok(())
    }

    /// The last event.
    fn end(&mut self, outcome: Result<Completion, EngineError>) {
        self.ended = true;
        self.core.count(&outcome);
        let id = self.ticket.id;
        match &outcome {
            Ok(completion) => tracing::debug!(%id, ?completion.usage, ?completion.timings, "request done"),
            Err(error) => tracing::debug!(%id, %error, "request failed"),
        }
        // Whether its receiver is still there is its own business.
        let _ = self.send(outcome.map_or_else(Event::Failed, Event::Done));
    }
}

impl Drop for Line<'_> {
    /// Where the work was dropped in its middle: by a panic, or with the engine.
    fn drop(&mut self) {
        if !self.ended {
            let message = "the request was dropped in its middle".to_owned();
            self.end(Err(self.check().err().unwrap_or(EngineError::Panicked { message })));
        }
    }
}
