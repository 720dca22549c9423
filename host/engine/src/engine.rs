//! The queue, the thread that owns the forward passes, and what keeps one request's trouble from the next.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use transducer_backbone::Backbone;

use crate::backbone_runner::BackboneRunner;
use crate::{
    CancelToken, Completion, Decoding, EngineError, Event, FinishReason, GenerateError, PromptEmbeddings, Request,
    RequestId, Sink, SubmitError, Ticket, Timings, Usage,
};

/// How many requests may wait by default. At a second or so for each, who comes after them would rather be told at
/// once than wait a minute.
pub const DEFAULT_QUEUE_BOUND: usize = 64;

/// Tokens of a prompt read at a time by default: large enough that matrix products are efficient, small enough (a few
/// hundred milliseconds on two cores) that a cancelled request gives way soon.
pub const DEFAULT_PREFILL_CHUNK: usize = 512;

/// Generates answers from prompt embeddings.
pub trait Engine: Send + Sync {
    /// Takes a request, or refuses it at once. Once taken, its sink is told how it goes.
    ///
    /// # Errors
    /// [`SubmitError`]; the sink is then dropped without having been called.
    fn submit(&self, request: Request) -> Result<Ticket, SubmitError>;

    /// What the engine is doing and has done.
    fn stats(&self) -> Stats;

    /// Submits and waits for the end: for callers that have no use for pieces of an answer. Not to be called from an
    /// asynchronous task, nor from a sink.
    ///
    /// # Errors
    /// [`GenerateError`] says whether the request was refused or failed.
    fn generate(&self, prompt: PromptEmbeddings, decoding: Decoding) -> Result<Completion, GenerateError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let sink: Sink = Box::new(move |event| {
            let end = match event {
                Event::Text(_) => return ControlFlow::Continue(()),
                Event::Done(completion) => Ok(completion),
                Event::Failed(error) => Err(error),
            };
            // The receiver is below; it is gone only if this thread is.
            let _ = sender.send(end);
            ControlFlow::Continue(())
        });
        self.submit(Request::new(prompt, decoding, sink))?;
        // A sink dropped without an end: the engine was.
        Ok(receiver.recv().unwrap_or(Err(EngineError::ShuttingDown))?)
    }
}

/// Counts, for health pages and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests that wait.
    pub queued: usize,
    /// Requests that may wait.
    pub queue_bound: usize,
    /// Requests being worked on.
    pub running: usize,
    /// Requests with a completion, since the start.
    pub completed: u64,
    /// Requests that failed, cancelled ones included, since the start.
    pub failed: u64,
    /// Requests that were refused, since the start.
    pub refused: u64,
    /// Prompt tokens of completed requests, since the start.
    pub prompt_tokens: u64,
    /// Generated tokens of completed requests, since the start.
    pub completion_tokens: u64,
}

/// How to run a [`LocalEngine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Requests that may wait; one more is refused.
    pub queue_bound: usize,
    /// Tokens of a prompt read between two looks at cancellation and deadline; 0 counts as 1.
    pub prefill_chunk: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            queue_bound: DEFAULT_QUEUE_BOUND,
            prefill_chunk: DEFAULT_PREFILL_CHUNK,
        }
    }
}

/// An engine in this process: one thread owns the forward passes and takes requests first come, first served.
///
/// Dropping it stops it as [`LocalEngine::stop`] does.
#[derive(Debug)]
pub struct LocalEngine {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl LocalEngine {
    /// Starts the engine's thread.
    ///
    /// # Errors
    /// What the operating system says when it has no thread to give.
    pub fn start(backbone: Arc<Backbone>, options: &EngineOptions) -> std::io::Result<Self> {
        let prefill_chunk = options.prefill_chunk.max(1);
        Self::with_runner(
            BackboneRunner {
                backbone,
                prefill_chunk,
            },
            options.queue_bound,
        )
    }

    pub(crate) fn with_runner(runner: impl Runner + 'static, queue_bound: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stats: Stats {
                    queue_bound,
                    ..Stats::default()
                },
                ..State::default()
            }),
            changed: Condvar::new(),
            abort: AtomicBool::new(false),
        });
        let worker = std::thread::Builder::new().name("engine".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.work(runner)
        })?;
        Ok(Self {
            shared,
            worker: Some(worker),
        })
    }

    /// Takes no more requests, and waits until those it has are done or `patience` is over. Returns whether they are
    /// done; if not, [`LocalEngine::stop`] ends them.
    pub fn drain(&self, patience: Duration) -> bool {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.changed.notify_all();
        let idle = |state: &State| state.queue.is_empty() && state.stats.running == 0;
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| !idle(state))
            .unwrap_or_else(PoisonError::into_inner);
        idle(&state)
    }

    /// Takes no more requests and gives up those it has, each with [`EngineError::ShuttingDown`], at the next token.
    /// Returns at once; dropping the engine waits for the thread.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.abort.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
    }
}

impl Engine for LocalEngine {
    fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let mut state = self.shared.lock();
        let refusal = if state.closed {
            Some(SubmitError::ShuttingDown)
        } else if state.queue.len() >= state.stats.queue_bound {
            Some(SubmitError::QueueFull {
                bound: state.stats.queue_bound,
            })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            state.stats.refused += 1;
            return Err(refusal);
        }
        let ticket = Ticket {
            id: RequestId(state.next_id),
            cancel: CancelToken::default(),
        };
        state.next_id += 1;
        state.queue.push_back(Job {
            request,
            ticket: ticket.clone(),
            submitted: Instant::now(),
        });
        self.shared.changed.notify_all();
        Ok(ticket)
    }

    fn stats(&self) -> Stats {
        let state = self.shared.lock();
        Stats {
            queued: state.queue.len(),
            ..state.stats
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.stop();
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the engine's thread ended by a panic outside of any request");
        }
    }
}

