//! The requests that run: how they take turns, and what keeps one request's trouble from the next.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::engine::{Job, Shared};
use crate::{
    Completion, Decoding, EngineError, Event, FinishReason, PromptEmbeddings, Request, RequestId, Sink, Ticket,
    Timings, Usage,
};

/// What may run side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Requests.
    pub(crate) running: usize,
    /// Tokens that their caches may come to have.
    pub(crate) tokens: usize,
}

/// What runs requests: the backbone, or in tests a stand-in for it.
pub(crate) trait Runner {
    /// One request in the making.
    type Sequence;

    /// Takes a request. No more than that: it may be cancelled.
    fn begin(&mut self, prompt: PromptEmbeddings, decoding: Decoding) -> Result<Self::Sequence, EngineError>;

    /// What a request does by itself in a turn: it reads a piece of its prompt, or chooses a token and hands on its text. Returns
    /// what was made once that is all.
    fn turn(
        &mut self,
        sequence: &mut Self::Sequence,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Generated>, EngineError>;

    /// What all do together in a turn: the forward pass after the tokens that they have chosen. An error is everybody's.
    fn together(&mut self, sequences: &mut [&mut Self::Sequence]) -> Result<(), EngineError>;
}

/// What a [`Runner`] made.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) completion_tokens: usize,
}

/// A request that runs.
struct Running<S> {
    sequence: S,
    line: Line,
    /// When its prompt was read, that is, before its first token.
    begun: Instant,
    prefilled: Option<Instant>,
}

/// The engine's thread: until the queue is closed and empty.
pub(crate) fn work<R: Runner>(shared: &Shared, mut runner: R, room: Room) {
    let mut running: Vec<Running<R::Sequence>> = Vec::new();
    loop {
        shared.end_given_up();
        while let Some(job) = shared.next(&room, running.len(), |lane| tokens(&running, lane)) {
            running.extend(begin(shared, &mut runner, job));
        }
        if running.is_empty() {
            return;
        }
        let mut going_on = Vec::with_capacity(running.len());
        for mut request in running.drain(..) {
            let outcome = guarded(|| {
                request.line.check(&shared.abort)?;
                runner.turn(
                    &mut request.sequence,
                    &mut request.line.progress(&shared.abort, &mut request.prefilled),
                )
            });
            match outcome {
                Ok(None) => going_on.push(request),
                Ok(Some(generated)) => request.end(shared, Ok(generated)),
                Err(error) => request.end(shared, Err(error)),
            }
        }
        running = going_on;
        let mut sequences: Vec<&mut R::Sequence> = running.iter_mut().map(|request| &mut request.sequence).collect();
        if let Err(error) = guarded(|| runner.together(&mut sequences)) {
            tracing::error!(%error, requests = running.len(), "a step failed: all requests in it end");
            for request in running.drain(..) {
                request.end(
                    shared,
                    Err(EngineError::Step {
                        message: error.to_string(),
                    }),
                );
            }
        }
    }
}

/// Tokens that the caches of a lane's requests may come to have, or of all.
fn tokens<S>(running: &[Running<S>], lane: Option<&str>) -> usize {
    let is_meant = |line: &Line| lane.is_none_or(|lane| line.lane == lane);
    let lines = running.iter().map(|request| &request.line);
    lines.filter(|line| is_meant(line)).map(|line| line.tokens).sum()
}

/// A request from the queue, unless it ends at once.
fn begin<R: Runner>(shared: &Shared, runner: &mut R, job: Job) -> Option<Running<R::Sequence>> {
    let tokens = job.tokens();
    let Job {
        request:
            Request {
                prompt,
                decoding,
                deadline,
                sink,
                lane,
                // The ticket's.
                cancel: _,
            },
        ticket,
        submitted,
    } = job;
    let begun = Instant::now();
    let line = Line {
        lane,
        ticket,
        deadline,
        submitted,
        tokens,
        prompt_tokens: prompt.tokens(),
        sink: Some(sink),
    };
    let sequence = guarded(|| {
        line.check(&shared.abort)?;
        runner.begin(prompt, decoding)
    });
    match sequence {
        Ok(sequence) => Some(Running {
            sequence,
            line,
            begun,
            prefilled: None,
        }),
        Err(error) => {
            line.end(shared, Err(error));
            None
        }
    }
}

