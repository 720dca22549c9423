//! What can go wrong with a host and with a request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use transducer_backbone::BackboneError;
use transducer_bundle::{BundleError, Generation};
use transducer_core::TransducerError;
use transducer_engine::{DecodingError, EngineError};
use transducer_frontends::LoadError as FrontEndError;
use transducer_remote::RemoteError;
use transducer_tasks::{Blame, TaskError};

use crate::prompt::PromptError;

/// A host that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The frozen LLM.
    #[error("the model {path}: {source}")]
    Model {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: Box<BackboneError>,
    },
    /// The CPG front ends.
    #[error("the CPG front ends: {0}")]
    FrontEnds(#[from] FrontEndError),
    /// The sandbox.
    #[error("the sandbox for tasks: {0}")]
    Sandbox(TaskError),
    /// What reads the adapters directory.
    #[error("cannot start threads that read adapters: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// The engine.
    #[error("cannot start the engine's thread: {0}")]
    Engine(std::io::Error),
    /// The servers that have the frozen LLM's layers.
    #[error("the model's servers: {0}")]
    Remote(#[from] RemoteError),
    /// What was asked for needs the layers here.
    #[error("this needs the LLM's layers in this process: leave out --backbone")]
    NoLayers,
    /// The adapters directory itself; a bundle that is broken does not keep the host from starting.
    #[error("the adapters directory: {0}")]
    Adapters(#[from] BundleError),
}

impl LoadError {
    /// The model at `path` cannot be loaded.
    pub(crate) fn model(path: &Path) -> impl FnOnce(BackboneError) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Model {
            path,
            source: source.into(),
        }
    }
}

/// A bundle that the host cannot use.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Its files.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It was made for another frozen LLM.
    #[error(
        "made for {pinned}: its {what} is {expected}, this host's is {found}; serve it with that model, or train it for this one"
    )]
    OtherModel {
        /// The model that it was made for.
        pinned: String,
        /// Which fact does not fit.
        what: &'static str,
        /// The bundle's.
        expected: String,
        /// The host's.
        found: String,
    },
    /// It was made for another version of the graph.
    #[error("made for CPG schema {expected}, this host has {found}: retrain it, or use a host of its time")]
    OtherGraph {
        /// The bundle's.
        expected: u32,
        /// The host's.
        found: u32,
    },
    /// An edge kind that the graph does not have.
    #[error("`transducer.edge-kinds`: {0}")]
    EdgeKind(#[from] transducer_cpg::UnknownKind),
    /// Languages without a front end.
    #[error("needs a front end for `{language}`; this host has {known:?}")]
    Language {
        /// The language.
        language: String,
        /// What the host has.
        known: Vec<String>,
    },
    /// It was made for a world that this host does not have.
    #[error("`task.world` is {manifest:?}, this host has {supported}")]
    World {
        /// In the manifest.
        manifest: String,
        /// What the host has.
        supported: String,
    },
    /// Its component was built for another world than it says.
    #[error("`task.world` is {manifest:?}, the component was built for {component:?}: write that, or build it again")]
    OtherWorld {
        /// In the manifest.
        manifest: String,
        /// Of the component.
        component: &'static str,
    },
    /// The weights are of another shape than the manifest says.
    #[error("`[transducer]` says {manifest}, the weights say {weights}")]
    OtherShape {
        /// In the manifest.
        manifest: String,
        /// In the weights' metadata.
        weights: String,
    },
    /// It was trained with edges that are not those of the code.
    #[error(
        "`train.edges`: its weights are those of an experiment with other edges than the code has; train it with `real` ones"
    )]
    Experiment,
    /// It asks for more than a task may have.
    #[error("`{key}` asks for {asked}, this host gives at most {most}")]
    Greedy {
        /// The manifest's key.
        key: &'static str,
        /// What it asks for.
        asked: String,
        /// The host's policy.
        most: String,
    },
    /// Its component.
    #[error("its task: {0}")]
    Task(#[from] TaskError),
    /// Its weights.
    #[error("its transducer: {0}")]
    Transducer(#[from] TransducerError),
    /// The copy of it that the host keeps.
    #[error("the host's copy of it in {dir}: {source}")]
    Copy {
        /// Where the copy is, in a file without a name.
        dir: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
}

/// A request that has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody of that name.
    #[error("no adapter is named {name:?}; there are: {}", list(.known))]
    UnknownAdapter {
        /// The name asked for.
        name: String,
        /// Names that could be asked for.
        known: Vec<String>,
    },
    /// The bundle of that name cannot be used.
    #[error("adapter {name} cannot be used: {error}")]
    BrokenAdapter {
        /// The adapter.
        name: String,
        /// What is wrong with it.
        error: String,
    },
    /// It was put out of memory, and cannot be brought back.
    #[error(
        "adapter {adapter} (generation {generation}) was put out of memory and cannot be brought back: {source}; it answers again once the host has read its bundle again, which it does by itself if the bundle is still in place: else install it again"
    )]
    Lost {
        /// The adapter.
        adapter: String,
        /// Its bundle.
        generation: Generation,
        /// Why.
        source: Box<AdapterError>,
    },
    /// The task does not accept the request.
    #[error("{0}")]
    Rejected(String),
    /// The graph asked for is too large to be written down.
    #[error(
        "the graph is too large, with {nodes} nodes and more than {} MB of JSON: send less code, or name fewer kinds in `edges`",
        .most_bytes >> 20
    )]
    LargeGraph {
        /// How many nodes it has.
        nodes: usize,
        /// Most bytes of its JSON.
        most_bytes: usize,
    },
    /// The prompt and the room for an answer do not fit the LLM.
    #[error(
        "the prompt has {prompt} tokens and the answer may have {answer}, more than the model's context of {context} has room for: send less code (one method rather than a file)"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most tokens of the answer.
        answer: usize,
        /// The model's limit.
        context: usize,
    },
    /// The queue is full.
    #[error("{limit} requests wait already, which is the limit: try again later")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// It took too long.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The caller went away.
    #[error("cancelled")]
    Cancelled,
    /// The adapter's task misbehaved: it trapped, ran too long, asked for too much.
    #[error("adapter {adapter} (generation {generation}): {source}")]
    Task {
        /// The adapter.
        adapter: String,
        /// Its bundle.
        generation: Generation,
        /// What it did.
        source: TaskError,
    },
    /// The prompt cannot be written for this model.
    #[error("the prompt: {0}")]
    Prompt(#[from] PromptError),
    /// The task asks for a decoding that there is not.
    #[error("the task's decoding: {0}")]
    Decoding(#[from] DecodingError),
    /// The transducer failed.
    #[error("the transducer: {0}")]
    Transducer(#[from] TransducerError),
    /// The LLM failed.
    #[error("the model: {0}")]
    Backbone(#[from] BackboneError),
    /// The engine does not take the prompt.
    #[error("the prompt's embeddings: {0}")]
    Embeddings(#[from] transducer_engine::PromptError),
    /// The servers that have the LLM's layers do not answer.
    #[error("the model's servers: {0}")]
    Unavailable(String),
    /// The engine failed.
    #[error("the engine: {0}")]
    Engine(EngineError),
}

impl RequestError {
    /// What an adapter's task says, a request that it does not accept told apart from its own errors.
    pub(crate) fn of_task(adapter: String, generation: Generation, source: TaskError) -> Self {
        match source.blame() {
            Blame::Request => Self::Rejected(source.to_string()),
            _ => Self::Task {
                adapter,
                generation,
                source,
            },
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
