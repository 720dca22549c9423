//! The stages of a request one by one, for those who make weights and judge them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};
use transducer_backbone::{Backbone, Embedder, WeightFormat};
use transducer_bundle::{Bundle, Generation, ValidatedManifest};
use transducer_core::{Transducer, TransducerConfig};
use transducer_engine::{Completion, Decoding, EngineError, OfflineRequest, generate_together};
use transducer_frontends::FrontEnds;
use transducer_remote::RemoteOptions;
use transducer_tasks::{Answer, Task, TaskEngine, TaskError, TaskLimits};

use crate::adapter;
use crate::generate::{Generator, engine_decoding};
use crate::host::{described, load_model, model_info, start_remote};
use crate::parser::Parser;
use crate::prompt::{self, Prompt};
use crate::{AdapterError, LoadError, ModelInfo, Precision, RequestError};

/// What a workshop is made of.
#[derive(Clone, Debug)]
pub struct WorkshopOptions {
    /// The frozen LLM: a GGUF file or a Hugging Face folder.
    pub model: PathBuf,
    /// Directory of CPG front ends.
    pub front_ends: PathBuf,
    /// Numbers that the LLM computes with.
    pub precision: Precision,
    /// Threads of the LLM; by default as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// Servers that have the LLM's layers; none for this process.
    pub remote: Option<RemoteOptions>,
}

/// The frozen LLM, the front ends and the sandbox, without an engine and without an adapters directory.
pub struct Workshop {
    llm: Llm,
    front_ends: Arc<FrontEnds>,
    tasks: TaskEngine,
    model: ModelInfo,
}

/// Where the forward passes are made.
enum Llm {
    /// Here, and gradients with them.
    Here(Backbone),
    /// In servers.
    Elsewhere(Generator),
}

/// A bundle being worked on: its task is loaded, its weights are what is made.
pub struct Workpiece {
    /// Its folder.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: ValidatedManifest,
    /// SHA-256 of its component.
    pub component_sha256: String,
    /// The shape that the manifest asks for.
    pub config: TransducerConfig,
    generation: Generation,
    task: Task,
    weights: Option<Vec<u8>>,
}

/// What a task made of a request.
#[derive(Debug)]
pub struct PreparedPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// How the answer is decoded.
    pub decoding: Decoding,
    /// For [`Workpiece::finish`].
    pub state: Vec<u8>,
}

/// What a task made of a generated text.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The answer as a person reads it.
    pub text: String,
    /// The codes of its diagnostics.
    pub diagnostics: Vec<String>,
    answer: Answer,
}

impl Workshop {
    /// Loads everything. `stage` is told what is being loaded.
    ///
    /// # Errors
    /// [`LoadError`] for the model, the front ends or the sandbox.
    pub fn load(options: &WorkshopOptions, stage: &dyn Fn(&str)) -> Result<Self, LoadError> {
        stage("CPG front ends");
        let front_ends = Arc::new(FrontEnds::load_dir(&options.front_ends)?);
        let path = &options.model;
        let (llm, model) = match &options.remote {
            None => {
                let format = (options.precision, WeightFormat::Full);
                let backbone = load_model(path, format, options.threads, stage)?;
                let device = format!("{:?}", backbone.device()).to_lowercase();
                let how = (backbone.precision(), device);
                let model = described(path, &backbone, backbone.config().max_context, how);
                (Llm::Here(backbone), model)
            }
            Some(remote) => {
                let generator = start_remote(path, options.precision, remote, stage)?;
                let model = model_info(path, &generator);
                (Llm::Elsewhere(generator), model)
            }
        };
        let tasks = TaskEngine::new(TaskLimits::default()).map_err(LoadError::Sandbox)?;
        Ok(Self {
            llm,
            front_ends,
            tasks,
            model,
        })
    }

    /// The frozen LLM, for who needs its gradients.
    ///
    /// # Errors
    /// [`LoadError::NoLayers`] where servers have its layers.
    pub fn backbone(&self) -> Result<&Backbone, LoadError> {
        match &self.llm {
            Llm::Here(backbone) => Ok(backbone),
            Llm::Elsewhere(_) => Err(LoadError::NoLayers),
        }
    }

