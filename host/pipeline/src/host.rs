//! The host: the rooms, and the path of a request through them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tch::Tensor;
use transducer_backbone::{Backbone, DeviceChoice, DtypeChoice, Embedder, LoadOptions, WeightFormat};
use transducer_bundle::Policy;
use transducer_engine::EngineOptions;
use transducer_frontends::FrontEnds;
use transducer_remote::{EndpointStatus, RemoteOptions};
use transducer_tasks::{TaskEngine, TaskError, TaskLimits};

use crate::adapter::{Adapter, Loaded};
use crate::adapters::{Adapters, Ground};
use crate::generate::{Generator, TimeLimit, engine_decoding};
use crate::parser::Parser;
use crate::prompt::{self, Prompt};
use crate::service::ms;
use crate::watch::Watch;
use crate::{
    AdapterStatus, Answer, ChangeError, Changed, Completion, Diagnostic, Event, Events, Expected, GraphRequest,
    Install, Load, LoadError, ModelInfo, PlainInput, PlainRequest, PolicyStatus, Reloads, Request, RequestError,
    Residency, Service, Timings, Usage,
};

/// What a host is made of.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The frozen LLM: a GGUF file or a Hugging Face folder.
    pub model: PathBuf,
    /// Directory of adapter bundles.
    pub adapters: PathBuf,
    /// Directory of CPG front ends.
    pub front_ends: PathBuf,
    /// Numbers that the LLM computes with.
    pub precision: Precision,
    /// In how many bits the weights are read for answers.
    pub weights: WeightFormat,
    /// Threads of the LLM; by default as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// How requests share the LLM.
    pub engine: EngineOptions,
    /// Servers that have the LLM's layers; none for this process.
    pub remote: Option<RemoteOptions>,
    /// Which bundles are let in; all of them by default. Its file is read again with every reload.
    pub policy: Option<Arc<Policy>>,
    /// Where compiled tasks are kept from one start to the next, so that they load at once: see [`TaskEngine::with_cache`].
    pub compiled: Option<PathBuf>,
    /// How much memory adapters may hold.
    pub residency: ResidencyOptions,
}

/// How much memory adapters may hold, and where they are kept beyond that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResidencyOptions {
    /// Bytes for the transducers' weights, and for the compiled task of each different component. Where all adapters together hold
    /// more, those that were not asked for longest are put out of memory until they are asked again. The one that was asked last
    /// stays, however large it is.
    pub memory: u64,
    /// Directory for a copy of all that was loaded, in a file without a name; by default, or where that cannot be used, the one for
    /// temporary files. It should not be in memory itself.
    pub dir: Option<PathBuf>,
}

impl Default for ResidencyOptions {
    /// A gibibyte: some thousands of adapters with tasks in common, or one thousand without.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            dir: None,
        }
    }
}

/// Without the directory, where it cannot be used: then tasks load slower, which is no reason not to serve.
fn task_engine(compiled: Option<&Path>) -> Result<TaskEngine, TaskError> {
    if let Some(dir) = compiled {
        match TaskEngine::with_cache(TaskLimits::default(), dir) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::warn!("tasks are compiled anew at every start: {error}"),
        }
    }
    TaskEngine::new(TaskLimits::default())
}

/// Numbers that the LLM computes with in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// What is fastest on this machine.
    #[default]
    Auto,
    /// 32 bits.
    F32,
    /// 16 bits, with the exponent of 32.
    Bf16,
    /// 16 bits, and 8 for the inputs of products: [`DtypeChoice::Int8`].
    Int8,
}

/// One frozen LLM and its adapters.
pub struct Host {
    pub(crate) embedder: Arc<Embedder>,
    pub(crate) generator: Generator,
    front_ends: Arc<FrontEnds>,
    pub(crate) model: ModelInfo,
    adapters: Arc<Adapters>,
    /// Until the host is dropped.
    watch: Option<Watch>,
}

