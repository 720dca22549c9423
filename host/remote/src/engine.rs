//! The engine's door: the queue, and who is let in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use transducer_backbone::Embedder;
use transducer_engine::{
    Completion, DEFAULT_QUEUE_BOUND, Engine, EngineError, Event, Queue, Request, RequestId, Stats, SubmitError, Ticket,
};

use crate::answer::{LOOK, answer};
use crate::client::Client;
use crate::endpoint::Endpoints;
use crate::probe::probe;
use crate::retry::RetryBudget;
use crate::{Address, EndpointError, EndpointStatus, RemoteError};

/// Most requests that one endpoint works on at once by default. A server batches what it has; beyond this a step of its takes longer
/// in proportion, and those who wait are better off here, where another endpoint may take them.
pub const DEFAULT_REQUESTS: usize = 64;

/// For how long an endpoint may say nothing by default, while it works on a request or while none can be reached: longer than a server
/// with a full queue needs for a first token, shorter than people wait.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// How often each endpoint is asked whether it is well.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long it may take to say so: it may be busy reading prompts.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// Checks that may fail before one that was up counts as down; a request that fails is enough by itself.
const CHECKS: u32 = 2;

/// Which servers to ask, and how.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Where they are.
    pub endpoints: Vec<Address>,
    /// The model to ask for; where they serve one only it need not be named.
    pub model: Option<String>,
    /// Sent as `Authorization: Bearer …`.
    pub key: Option<String>,
    /// Most requests that one of them works on at once; 0 counts as 1.
    pub requests: usize,
    /// Requests that may wait; one more is refused, but for an eighth more of lanes in which nobody waits.
    pub queue_bound: usize,
    /// For how long they may say nothing.
    pub patience: Duration,
    /// The longest file of embeddings that they take, in bytes before its base64; none for any.
    pub prompt_bytes: Option<usize>,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            model: None,
            key: None,
            requests: DEFAULT_REQUESTS,
            queue_bound: DEFAULT_QUEUE_BOUND,
            patience: DEFAULT_PATIENCE,
            prompt_bytes: None,
        }
    }
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("endpoints", &self.endpoints)
            .field("model", &self.model)
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("requests", &self.requests)
            .field("queue_bound", &self.queue_bound)
            .field("patience", &self.patience)
            .field("prompt_bytes", &self.prompt_bytes)
            .finish()
    }
}

/// An engine whose forward passes servers make. Requests begin first come, first served within their lane, and lanes take turns.
///
/// Dropping it gives up what it has.
#[derive(Debug)]
pub struct RemoteEngine {
    core: Arc<Core>,
    runtime: Option<Runtime>,
}

/// What its tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) embedder: Arc<Embedder>,
    pub(crate) options: RemoteOptions,
    pub(crate) client: Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) retries: RetryBudget,
    /// Requests are to give up.
    pub(crate) abort: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Job>,
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

impl RemoteEngine {
    /// Connects to the endpoints and checks each: its model's id, and whether it understands this host's embeddings. Returns as soon as
    /// all have answered and one can be used, or one can be used when patience is over. Those that cannot are asked again and again.
    ///
    /// Not to be called from an asynchronous task.
    ///
    /// # Errors
    /// [`RemoteError`] where none can be used, or one is another server than the one that is wanted.
    pub fn start(embedder: Arc<Embedder>, options: RemoteOptions) -> Result<Self, RemoteError> {
        if options.endpoints.is_empty() {
            return Err(RemoteError::NoAddress);
        }
        let tls = options.endpoints.iter().any(Address::is_https);
        let runtime = Builder::new_multi_thread()
            .thread_name("remote")
            .enable_all()
            .build()
            .map_err(|error| RemoteError::Threads(error.to_string()))?;
        let endpoints = Endpoints::new(options.endpoints.clone(), options.requests);
        let state = State {
            stats: Stats {
                queue_bound: options.queue_bound,
                ..Stats::default()
            },
            ..State::default()
        };
        let core = Arc::new(Core {
            embedder,
            client: Client::new(options.key.as_deref(), tls)?,
            retries: RetryBudget::new(endpoints.capacity()),
            endpoints,
            options,
            abort: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        for index in 0..core.endpoints.addresses().len() {
            runtime.spawn(watch(core.clone(), index));
        }
        runtime.spawn(look_after_waiting(core.clone()));
        let ready = runtime.block_on(core.ready());
        let engine = Self {
            core,
            runtime: Some(runtime),
        };
        ready.map(|()| engine)
    }

    /// How each endpoint is.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.core.endpoints.statuses()
    }

    /// Longest prompt and answer together that every endpoint takes, in tokens; none where they do not say.
    pub fn context(&self) -> Option<usize> {
        self.core.endpoints.context()
    }

    fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }
}

