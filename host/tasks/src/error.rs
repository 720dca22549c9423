//! What can go wrong with a task, by name.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::World;

/// The export of a task that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `describe`, when the component is loaded.
    Describe,
    /// `prepare`, from request to prompt.
    Prepare,
    /// `finish`, from generated text to answer.
    Finish,
    /// `metrics`, when the component is loaded.
    Metrics,
    /// `score`, from an answer and a reference to numbers.
    Score,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Call::Describe => "describe",
            Call::Prepare => "prepare",
            Call::Finish => "finish",
            Call::Metrics => "metrics",
            Call::Score => "score",
        })
    }
}

/// Who has to change something before the call can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The user: the request is wrong.
    Request,
    /// The task's author: the component is wrong, or uses more than it may.
    Task,
    /// Whoever runs the host.
    Host,
}

/// Why a component was refused, or why a call failed. The host is unharmed in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The runtime could not be set up.
    #[error("cannot start the WebAssembly runtime: {message}")]
    Engine {
        /// What the runtime says.
        message: String,
    },
    /// The directory for compiled tasks cannot be used.
    #[error("compiled tasks cannot be kept in {}: {message}", dir.display())]
    Cache {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        message: String,
    },

    /// The file is too large to compile.
    #[error("the component has {found} bytes; the limit is {limit}. Build with optimization and strip debug info")]
    ComponentTooLarge {
        /// Bytes of the component.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Its functions have more local variables than are compiled.
    #[error("the component's functions have {found} local variables; the limit is {limit}")]
    TooManyLocals {
        /// Local variables of all functions.
        found: u64,
        /// As many are allowed.
        limit: u64,
    },
    /// The bytes are something else.
    #[error(
        "expected a WebAssembly component, found {found}. `transducer-host build` makes one of a task's source, `wasm-tools component new` one of a core module"
    )]
    NotAComponent {
        /// What the bytes look like.
        found: &'static str,
    },
    /// It begins like a component, but is damaged or uses a feature that is off.
    #[error("the component is not valid: {message}")]
    InvalidComponent {
        /// What the validator says, with the offset.
        message: String,
    },
    /// The component is built for a world that is newer than this host.
    #[error(
        "the component is built for `{found}`, which is newer than this host: it has {}. Update the host, or rebuild the \
         task with an SDK of its time",
        World::known()
    )]
    NewerWorld {
        /// What the component names.
        found: String,
    },
    /// The component is built for a world that there never was, or is no more.
    #[error(
        "the component is built for `{found}`; this host has {}. Rebuild it with a matching SDK",
        World::known()
    )]
    UnsupportedWorld {
        /// What the component names.
        found: String,
    },
    /// The component is made of parts for different worlds.
    #[error(
        "the component names both `{}` and `{}`: a task is built for one world. Rebuild all of it with one SDK",
        found[0],
        found[1]
    )]
    MixedWorlds {
        /// The first two worlds that it names.
        found: [String; 2],
    },
    /// The component wants something that a task does not get.
    #[error(
        "the component imports `{name}`; a task gets nothing but a log and the graphs of its code: no WASI, no network, no files"
    )]
    UnknownImport {
        /// The import.
        name: String,
    },
    /// The component lacks an export.
    #[error("the component does not export `{name}`: it is no task")]
    MissingExport {
        /// The export.
        name: &'static str,
    },
    /// Imports and exports have the right names and the wrong types.
    #[error("the component does not fit `{world}`: {message}. Rebuild it with a matching SDK")]
    WrongType {
        /// The world that it names.
        world: World,
        /// What does not fit.
        message: String,
    },

    /// The request is too large to hand to a task.
    #[error("the request has {found} bytes; the limit is {limit}")]
    RequestTooLarge {
        /// Bytes of the request.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The task refuses the request, and says why.
    #[error("{message}")]
    Rejected {
        /// The task's words to the user.
        message: String,
    },
    /// The task says that it has failed.
    #[error("the task failed in `{call}`: {message}")]
    Failed {
        /// What was running.
        call: Call,
        /// The task's words to its author.
        message: String,
    },

    /// The task stopped with a fault.
    #[error("the task crashed in `{call}`: {what}{}", frames(backtrace))]
    Trap {
        /// What was running.
        call: Call,
        /// The fault.
        what: String,
        /// The guest's functions, innermost first; names where the component has them, else indices.
        backtrace: Vec<String>,
    },
    /// The task did not end in time.
    #[error("the task ran longer than {limit:?} in `{call}` and was stopped")]
    DeadlineExceeded {
        /// What was running.
        call: Call,
        /// Time allowed.
        limit: Duration,
    },
    /// The task wanted more memory than it may have.
    #[error("the task wanted {wanted} bytes of memory in `{call}`; the limit is {limit}")]
    OutOfMemory {
        /// What was running.
        call: Call,
        /// Bytes it would have had.
        wanted: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The task wanted larger tables than it may have.
    #[error("the task wanted {wanted} table elements in `{call}`; the limit is {limit}")]
    TableTooLarge {
        /// What was running.
        call: Call,
        /// Elements it would have had.
        wanted: usize,
        /// Elements allowed.
        limit: usize,
    },
    /// The component is made of more parts than it may have.
    #[error("the component has too many parts: {message}; the limit is {limit} of each")]
    TooManyInstances {
        /// What there are too many of, and how many.
        message: String,
        /// Instances, tables and memories allowed.
        limit: usize,
    },
    /// The task's calls nest too deep.
    #[error("the task's calls nested too deep in `{call}`: its stack of {limit} bytes is full")]
    StackOverflow {
        /// What was running.
        call: Call,
        /// Bytes of stack allowed.
        limit: usize,
    },
    /// The task handed over more than the host takes.
    #[error("{what} in `{call}` {} the limit of {limit}", found.map_or_else(|| "is larger than".to_owned(), |found| format!("is {found}, above")))]
    OutputTooLarge {
        /// What was running.
        call: Call,
        /// What is too large, with its unit.
        what: &'static str,
        /// Allowed.
        limit: usize,
        /// Found, where the host counted it to the end.
        found: Option<usize>,
    },
    /// The task handed over a text that is none.
    #[error("the task returned a text in `{call}` that is not UTF-8, from byte {valid_up_to} on")]
    BadUtf8 {
        /// What was running.
        call: Call,
        /// Bytes of the text that are UTF-8.
        valid_up_to: usize,
    },
    /// The task handed over values that make no sense.
    #[error("the task returned a bad value in `{call}`: {message}")]
    InvalidOutput {
        /// What was running.
        call: Call,
        /// Which value, what was found, and what is allowed.
        message: String,
    },
}

impl TaskError {
    /// Who has to change something before the call can work.
    pub fn blame(&self) -> Blame {
        match self {
            TaskError::Rejected { .. } | TaskError::RequestTooLarge { .. } => Blame::Request,
            TaskError::Engine { .. } | TaskError::Cache { .. } => Blame::Host,
            _ => Blame::Task,
        }
    }
}

fn frames(backtrace: &[String]) -> String {
    match backtrace {
        [] => String::new(),
        frames => format!(" (in {})", frames.join(" < ")),
    }
}
