//! The runtime that tasks share: compiler, clock, linker.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};
use wasmtime::{Cache, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::TICK;
use crate::linked::Linkers;
use crate::slots::Slots;
use crate::task::WeakTask;
use crate::{Task, TaskError, TaskLimits, compiled, component};

/// Compiles task components. One is enough for a process; cloning shares it.
#[derive(Clone)]
pub struct TaskEngine {
    engine: Engine,
    linkers: Arc<Linkers>,
    slots: Arc<Slots>,
    known: Arc<Mutex<HashMap<Known, WeakTask>>>,
    limits: TaskLimits,
}

/// Components of the same bytes with the same limits are one task: hundreds of adapters may differ in their weights only.
type Known = ([u8; 32], TaskLimits);

impl TaskEngine {
    /// An engine whose tasks get `limits`, with a thread that ticks as long as the engine or a task of it lives.
    ///
    /// # Errors
    /// [`TaskError::Engine`] when this machine cannot run compiled WebAssembly or start a thread.
    pub fn new(limits: TaskLimits) -> Result<Self, TaskError> {
        Self::build(limits, None)
    }

    /// Likewise, keeping compiled tasks in `dir`, which is made where it is not there: a task is compiled once for a version of
    /// this program and a kind of CPU, and loaded in a few milliseconds from then on.
    ///
    /// What lies in the directory runs as the host itself: only the host may write there.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`TaskError::Cache`] when the directory cannot be used, or others may write to it.
    pub fn with_cache(limits: TaskLimits, dir: &Path) -> Result<Self, TaskError> {
        Self::build(limits, Some(compiled::open(dir)?))
    }

    fn build(limits: TaskLimits, cache: Option<Cache>) -> Result<Self, TaskError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let calls = u32::try_from((CALLS_PER_CORE * cores).max(MIN_CALLS)).unwrap_or(u32::MAX);
        let mut config = config(&limits);
        config.cache(cache).allocation_strategy(pool(&limits, calls));
        // A pool wants terabytes of address space, though no memory.
        let engine = Engine::new(&config).or_else(|error| {
            tracing::warn!("tasks get their memory anew for each call, which takes longer: {error:#}");
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config)
        });
        let engine = engine.map_err(engine_error)?;
        start_clock(&engine)?;
        let linkers = Arc::new(Linkers::new(&engine).map_err(engine_error)?);
        Ok(Self {
            engine,
            linkers,
            slots: Arc::new(Slots::new(calls)),
            known: Arc::default(),
            limits,
        })
    }

    /// Compiles a component, checks that it is a task, and asks it what it is.
    ///
    /// It takes about 0.1 s for a task of 100 KB, or a few milliseconds when it was compiled before (see
    /// [`with_cache`](Self::with_cache)), or none when a task of the same bytes lives.
    ///
    /// # Errors
    /// The variants of [`TaskError`] from [`ComponentTooLarge`](TaskError::ComponentTooLarge) to
    /// [`WrongType`](TaskError::WrongType), and those of a call for `describe`.
    pub fn compile(&self, wasm: &[u8]) -> Result<Task, TaskError> {
        self.compile_with(wasm, self.limits.clone())
    }

    /// Like [`compile`](Self::compile), with limits of its own for this task; but the stack is that of the engine.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_with(&self, wasm: &[u8], limits: TaskLimits) -> Result<Task, TaskError> {
        let limits = TaskLimits {
            stack_bytes: self.limits.stack_bytes,
            ..limits
        };
        let known = (Sha256::digest(wasm).into(), limits);
        if let Some(task) = self.known().get(&known).and_then(WeakTask::upgrade) {
            return Ok(task);
        }
        let (digest, limits) = known;
        let (component, world) = component::compile(&self.engine, wasm, &limits)?;
        let linked = self
            .linkers
            .link(&component, world)
            .map_err(|error| TaskError::WrongType {
                world,
                message: format!("{error:#}"),
            })?;
        let task = Task::load(linked, limits.clone(), self.slots.clone())?;
        let mut known = self.known();
        known.retain(|_, task| task.upgrade().is_some());
        // Another thread may have compiled the same meanwhile: that of the first stays, so that there is one.
        let first = known.entry((digest, limits)).or_insert_with(|| task.downgrade());
        Ok(first.upgrade().unwrap_or(task))
    }

    /// The tasks that live.
    fn known(&self) -> MutexGuard<'_, HashMap<Known, WeakTask>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tasks of this engine get.
    pub fn limits(&self) -> &TaskLimits {
        &self.limits
    }
}