/// The result of `work`; that of a bug is an error like others. What `work` was busy with is not used again after a panic, save
/// for the runner, which keeps nothing from one request to the next.
fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        tracing::error!(message, "a request panicked");
        Err(EngineError::Panicked { message })
    })
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl<S> Running<S> {
    fn end(self, shared: &Shared, outcome: Result<Generated, EngineError>) {
        let prefilled = self.prefilled.unwrap_or_else(Instant::now);
        let timings = Timings {
            queued: self.begun - self.line.submitted,
            prefill: prefilled - self.begun,
            decode: prefilled.elapsed(),
        };
        // Its memory is free before whoever waited for the answer asks for more.
        drop(self.sequence);
        let prompt_tokens = self.line.prompt_tokens;
        self.line.end(
            shared,
            outcome.map(|generated| Completion {
                text: generated.text,
                ids: generated.ids,
                finish_reason: generated.finish_reason,
                usage: Usage {
                    prompt_tokens,
                    completion_tokens: generated.completion_tokens,
                },
                timings,
            }),
        );
    }
}

/// A running request's line to whoever asked for it.
struct Line {
    /// Where it waited.
    lane: String,
    ticket: Ticket,
    deadline: Option<Instant>,
    submitted: Instant,
    /// The most tokens that its cache may come to have.
    tokens: usize,
    prompt_tokens: usize,
    /// Closed for good by a `Break` and by a panic.
    sink: Option<Sink>,
}

impl Line {
    /// Whether to go on.
    fn check(&self, abort: &AtomicBool) -> Result<(), EngineError> {
        if abort.load(Ordering::Relaxed) {
            return Err(EngineError::ShuttingDown);
        }
        self.ticket.given_up(self.deadline, self.submitted).map_or(Ok(()), Err)
    }

    fn progress<'a>(&'a mut self, abort: &'a AtomicBool, prefilled: &'a mut Option<Instant>) -> Progress<'a> {
        Progress {
            line: self,
            abort,
            prefilled,
        }
    }

    fn send(&mut self, event: Event) -> ControlFlow<()> {
        let Some(mut sink) = self.sink.take() else {
            return ControlFlow::Break(());
        };
        sink(event)?;
        self.sink = Some(sink);
        ControlFlow::Continue(())
    }

    /// The last event.
    fn end(mut self, shared: &Shared, outcome: Result<Completion, EngineError>) {
        shared.count(&outcome, self.tokens);
        tell(self.ticket.id, outcome, |event| self.send(event));
    }
}

/// Tells of the end of a request, whatever its sink does.
pub(crate) fn tell(
    id: RequestId,
    outcome: Result<Completion, EngineError>,
    send: impl FnOnce(Event) -> ControlFlow<()>,
) {
    match &outcome {
        Ok(completion) => tracing::debug!(%id, ?completion.usage, ?completion.timings, "request done"),
        Err(error) => tracing::debug!(%id, %error, "request failed"),
    }
    let event = outcome.map_or_else(Event::Failed, Event::Done);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| send(event))) {
        tracing::error!(%id, message = panic_message(panic.as_ref()), "a request's sink panicked");
    }
}

/// How a [`Runner`] tells of a request.
pub(crate) struct Progress<'a> {
    line: &'a mut Line,
    abort: &'a AtomicBool,
    prefilled: &'a mut Option<Instant>,
}

impl Progress<'_> {
    /// The prompt has been read.
    pub(crate) fn prefilled(&mut self) {
        *self.prefilled = Some(Instant::now());
    }

    /// Whether to go on: it was asked at the beginning of the turn, and is asked again before any text leaves.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.line.check(self.abort)
    }

    /// Hands on a piece of the answer; an empty one is none.
    pub(crate) fn text(&mut self, text: String) -> Result<(), EngineError> {
        if text.is_empty() {
            return Ok(());
        }
        self.check()?;
        match self.line.send(Event::Text(text)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        }
    }
}
