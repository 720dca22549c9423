//! The engine's door: the queue and what is counted.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use transducer_backbone::Backbone;

use crate::backbone_runner::BackboneRunner;
use crate::queue::{Queue, Turn};
use crate::running::{Room, tell, work};
use crate::{
    Completion, Decoding, EngineError, Event, GenerateError, PromptEmbeddings, Request, RequestId, Sink, SubmitError,
    Ticket,
};

/// How many requests may wait by default. At a second or so for each, who comes after them would rather be told at
/// once than wait a minute.
pub const DEFAULT_QUEUE_BOUND: usize = 64;

/// Tokens of a prompt read at a time by default: large enough that matrix products are efficient, small enough (some 100
/// milliseconds on two cores) that the answers in the making beside it, and a cancelled request, wait for no longer.
pub const DEFAULT_PREFILL_CHUNK: usize = 128;

/// How many requests are worked on at once by default: from here on a step takes longer for every one more, and each answer
/// with it.
pub const DEFAULT_MOST_RUNNING: usize = 16;

/// Tokens of all running requests together by default, prompts and the longest answers they may have. At 22.5 KiB a token
/// (SmolLM2-135M in bf16) 720 MiB; more is memory that no request of ordinary size needs.
pub const DEFAULT_CACHE_TOKENS: usize = 32_768;

/// Generates answers from prompt embeddings.
pub trait Engine: Send + Sync {
    /// Takes a request, or refuses it at once. Once taken, its sink is told how it goes.
    ///
    /// # Errors
    /// [`SubmitError`]; the sink is then dropped without having been called.
    fn submit(&self, request: Request) -> Result<Ticket, SubmitError>;

    /// What the engine is doing and has done.
    fn stats(&self) -> Stats;

    /// The lanes in which requests wait, and how many in each.
    fn waiting(&self) -> Vec<(String, usize)>;

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
    /// Tokens that the caches of the running requests may come to have.
    pub cache_tokens: usize,
    /// Tokens that they may have together.
    pub cache_bound: usize,
}

/// How to run a [`LocalEngine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Requests that may wait; one more is refused, but for an eighth more of lanes in which nobody waits.
    pub queue_bound: usize,
    /// Tokens of prompts read between two steps of the answers in the making, and four times as many where there are none. 0 counts as
    /// one token. An encoder reads its prompts whole, however long, but no second one in the same turn that is longer than what the
    /// first left of this.
    pub prefill_chunk: usize,
    /// Requests worked on at once; 0 counts as 1.
    pub most_running: usize,
    /// Tokens that the caches of all running requests may have room for. A request that needs more than that runs alone.
    pub cache_tokens: usize,
    /// Whether the threads that make steps are bound to a physical core each, so that no two of them share one. Another program that is
    /// bound to the same cores, or busy on them, then takes from them what the system would else give them elsewhere.
    pub bind_threads: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            queue_bound: DEFAULT_QUEUE_BOUND,
            prefill_chunk: DEFAULT_PREFILL_CHUNK,
            most_running: DEFAULT_MOST_RUNNING,
            cache_tokens: DEFAULT_CACHE_TOKENS,
            bind_threads: false,
        }
    }
}

/// An engine in this process: one thread owns the forward passes. Requests begin first come, first served within their lane
/// ([`Request::in_lane`]), and lanes take turns; they join those that run between two tokens, and share every step with them.
///
/// Dropping it stops it as [`LocalEngine::stop`] does.
#[derive(Debug)]
pub struct LocalEngine {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl LocalEngine {
    /// Starts the engine's thread, which shares each operation between [`Backbone::threads`] threads. Once this returns, other
    /// numbers of threads that are set elsewhere are not its own.
    ///
    /// # Errors
    /// What the operating system says when it has no thread to give.
    pub fn start(backbone: Arc<Backbone>, options: &EngineOptions) -> std::io::Result<Self> {
        let EngineOptions {
            queue_bound,
            prefill_chunk,
            most_running,
            cache_tokens,
            bind_threads,
        } = *options;
        let (started, has_started) = mpsc::channel();
        let engine = Self::spawn(queue_bound, move |shared| {
            // Asked first: a thread's own first use of libtorch takes the number that was set last, whoever set it, and only what is
            // set after that stays.
            tch::get_num_threads();
            tch::set_num_threads(backbone.threads());
            if bind_threads {
                match &transducer_backbone::bind_threads()[..] {
                    [] => tracing::warn!(
                        threads = backbone.threads(),
                        "there is no physical core for each thread of the LLM: none is bound"
                    ),
                    cores => tracing::info!(?cores, "the LLM's threads are bound to a core each"),
                }
            }
            // Whoever started it may be gone.
            let _ = started.send(());
            let runner = BackboneRunner {
                backbone: &backbone,
                prefill_chunk: prefill_chunk.max(1),
                left: 0,
                has_read: false,
            };
            let room = Room {
                running: most_running.max(1),
                tokens: cache_tokens,
            };
            work(shared, runner, room);
        })?;
        // An error says that the thread is gone, as every request will be told.
        let _ = has_started.recv();
        engine.shared.lock().stats.cache_bound = cache_tokens;
        Ok(engine)
    }