impl Engine for RemoteEngine {
    fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let Some(handle) = self.handle() else {
            return Err(SubmitError::ShuttingDown);
        };
        let ticket = self.core.enqueue(request)?;
        self.core.admit(handle);
        Ok(ticket)
    }

    fn stats(&self) -> Stats {
        let state = self.core.lock();
        Stats {
            queued: state.queue.len(),
            ..state.stats
        }
    }

    fn waiting(&self) -> Vec<(String, usize)> {
        self.core.lock().queue.waiting()
    }
}

impl Drop for RemoteEngine {
    fn drop(&mut self) {
        self.core.abort.store(true, Ordering::Relaxed);
        // Sinks that are dropped without an end tell those who wait that the engine is gone. Not waited for: this may be dropped on a
        // thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Job {
    fn given_up(&self) -> Option<EngineError> {
        self.ticket.given_up(self.request.deadline, self.submitted)
    }
}

/// Looks after those who wait, for as long as the engine is there: nobody else does while every endpoint is busy.
async fn look_after_waiting(core: Arc<Core>) {
    loop {
        tokio::time::sleep(LOOK).await;
        core.end_given_up();
    }
}

impl Core {
    fn enqueue(&self, request: Request) -> Result<Ticket, SubmitError> {
        let mut state = self.lock();
        let bound = state.stats.queue_bound;
        if !state.queue.has_room(&request.lane, bound) {
            // Those who have left must not keep others out.
            drop(state);
            self.end_given_up();
            state = self.lock();
        }
        if !state.queue.has_room(&request.lane, bound) {
            state.stats.refused += 1;
            return Err(SubmitError::QueueFull { bound });
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
        Ok(ticket)
    }

    /// Ends those who wait and are given up.
    fn end_given_up(&self) {
        let mut state = self.lock();
        let gone = state.queue.take_out(|job| job.given_up().is_some());
        state.stats.failed += gone.len() as u64;
        drop(state);
        for mut job in gone {
            let why = job.given_up().unwrap_or(EngineError::Cancelled);
            // Whether it wants more is no question at its end.
            let _ = (job.request.sink)(Event::Failed(why));
        }
    }

    /// Begins with as many of those who wait as endpoints work on at once.
    fn admit(self: &Arc<Self>, handle: &Handle) {
        let mut state = self.lock();
        while state.stats.running < self.endpoints.capacity() {
            let Some(job) = state.queue.pop() else { return };
            state.stats.running += 1;
            let (core, tasks) = (self.clone(), handle.clone());
            handle.spawn(async move {
                let asked = core.clone();
                // In a task of its own, so that a bug in one does not keep the next from its turn.
                if let Err(error) = tasks.spawn(async move { answer(&asked, job).await }).await {
                    tracing::error!(%error, "a request panicked");
                }
                core.admit(&tasks);
            });
        }
    }

    /// Counts a request that ended, before its sink hears of it.
    pub(crate) fn count(&self, outcome: &Result<Completion, EngineError>) {
        let mut state = self.lock();
        state.stats.running -= 1;
        state.stats.count(outcome);
    }

    /// Until there is an endpoint to ask.
    async fn ready(&self) -> Result<(), RemoteError> {
        let begun = Instant::now();
        loop {
            let errors = self.endpoints.errors();
            let unfit = errors.iter().find(|(_, error)| error.is_lasting());
            if let Some((address, error)) = unfit {
                return Err(RemoteError::Unfit {
                    address: address.clone(),
                    error: error.clone(),
                });
            }
            let (waited, some_up) = (begun.elapsed(), errors.len() < self.endpoints.addresses().len());
            let all_asked = errors.iter().all(|(_, error)| *error != EndpointError::New);
            match (some_up, waited >= self.options.patience) {
                (true, over) if all_asked || over => return Ok(()),
                (false, true) => {
                    return Err(RemoteError::NoEndpoint {
                        waited,
                        endpoints: errors,
                    });
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// No code panics while it holds the lock, and the state is whole after every line of it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after one endpoint, as long as there is an engine.
async fn watch(core: Arc<Core>, index: usize) {
    let address = &core.endpoints.addresses()[index];
    let health = address.url("/health");
    let mut failed = 0;
    loop {
        if core.endpoints.is_up(index) {
            match within(CHECK_TIME, core.client.get(&health)).await {
                Ok(_) => failed = 0,
                Err(error) => {
                    failed += 1;
                    if failed >= CHECKS {
                        core.endpoints.lower(index, error);
                    }
                }
            }
        } else {
            failed = 0;
            let model = core.options.model.as_deref();
            let probed = probe(&core.client, address, model, &core.embedder);
            match within(core.options.patience, probed).await {
                Ok(served) => core.endpoints.raise(index, served),
                Err(error) => core.endpoints.lower(index, error),
            }
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, EndpointError>>) -> Result<T, EndpointError> {
    tokio::time::timeout(time, work)
        .await
        .unwrap_or(Err(EndpointError::Silent(time)))
}