    /// What stands before its first layer.
    pub fn embedder(&self) -> &Embedder {
        match &self.llm {
            Llm::Here(backbone) => backbone,
            Llm::Elsewhere(generator) => generator.embedder(),
        }
    }

    /// The likeliest answers to prompts that wait side by side, in their order.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::Cancelled`] where `stop` was raised.
    pub fn generate(&self, requests: Vec<OfflineRequest>, stop: &AtomicBool) -> Result<Vec<Completion>, EngineError> {
        match &self.llm {
            Llm::Here(backbone) => generate_together(backbone, &requests, stop),
            Llm::Elsewhere(generator) => generator.generate_all(requests, stop),
        }
    }

    /// What is known of it.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// The CPG front ends.
    pub fn front_ends(&self) -> &FrontEnds {
        &self.front_ends
    }

    /// Opens a bundle and checks it against this host, as a host that serves it would.
    ///
    /// # Errors
    /// [`AdapterError`].
    pub fn open(&self, dir: &Path) -> Result<Workpiece, AdapterError> {
        let bundle = Bundle::open(dir)?;
        adapter::check(&bundle.manifest, self.embedder(), &self.front_ends)?;
        let task = adapter::compile(&bundle.manifest, &bundle.component, &self.tasks)?;
        Ok(Workpiece {
            dir: dir.to_owned(),
            config: adapter::transducer_config(&bundle.manifest.transducer, self.embedder())?,
            component_sha256: hex::encode(Sha256::digest(&bundle.component)),
            manifest: bundle.manifest,
            generation: bundle.generation,
            task,
            weights: bundle.weights,
        })
    }

    /// The weights that a bundle has; `None` if it brings none.
    ///
    /// # Errors
    /// [`AdapterError`] when they do not fit the manifest or this host.
    pub fn transducer(&self, piece: &Workpiece) -> Result<Option<Transducer>, AdapterError> {
        let weights = piece.weights.as_deref();
        weights
            .map(|weights| adapter::transducer(&piece.manifest.transducer, Some(weights), self.embedder()))
            .transpose()
    }

    /// A request's prompt: the task's `prepare`, the front ends, and the tokenizer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn prepare(&self, piece: &Workpiece, request: &str) -> Result<PreparedPrompt, RequestError> {
        let parser = Arc::new(Parser::new(self.front_ends.clone()));
        let prepared = piece
            .task
            .prepare(request, parser)
            .map_err(|error| piece.blame(error))?;
        Ok(PreparedPrompt {
            prompt: prompt::assemble(self.embedder(), &prepared)?,
            decoding: engine_decoding(&prepared.decoding)?,
            state: prepared.state,
        })
    }

    /// What an answer is worth beside a reference, by each of [`Workpiece::metrics`], from 0 to 1. `state` is that of the
    /// answer's prompt.
    ///
    /// # Errors
    /// [`RequestError::Task`] when the task fails.
    pub fn score(
        &self,
        piece: &Workpiece,
        state: &[u8],
        finished: &Finished,
        reference: &str,
    ) -> Result<Vec<f64>, RequestError> {
        let parser = Arc::new(Parser::new(self.front_ends.clone()));
        let scores = piece.task.score(state, &finished.answer, reference, parser);
        scores.map_err(|error| piece.blame(error))
    }
}

impl Workpiece {
    /// SHA-256 of the weights that it was opened with; none if it brought none.
    pub fn weights_sha256(&self) -> Option<String> {
        let weights = self.weights.as_deref()?;
        Some(hex::encode(Sha256::digest(weights)))
    }

    /// The names of the task's own metrics.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.task.info().metrics.iter().map(|metric| metric.name.as_str())
    }

    /// The answer that the task makes of a generated text.
    ///
    /// # Errors
    /// [`RequestError::Task`] when the task fails.
    pub fn finish(&self, state: &[u8], generated: &str) -> Result<Finished, RequestError> {
        let answer = self.task.finish(state, generated).map_err(|error| self.blame(error))?;
        Ok(Finished {
            text: answer.text.clone(),
            diagnostics: answer
                .diagnostics
                .iter()
                .map(|diagnostic| diagnostic.code.clone())
                .collect(),
            answer,
        })
    }

    fn blame(&self, error: TaskError) -> RequestError {
        RequestError::of_task(self.manifest.name.to_string(), self.generation, error)
    }
}