impl Host {
    /// Loads everything. `stage` is told what is being loaded.
    ///
    /// A bundle that cannot be used does not keep the host from starting: see [`Service::adapters`].
    ///
    /// # Errors
    /// [`LoadError`] when the model, the front ends or the adapters directory cannot be used at all.
    pub fn load(options: &HostOptions, stage: &dyn Fn(&str)) -> Result<Self, LoadError> {
        stage("CPG front ends");
        let front_ends = Arc::new(FrontEnds::load_dir(&options.front_ends)?);
        let generator = match &options.remote {
            None => {
                let format = (options.precision, options.weights);
                let backbone = Arc::new(load_model(&options.model, format, options.threads, stage)?);
                Generator::local(backbone, &options.engine).map_err(LoadError::Engine)?
            }
            Some(remote) => start_remote(&options.model, options.precision, remote, stage)?,
        };
        // From here on each thread computes alone, but for the engine's. A transducer takes a millisecond; requests that share theirs
        // between threads, each with a team of its own, wait for one another tens of times as long.
        tch::set_num_threads(1);
        let embedder = generator.embedder().clone();
        stage("adapters");
        let tasks = task_engine(options.compiled.as_deref()).map_err(LoadError::Sandbox)?;
        let ground = Ground {
            embedder: embedder.clone(),
            front_ends: front_ends.clone(),
            tasks,
        };
        let (dir, policy) = (options.adapters.clone(), options.policy.clone());
        let adapters = Arc::new(Adapters::new(dir, ground, &options.residency, policy));
        adapters.load(stage)?;
        let model = model_info(&options.model, &generator);
        Ok(Self {
            embedder,
            generator,
            front_ends,
            model,
            adapters,
            watch: None,
        })
    }

    /// The CPG front ends.
    pub fn front_ends(&self) -> &FrontEnds {
        &self.front_ends
    }

    /// Reads the adapters directory again: see [`Self::watch`], which does it whenever something changed.
    ///
    /// New and changed bundles are checked completely before requests see them. One that is broken leaves the generation
    /// before it serving, and [`AdapterStatus::last_error`] says why. Running requests keep the generation that they began with.
    ///
    /// # Errors
    /// When the directory itself cannot be read; then nothing changes.
    pub fn reload(&self) -> Result<(), LoadError> {
        self.adapters.reload()
    }

    /// From now on changes in the adapters directory take effect by themselves.
    ///
    /// # Errors
    /// When no thread can be started. A directory that cannot be watched is looked at every few seconds instead.
    pub fn watch(&mut self) -> std::io::Result<()> {
        self.watch = Some(Watch::start(self.adapters.clone())?);
        Ok(())
    }

    /// The prompt's input embeddings, rewritten by the transducer: `[tokens, hidden]`.
    fn enrich(&self, loaded: &Loaded, prompt: &Prompt, timings: &mut Timings) -> Result<Tensor, RequestError> {
        tch::no_grad(|| {
            let begun = Instant::now();
            let embeddings = self.embedder.embed(&prompt.ids)?;
            timings.embed_ms += ms(begun.elapsed());
            let begun = Instant::now();
            let enriched = loaded
                .transducer
                .enrich(&embeddings, &prompt.segments(), &prompt.text)?;
            timings.transducer_ms = ms(begun.elapsed());
            Ok(enriched)
        })
    }
}

impl Service for Host {
    fn adapters(&self) -> Vec<AdapterStatus> {
        self.adapters.statuses()
    }

    fn policy(&self) -> PolicyStatus {
        self.adapters.policy()
    }

    fn reloads(&self) -> Reloads {
        self.adapters.reloads()
    }

    fn residency(&self) -> Residency {
        self.adapters.residency()
    }

    fn load(&self) -> Load {
        self.generator.load()
    }

    fn waiting(&self) -> BTreeMap<String, usize> {
        self.generator.waiting()
    }

