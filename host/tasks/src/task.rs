//! One loaded task, and the calls into it.

use std::fmt;
use std::str::Utf8Error;
use std::sync::{Arc, Weak};
use std::time::Instant;

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::bindings::types;
use crate::host::{CallState, OverBudget};
use crate::limits::{PATIENCE, TICK, thread_time};
use crate::linked::{Exports, Linked};
use crate::slots::Slots;
use crate::values::{checked_scores, metrics};
use crate::{Answer, Call, CodeParser, Prepared, TaskError, TaskInfo, TaskLimits, World};

/// A loaded task. Cloning shares it, and any number of calls may run at once, each on its caller's thread.
///
/// A call runs in an instance of its own: nothing that a guest keeps in its memory outlives the call.
#[derive(Clone)]
pub struct Task {
    inner: Arc<Inner>,
}

/// A task that may be gone.
pub(crate) struct WeakTask(Weak<Inner>);

impl WeakTask {
    pub(crate) fn upgrade(&self) -> Option<Task> {
        self.0.upgrade().map(|inner| Task { inner })
    }
}

struct Inner {
    linked: Linked,
    slots: Arc<Slots>,
    info: TaskInfo,
    name: Arc<str>,
    limits: Arc<TaskLimits>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("info", &self.inner.info)
            .finish_non_exhaustive()
    }
}

impl Task {
    /// Asks a linked component what it is.
    pub(crate) fn load(linked: Linked, limits: TaskLimits, slots: Arc<Slots>) -> Result<Self, TaskError> {
        let limits = Arc::new(limits);
        // Until it has said its name.
        let state = CallState::new("new".into(), Call::Describe, limits.clone(), None);
        let info = run(&linked, &slots, state, Exports::describe)?.0;
        let mut info = TaskInfo::validated(info)?;
        let name: Arc<str> = info.name.as_str().into();
        if linked.is_measured() {
            let state = CallState::new(name.clone(), Call::Metrics, limits.clone(), None);
            info.metrics = metrics(run(&linked, &slots, state, Exports::metrics)?.0)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                name,
                linked,
                slots,
                info,
                limits,
            }),
        })
    }

    pub(crate) fn downgrade(&self) -> WeakTask {
        WeakTask(Arc::downgrade(&self.inner))
    }

    /// What the task says about itself.
    pub fn info(&self) -> &TaskInfo {
        &self.inner.info
    }

    /// The world that it was built for.
    pub fn world(&self) -> World {
        self.inner.linked.world()
    }

    /// Tells tasks that live apart: those that share their compiled code have the same number.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// What it holds in memory, in bytes: wasmtime's image of its compiled code. What wasmtime has parsed beside it, types and names,
    /// cannot be asked for and is not in it; neither are calls, which have their own budget.
    pub fn image_bytes(&self) -> usize {
        self.inner.linked.image_bytes()
    }

    /// Turns a request, a JSON text, into a prompt. `parser` makes the graphs that the task asks for.
    ///
    /// It runs on the calling thread for up to [`TaskLimits::call_time`]: from async code, call it where blocking is
    /// allowed.
    ///
    /// # Errors
    /// [`TaskError::Rejected`] when the task finds the request at fault; else what went wrong with the task.
    pub fn prepare(&self, request: &str, parser: Arc<dyn CodeParser>) -> Result<Prepared, TaskError> {
        let limits = &self.inner.limits;
        if request.len() > limits.request_bytes {
            return Err(TaskError::RequestTooLarge {
                found: request.len(),
                limit: limits.request_bytes,
            });
        }
        let state = self.state(Call::Prepare, Some(parser));
        let (prepared, mut state) = self.run(state, |task, store| task.prepare(store, request))?;
        let prepared = prepared.map_err(|error| refusal(Call::Prepare, error))?;
        Prepared::validated(prepared, &mut state.graphs, limits)
    }

    /// Turns what the LLM wrote into an answer. `state` is [`Prepared::state`] of the same request; `generated` goes on
    /// after [`Prepared::reply_start`] and does not repeat it.
    ///
    /// # Errors
    /// [`TaskError::Failed`] and the like: what went wrong with the task. A reply of no use is no error but an answer
    /// with a diagnostic.
    pub fn finish(&self, state: &[u8], generated: &str) -> Result<Answer, TaskError> {
        let call_state = self.state(Call::Finish, None);
        let (answer, _) = self.run(call_state, |task, store| task.finish(store, state, generated))?;
        let answer = answer.map_err(|error| refusal(Call::Finish, error))?;
        Answer::validated(answer, &self.inner.limits)
    }

    /// What an answer is worth beside a reference, by each of [`TaskInfo::metrics`]: from 0, the worst, to 1, the best.
    /// `state` is [`Prepared::state`] of the answer's request; `parser` makes the graphs that the task asks for.
    ///
    /// # Errors
    /// What went wrong with the task. A task without metrics gives none, whatever it is asked.
    pub fn score(
        &self,
        state: &[u8],
        answer: &Answer,
        reference: &str,
        parser: Arc<dyn CodeParser>,
    ) -> Result<Vec<f64>, TaskError> {
        if self.inner.info.metrics.is_empty() {
            return Ok(Vec::new());
        }
        let call_state = self.state(Call::Score, Some(parser));
        let answer = types::Answer::from(answer);
        let (scores, _) = self.run(call_state, |task, store| task.score(store, state, &answer, reference))?;
        let scores = scores.map_err(|error| refusal(Call::Score, error))?;
        checked_scores(scores, &self.inner.info.metrics)
    }

    fn run<R>(
        &self,
        state: CallState,
        export: impl FnOnce(&Exports, &mut Store<CallState>) -> wasmtime::Result<R>,
    ) -> Result<(R, CallState), TaskError> {
        run(&self.inner.linked, &self.inner.slots, state, export)
    }

    fn state(&self, call: Call, parser: Option<Arc<dyn CodeParser>>) -> CallState {
        CallState::new(self.inner.name.clone(), call, self.inner.limits.clone(), parser)
    }
}

