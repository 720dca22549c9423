//! The runtime that tasks share: compiler, clock, linker.

use std::sync::Arc;
use std::thread;

use wasmtime::{Config, Engine};

use crate::limits::TICK;
use crate::linked::Linkers;
use crate::{Task, TaskError, TaskLimits, component};

/// Compiles task components. One is enough for a process; cloning shares it.
#[derive(Clone)]
pub struct TaskEngine {
    engine: Engine,
    linkers: Arc<Linkers>,
    limits: TaskLimits,
}

impl TaskEngine {
    /// An engine whose tasks get `limits`, with a thread that ticks as long as the engine or a task of it lives.
    ///
    /// # Errors
    /// [`TaskError::Engine`] when this machine cannot run compiled WebAssembly or start a thread.
    pub fn new(limits: TaskLimits) -> Result<Self, TaskError> {
        let engine = Engine::new(&config(&limits)).map_err(engine_error)?;
        start_clock(&engine)?;
        let linkers = Arc::new(Linkers::new(&engine).map_err(engine_error)?);
        Ok(Self {
            engine,
            linkers,
            limits,
        })
    }

    /// Compiles a component, checks that it is a task, and asks it what it is.
    ///
    /// It takes about 0.1 s for a task of 100 KB.
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
        let (component, world) = component::compile(&self.engine, wasm, &limits)?;
        let linked = self
            .linkers
            .link(&component, world)
            .map_err(|error| TaskError::WrongType {
                world,
                message: format!("{error:#}"),
            })?;
        Task::load(linked, limits)
    }

    /// What tasks of this engine get.
    pub fn limits(&self) -> &TaskLimits {
        &self.limits
    }
}

/// Instances are made on demand rather than from a pool: a pool reserves address space for its whole capacity up front
/// and refuses calls beyond it, to save some 10 µs of a request that generates for seconds.
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