    fn endpoints(&self) -> Vec<EndpointStatus> {
        self.generator.endpoints()
    }

    fn model(&self) -> &ModelInfo {
        &self.model
    }

    fn graph(&self, request: &GraphRequest<'_>) -> Result<String, RequestError> {
        crate::graph::draw(&self.front_ends, request)
    }

    fn complete(&self, request: &PlainRequest<'_>, events: &mut Events<'_>) -> Result<Completion, RequestError> {
        self.write(request, events)
    }

    fn tokenize(&self, input: &PlainInput<'_>) -> Result<Vec<u32>, RequestError> {
        self.ids(input)
    }

    fn detokenize(&self, tokens: &[u32]) -> Result<String, RequestError> {
        self.text(tokens)
    }

    fn install(&self, install: Install<'_>) -> Result<Changed, ChangeError> {
        self.adapters.install(install)
    }

    fn remove(&self, name: &str, expected: Option<&Expected>) -> Result<(), ChangeError> {
        self.adapters.remove(name, expected)
    }

    fn roll_back(&self, name: &str, expected: Option<&Expected>) -> Result<Changed, ChangeError> {
        self.adapters.roll_back(name, expected)
    }

    fn answer(&self, request: &Request<'_>, events: &mut Events<'_>) -> Result<Answer, RequestError> {
        let begun = Instant::now();
        let adapter = self.adapters.lease(request.adapter)?;
        let loaded = adapter.loaded(self.adapters.ground())?;
        let mut timings = Timings::default();

        let parser = Arc::new(Parser::new(self.front_ends.clone()));
        let prepared = loaded
            .task
            .prepare(request.body, parser.clone())
            .map_err(|error| adapter.blame(error))?;
        let spent = parser.spent();
        timings.cpg_ms = ms(spent);
        timings.prepare_ms = ms(begun.elapsed().saturating_sub(spent));

        let tokenizing = Instant::now();
        let prompt = prompt::assemble(&self.embedder, &prepared)?;
        timings.embed_ms = ms(tokenizing.elapsed());
        let (length, room) = (prompt.ids.len(), prepared.decoding.max_new_tokens as usize);
        if room > self.embedder.config().room(length) {
            return Err(RequestError::TooLong {
                prompt: length,
                answer: room,
                context: self.model.context,
            });
        }
        let embeddings = self.enrich(&loaded, &prompt, &mut timings)?;

        let started = Event::Started {
            generation: adapter.info.generation.clone(),
            prompt_tokens: length,
        };
        if events(started).is_break() || request.cancel.is_cancelled() {
            return Err(RequestError::Cancelled);
        }
        let time = request.time_limit.and_then(|limit| TimeLimit::since(begun, limit));
        let decoding = engine_decoding(&prepared.decoding)?;
        let generated = self
            .generator
            .generate(&adapter.name, &embeddings, decoding, &request.cancel, time, events)?;
        timings.queue_ms = ms(generated.timings.queued);
        timings.prefill_ms = ms(generated.timings.prefill);
        timings.decode_ms = ms(generated.timings.decode);

        let finishing = Instant::now();
        let answer = loaded
            .task
            .finish(&prepared.state, &generated.text)
            .map_err(|error| adapter.blame(error))?;
        timings.finish_ms = ms(finishing.elapsed());
        timings.total_ms = ms(begun.elapsed());
        let diagnostics = answer.diagnostics.into_iter().map(|diagnostic| Diagnostic {
            severity: diagnostic.severity.to_string(),
            code: diagnostic.code,
            message: diagnostic.message,
        });
        Ok(Answer {
            adapter: adapter.name.clone(),
            generation: adapter.info.generation.clone(),
            text: answer.text,
            data: answer.data,
            diagnostics: diagnostics.collect(),
            finish_reason: generated.finish_reason.into(),
            usage: Usage {
                prompt_tokens: length,
                completion_tokens: generated.usage.completion_tokens,
            },
            timings,
        })
    }
}

