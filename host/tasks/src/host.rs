//! The host's side of one call: its budget, its log, its graphs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;

use crate::bindings::{log, types};
use crate::limits::{MAX_LOG_LINE_BYTES, TaskLimits, cut};
use crate::{Call, CodeParser};

/// What a store holds: the state of one call, gone when the call is over.
pub(crate) struct CallState {
    pub(crate) task: Arc<str>,
    pub(crate) call: Call,
    pub(crate) limits: Arc<TaskLimits>,
    pub(crate) parser: Option<Arc<dyn CodeParser>>,
    pub(crate) graphs: ResourceTable,
    pub(crate) parsed_calls: usize,
    pub(crate) parsed_bytes: usize,
    /// How long this thread has parsed for the call.
    pub(crate) parsing: Duration,
    memory: usize,
    table_elements: usize,
    logged: Logged,
}

/// How much of the log's budget is used.
#[derive(Default)]
struct Logged {
    lines: usize,
    bytes: usize,
    dropped: usize,
}

impl CallState {
    pub(crate) fn new(
        task: Arc<str>,
        call: Call,
        limits: Arc<TaskLimits>,
        parser: Option<Arc<dyn CodeParser>>,
    ) -> Self {
        let mut graphs = ResourceTable::new();
        graphs.set_max_capacity(limits.parse_calls);
        Self {
            task,
            call,
            limits,
            parser,
            graphs,
            parsed_calls: 0,
            parsed_bytes: 0,
            parsing: Duration::ZERO,
            memory: 0,
            table_elements: 0,
            logged: Logged::default(),
        }
    }
}

/// A budget that the guest wanted to go beyond. It stops the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverBudget {
    Memory { wanted: usize },
    Table { wanted: usize },
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverBudget::Memory { wanted } => write!(f, "{wanted} bytes of memory wanted"),
            OverBudget::Table { wanted } => write!(f, "{wanted} table elements wanted"),
        }
    }
}

impl std::error::Error for OverBudget {}

// Growth beyond the budget traps instead of giving -1: guests abort on -1, and the user would read `unreachable`.
impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        if wanted > self.limits.memory_bytes {
            return Err(OverBudget::Memory { wanted }.into());
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        if wanted > self.limits.table_elements {
            return Err(OverBudget::Table { wanted }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

impl types::Host for CallState {}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let line = cut(&message, MAX_LOG_LINE_BYTES);
        let logged = &mut self.logged;
        if logged.lines >= self.limits.log_lines || logged.bytes + line.len() > self.limits.log_bytes {
            logged.dropped += 1;
            return Ok(());
        }
        logged.lines += 1;
        logged.bytes += line.len();
        // Control characters would let a guest forge lines of a terminal's log.
        let line = line.escape_debug();
        let (task, call) = (&*self.task, self.call);
        match level {
            log::Level::Debug => tracing::debug!(target: "transducer_tasks::guest", task, %call, "{line}"),
            log::Level::Info => tracing::info!(target: "transducer_tasks::guest", task, %call, "{line}"),
            log::Level::Warn => tracing::warn!(target: "transducer_tasks::guest", task, %call, "{line}"),
            log::Level::Error => tracing::error!(target: "transducer_tasks::guest", task, %call, "{line}"),
        }
        Ok(())
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        let (task, call, dropped) = (&*self.task, self.call, self.logged.dropped);
        if dropped > 0 {
            tracing::warn!(target: "transducer_tasks::guest", task, %call, dropped, "lines beyond the log's budget");
        }
    }
}