/// Runs one export in a fresh instance, within the budget, when there is room for it.
fn run<R>(
    linked: &Linked,
    slots: &Slots,
    state: CallState,
    export: impl FnOnce(&Exports, &mut Store<CallState>) -> wasmtime::Result<R>,
) -> Result<(R, CallState), TaskError> {
    // Until the store is gone, or moved out of: it is declared after this.
    let _slot = slots.take();
    let (call, limits) = (state.call, state.limits.clone());
    let mut store = Store::new(linked.engine(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.output_bytes);
    // The clock may be about to tick: one more, so that a call never gets less than its time.
    let ticks = limits.call_time.as_millis().div_ceil(TICK.as_millis()) + 1;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2));
    let (begun, computed, limit) = (Instant::now(), thread_time(), limits.call_time);
    store.epoch_deadline_callback(move |context| {
        // What the host parses for it is bounded by bytes, and not the guest's doing.
        let own = thread_time().saturating_sub(computed + context.data().parsing);
        let had_its_time = own >= limit || begun.elapsed() >= limit * PATIENCE;
        if had_its_time {
            return Err(Trap::Interrupt.into());
        }
        Ok(UpdateDeadline::Continue(1))
    });
    let task = match linked.instantiate(&mut store) {
        Ok(task) => task,
        // The types of exports are looked at here, and nothing has been returned yet that could be invalid.
        Err(error) => match fault(&error, call, &limits) {
            TaskError::InvalidOutput { .. } => {
                let (world, message) = (linked.world(), format!("{error:#}"));
                return Err(TaskError::WrongType { world, message });
            }
            fault => return Err(fault),
        },
    };
    match export(&task, &mut store) {
        Ok(value) => Ok((value, store.into_data())),
        Err(error) => Err(fault(&error, call, &limits)),
    }
}

/// The task's own refusal.
fn refusal(call: Call, error: types::Error) -> TaskError {
    match error {
        types::Error::InvalidRequest(message) => TaskError::Rejected { message },
        types::Error::Internal(message) => TaskError::Failed { call, message },
    }
}

/// The name of what stopped a guest.
fn fault(error: &wasmtime::Error, call: Call, limits: &TaskLimits) -> TaskError {
    if let Some(over) = error.downcast_ref::<OverBudget>() {
        return match *over {
            OverBudget::Memory { wanted } => TaskError::OutOfMemory {
                call,
                wanted,
                limit: limits.memory_bytes,
            },
            OverBudget::Table { wanted } => TaskError::TableTooLarge {
                call,
                wanted,
                limit: limits.table_elements,
            },
        };
    }
    if let Some(error) = error.downcast_ref::<Utf8Error>() {
        return TaskError::BadUtf8 {
            call,
            valid_up_to: error.valid_up_to(),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            return TaskError::DeadlineExceeded {
                call,
                limit: limits.call_time,
            };
        }
        Some(Trap::StackOverflow) => {
            return TaskError::StackOverflow {
                call,
                limit: limits.stack_bytes,
            };
        }
        _ => {}
    }
    let what = error.root_cause().to_string();
    // The runtime gives this error no type of its own; the test of huge outputs holds the wording.
    if what.contains("fuel allocated for hostcalls") {
        return TaskError::OutputTooLarge {
            call,
            what: "what the task handed over, in bytes,",
            limit: limits.output_bytes,
            found: None,
        };
    }
    if what.contains("resource limit exceeded") {
        return TaskError::TooManyInstances {
            message: what,
            limit: limits.instances,
        };
    }
    // What is no fault of the guest's code is a value that does not fit: a handle that does not exist.
    match error.downcast_ref::<Trap>() {
        Some(_) => TaskError::Trap {
            call,
            what,
            backtrace: backtrace(error),
        },
        None => TaskError::InvalidOutput { call, message: what },
    }
}

/// The guest's functions that were running, innermost first.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map_or(&[][..], WasmBacktrace::frames);
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => name.to_owned(),
        None => format!("function {}", frame.func_index()),
    };
    frames.iter().map(name).collect()
}