    /// Starts the engine's thread with this work.
    pub(crate) fn spawn(queue_bound: usize, work: impl FnOnce(&Shared) + Send + 'static) -> std::io::Result<Self> {
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
            move || work(&shared)
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
        if !state.queue.has_room(&request.lane, state.stats.queue_bound) {
            // Those who have left must not keep others out.
            drop(state);
            self.shared.end_given_up();
            state = self.shared.lock();
        }
        let refusal = if state.closed {
            Some(SubmitError::ShuttingDown)
        } else if !state.queue.has_room(&request.lane, state.stats.queue_bound) {
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
            cancel: request.cancel.clone(),
        };
        state.next_id += 1;
        let lane = request.lane.clone();
        let job = Job {
            request,
            ticket: ticket.clone(),
            submitted: Instant::now(),
        };
        state.queue.push(&lane, job);
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

    fn waiting(&self) -> Vec<(String, usize)> {
        self.shared.lock().queue.waiting()
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
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of every change of the queue, of `closed` and of what is running.
    changed: Condvar,
    /// Running requests are to give up.
    pub(crate) abort: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Job>,
    /// No more requests are taken, and the thread ends with the queue.
    closed: bool,
    next_id: u64,
    /// `queued` is kept at 0 here: the queue knows.
    stats: Stats,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) ticket: Ticket,
    pub(crate) submitted: Instant,
}

impl Shared {
    /// No code panics while it holds the lock, and the state is whole after every line of it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request, if it fits beside those that run, whose caches have so many `tokens`, of a lane or of all; where nothing runs, waits
    /// for one. `None` means, where nothing runs, that there will be none.
    ///
    /// A lane does not take the last eighth of the room from the others: there it waits for its own requests to end.
    pub(crate) fn next(&self, room: &Room, running: usize, tokens: impl Fn(Option<&str>) -> usize) -> Option<Job> {
        let mut state = self.lock();
        let job = if running == 0 {
            state = self
                .changed
                .wait_while(state, |state| state.queue.is_empty() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            state.queue.pop()?
        } else if running < room.running {
            state.queue.pop_where(|lane, job| {
                let of_lane = tokens(Some(lane));
                if of_lane > 0 && of_lane + job.tokens() > room.tokens - room.tokens / 8 {
                    Turn::Pass
                } else if tokens(None) + job.tokens() > room.tokens {
                    Turn::Wait
                } else {
                    Turn::Take
                }
            })?
        } else {
            return None;
        };
        state.stats.running += 1;
        state.stats.cache_tokens += job.tokens();
        Some(job)
    }

    /// Ends those who wait and are given up.
    pub(crate) fn end_given_up(&self) {
        let mut state = self.lock();
        let gone = state.queue.take_out(|job| job.given_up().is_some());
        state.stats.failed += gone.len() as u64;
        drop(state);
        for job in gone {
            let why = job.given_up().unwrap_or(EngineError::Cancelled);
            tell(job.ticket.id, Err(why), job.request.sink);
        }
    }

    /// Counts a request that ended, whose cache had room for so many tokens. Done before its sink hears of it, so that whoever asks after the last event finds it counted.
    pub(crate) fn count(&self, outcome: &Result<Completion, EngineError>, tokens: usize) {
        let mut state = self.lock();
        state.stats.running -= 1;
        state.stats.cache_tokens -= tokens;
        state.stats.count(outcome);
        drop(state);
        self.changed.notify_all();
    }
}

impl Job {
    /// The most tokens that its cache may come to have.
    pub(crate) fn tokens(&self) -> usize {
        let Request { prompt, decoding, .. } = &self.request;
        (prompt.tokens() + decoding.max_new_tokens()) * decoding.sequences()
    }

    fn given_up(&self) -> Option<EngineError> {
        self.ticket.given_up(self.request.deadline, self.submitted)
    }
}

impl Stats {
    /// Counts a request that ended.
    pub fn count(&mut self, outcome: &Result<Completion, EngineError>) {
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

#[cfg(test)]
mod tests;