impl Adapter {
    fn blame(&self, error: TaskError) -> RequestError {
        RequestError::of_task(self.name.clone(), self.generation, error)
    }
}

/// Loads the frozen LLM.
pub(crate) fn load_model(
    path: &Path,
    (precision, weights): (Precision, WeightFormat),
    threads: Option<NonZeroUsize>,
    stage: &dyn Fn(&str),
) -> Result<Backbone, LoadError> {
    stage("the model");
    let load = LoadOptions {
        dtype: precision.choice(),
        weights,
        threads,
        ..LoadOptions::default()
    };
    let progress = |progress: transducer_backbone::Progress| {
        let percent = 100 * progress.loaded / progress.total.max(1);
        stage(&format!("the model: {percent}%"));
    };
    let backbone = Backbone::load_with_progress(path, &load, progress).map_err(LoadError::model(path))?;
    if matches!(weights, WeightFormat::Int8 | WeightFormat::Int4) && backbone.step_bytes().is_none() {
        tracing::warn!(model = %path.display(), "weights stay as they are: fewer bits are for llama and qwen2 models on a CPU");
    }
    if precision == Precision::Int8 && weights != WeightFormat::Full && backbone.precision() != "int8" {
        tracing::warn!(model = %path.display(), "computes in bf16: int8 is for llama and qwen2 models on a CPU");
    }
    Ok(backbone)
}

/// Loads what stands before the frozen LLM's first layer, and finds the servers that have the rest.
pub(crate) fn start_remote(
    path: &Path,
    precision: Precision,
    remote: &RemoteOptions,
    stage: &dyn Fn(&str),
) -> Result<Generator, LoadError> {
    stage("the embedding table");
    let load = LoadOptions {
        device: DeviceChoice::Cpu,
        // Nothing is computed in it here: it is the kind of numbers that are sent.
        dtype: match precision {
            Precision::Auto => DtypeChoice::Bf16,
            precision => precision.choice(),
        },
        ..LoadOptions::default()
    };
    let embedder = Arc::new(Embedder::load(path, &load).map_err(LoadError::model(path))?);
    stage("the model's servers");
    Ok(Generator::remote(embedder, remote.clone())?)
}

impl Precision {
    fn choice(self) -> DtypeChoice {
        match self {
            Self::Auto => DtypeChoice::Auto,
            Self::F32 => DtypeChoice::F32,
            Self::Bf16 => DtypeChoice::Bf16,
            Self::Int8 => DtypeChoice::Int8,
        }
    }
}

/// What a caller may know of it.
pub(crate) fn model_info(path: &Path, generator: &Generator) -> ModelInfo {
    let endpoints: Vec<_> = generator
        .endpoints()
        .into_iter()
        .map(|endpoint| {
            format!(
                "{} ({})",
                endpoint.address,
                endpoint.model.as_deref().unwrap_or("not up")
            )
        })
        .collect();
    let embedder = generator.embedder();
    let device = if endpoints.is_empty() {
        format!("{:?}", embedder.device()).to_lowercase()
    } else {
        endpoints.join(", ")
    };
    let precision = generator.precision().to_owned();
    described(path, embedder, generator.context(), (precision, device))
}

/// [`ModelInfo`] of a model with this context, in tokens, that computes in such numbers on this device.
pub(crate) fn described(
    path: &Path,
    embedder: &Embedder,
    context: usize,
    (precision, device): (String, String),
) -> ModelInfo {
    let (config, fingerprint) = (embedder.config(), embedder.fingerprint());
    let name = path.file_stem().unwrap_or(path.as_os_str());
    ModelInfo {
        name: name.to_string_lossy().into_owned(),
        family: config.family.name().to_owned(),
        hidden_size: config.hidden_size,
        context,
        embedding_sha256: fingerprint.embedding_sha256.clone(),
        tokenizer_sha256: fingerprint.tokenizer_sha256.clone(),
        precision,
        device,
    }
}