/// Calls of all tasks together that run at once, for each core: calls compute, so that more would only slow each other down.
const CALLS_PER_CORE: usize = 4;

/// Likewise, on any machine: a few tasks that loop until their deadline must not keep the others waiting.
const MIN_CALLS: usize = 16;

/// Largest table that a module may begin with. Above the usual budget, so that a table beyond it is refused with the budget's own
/// error; each table of the pool has address space for this many elements.
const POOL_TABLE_ELEMENTS: usize = 1 << 20;

/// Linear memory that stays with its slot between two calls, in bytes: what a Rust task touches, its stack, its data and a small
/// heap. Written pages of it are put back to what they were; the rest goes back to the system.
const RESIDENT_MEMORY: usize = 2 << 20;

/// Likewise for the elements of a table.
const RESIDENT_TABLE: usize = 64 << 10;

fn config(limits: &TaskLimits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        // The same component and request give the same prompt on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // The runtime copies between the components of which a task is composed with a module of two memories; without this it
        // panics on such a task, and one in JavaScript is one. All memories of a task share its budget.
        .wasm_multi_memory(true)
        // Nothing that a task needs, so nothing that can go wrong.
        .wasm_memory64(false);
    config
}

/// Room for instances, made once: a call that has to map its memory and tables, and to give them back, spends more time on that
/// than on what it is for. The room is enough for calls that each use all that `limits` allows.
fn pool(limits: &TaskLimits, calls: u32) -> PoolingAllocationConfig {
    let each = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let all = calls.saturating_mul(each);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(all)
        .total_memories(all)
        .total_tables(all)
        .max_memories_per_module(each)
        .max_tables_per_module(each)
        .table_elements(POOL_TABLE_ELEMENTS.max(limits.table_elements))
        .linear_memory_keep_resident(RESIDENT_MEMORY)
        .table_keep_resident(RESIDENT_TABLE)
        .max_unused_warm_slots(calls)
        // Where the system tells which pages were written, only those are put back.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Advances the epoch that the deadlines are counted in, until the engine is gone.
fn start_clock(engine: &Engine) -> Result<(), TaskError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            // Not across the sleep, or the engine would never go.
            drop(engine);
            thread::sleep(TICK);
        }
    };
    let clock = thread::Builder::new().name("task-clock".to_owned()).spawn(tick);
    clock.map(drop).map_err(|error| TaskError::Engine {
        message: format!("cannot start the thread for deadlines: {error}"),
    })
}

fn engine_error(error: wasmtime::Error) -> TaskError {
    TaskError::Engine {
        message: format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::TaskEngine;
    use crate::TaskLimits;

    #[test]
    fn the_same_component_is_one_task_while_it_lives() {
        let wasm = std::fs::read("../../adapters/assert-java/task.wasm").expect("a committed task");
        let engine = TaskEngine::new(TaskLimits::default()).expect("an engine");
        let (one, two) = (engine.compile(&wasm), engine.compile(&wasm));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(engine.known().len(), 1);
        let tighter = TaskLimits {
            memory_bytes: 8 << 20,
            ..TaskLimits::default()
        };
        let other = engine.compile_with(&wasm, tighter.clone());
        assert_eq!(engine.known().len(), 2, "its limits are others");
        drop((one, two, other));
        engine.compile_with(&wasm, tighter).expect("a task");
        assert_eq!(engine.known().len(), 1, "those that are gone are forgotten");
    }
}