/// What the callers and the engine's thread share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told of every change of the queue, of `closed` and of what is running.
    changed: Condvar,
    /// Running requests are to give up.
    abort: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    /// No more requests are taken, and the thread ends with the queue.
    closed: bool,
    next_id: u64,
    /// `queued` is kept at 0 here: the queue knows.
    stats: Stats,
}

#[derive(Debug)]
struct Job {
    request: Request,
    ticket: Ticket,
    submitted: Instant,
}

impl Shared {
    /// No code panics while it holds the lock, and the state is whole after every line of it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's thread.
    fn work(&self, mut runner: impl Runner) {
        while let Some(job) = self.next() {
            self.run(&mut runner, job);
            self.lock().stats.running = 0;
            self.changed.notify_all();
        }
    }

    /// Waits for the next request; `None` when there will be none.
    fn next(&self) -> Option<Job> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.queue.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let job = state.queue.pop_front()?;
        state.stats.running = 1;
        Some(job)
    }

    /// One request from the queue to its last event.
    fn run(&self, runner: &mut impl Runner, job: Job) {
        let Job {
            request:
                Request {
                    prompt,
                    decoding,
                    deadline,
                    sink,
                },
            ticket,
            submitted,
        } = job;
        let queued = submitted.elapsed();
        let mut delivery = Delivery { sink: Some(sink) };
        let mut progress = Progress {
            cancel: &ticket.cancel,
            deadline,
            submitted,
            abort: &self.abort,
            delivery: &mut delivery,
        };
        // The runner keeps nothing from one request to the next, and the sink is not called again after a panic.
        let generated = catch_unwind(AssertUnwindSafe(|| {
            progress.check()?;
            runner.run(&prompt, &decoding, &mut progress)
        }))
        .unwrap_or_else(|panic| {
            Err(EngineError::Panicked {
                message: panic_message(panic.as_ref()),
            })
        });
        let outcome = generated.map(|generated| {
            let Generated {
                text,
                ids,
                finish_reason,
                completion_tokens,
                prefill,
                decode,
            } = generated;
            let usage = Usage {
                prompt_tokens: prompt.tokens(),
                completion_tokens,
            };
            Completion {
                text,
                ids,
                finish_reason,
                usage,
                timings: Timings {
                    queued,
                    prefill,
                    decode,
                },
            }
        });
        // Counted before the sink hears of it, so that whoever asks after the last event finds it counted.
        self.lock().stats.count(&outcome);
        match &outcome {
            Ok(completion) => tracing::debug!(id = %ticket.id, ?completion.usage, ?completion.timings, "request done"),
            Err(EngineError::Panicked { message }) => tracing::error!(id = %ticket.id, message, "a request panicked"),
            Err(error) => tracing::debug!(id = %ticket.id, %error, "request failed"),
        }
        let event = outcome.map_or_else(Event::Failed, Event::Done);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| delivery.send(event))) {
            tracing::error!(id = %ticket.id, message = panic_message(panic.as_ref()), "a request's sink panicked");
        }
    }
}

impl Stats {
    fn count(&mut self, outcome: &Result<Completion, EngineError>) {
        match outcome {
            Ok(Completion { usage, .. }) => {
                self.completed += 1;
                self.prompt_tokens += usage.prompt_tokens as u64;
                self.completion_tokens += usage.completion_tokens as u64;
            }
            Err(_) => self.failed += 1,
        }
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// What runs requests: the backbone, or in tests a stand-in for it.
pub(crate) trait Runner: Send {
    /// Runs one request. Looks at `progress` for every token, and hands it the text.
    fn run(
        &mut self,
        prompt: &PromptEmbeddings,
        decoding: &Decoding,
        progress: &mut Progress<'_>,
    ) -> Result<Generated, EngineError>;
}

/// What a [`Runner`] made.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) completion_tokens: usize,
    pub(crate) prefill: Duration,
    pub(crate) decode: Duration,
}

impl Generated {
    /// Without times.
    pub(crate) fn new(text: String, ids: Vec<u32>, finish_reason: FinishReason, completion_tokens: usize) -> Self {
        let none = Duration::ZERO;
        Self {
            text,
            ids,
            finish_reason,
            completion_tokens,
            prefill: none,
            decode: none,
        }
    }
}

/// The way to a sink. Closed for good by a `Break` and by a panic.
struct Delivery {
    sink: Option<Sink>,
}

impl Delivery {
    fn send(&mut self, event: Event) -> ControlFlow<()> {
        let Some(mut sink) = self.sink.take() else {
            return ControlFlow::Break(());
        };
        sink(event)?;
        self.sink = Some(sink);
        ControlFlow::Continue(())
    }
}

/// A running request's line to whoever asked for it.
pub(crate) struct Progress<'a> {
    cancel: &'a CancelToken,
    deadline: Option<Instant>,
    submitted: Instant,
    abort: &'a AtomicBool,
    delivery: &'a mut Delivery,
}

impl Progress<'_> {
    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if self.abort.load(Ordering::Relaxed) {
            Err(EngineError::ShuttingDown)
        } else if self.cancel.is_cancelled() {
            Err(EngineError::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Err(EngineError::DeadlineExceeded {
                after: self.submitted.elapsed(),
            })
        } else {
            Ok(())
        }
    }

    /// Hands on a piece of the answer; an empty one is none.
    pub(crate) fn text(&mut self, text: String) -> Result<(), EngineError> {
        if text.is_empty() {
            return Ok(());
        }
        match self.delivery.send(Event::Text(text)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests;
