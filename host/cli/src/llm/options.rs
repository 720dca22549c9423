//! Options that the commands of the LLM share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::ProgressBar;
use transducer_host::FrontEndOptions;
use transducer_host::bundles::{CacheDir, PolicyArgs};
use transducer_pipeline::{
    EngineOptions, Host, HostOptions, Policy, Precision, RemoteOptions, ResidencyOptions, WeightFormat, Workshop,
    WorkshopOptions,
};

use crate::backbone::BackboneArgs;

const MIB: u64 = 1 << 20;

/// The frozen LLM and the adapters.
#[derive(Args, Debug)]
pub(crate) struct HostArgs {
    /// Directory of adapter bundles
    #[arg(long, env = "TRANSDUCER_ADAPTERS", value_name = "DIR", default_value = "adapters")]
    adapters: PathBuf,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    backbone: BackboneArgs,

    /// In how many bits the LLM's weights are read
    #[arg(long, env = "TRANSDUCER_WEIGHTS", value_enum, default_value_t)]
    weights: WeightsArg,

    #[command(flatten)]
    cache: CacheDir,

    /// Most answers that are made at once; more wait
    #[arg(long, env = "TRANSDUCER_MOST_RUNNING", value_name = "N", default_value_t = EngineOptions::default().most_running)]
    most_running: usize,

    /// Bind the LLM's threads to a physical core each, so that no two share one: for machines that nothing else is busy on
    #[arg(long, env = "TRANSDUCER_BIND_THREADS")]
    bind_threads: bool,

    /// Most answers that may wait; more are refused, but for an eighth more of adapters that have none waiting
    #[arg(
        long,
        env = "TRANSDUCER_QUEUE",
        value_name = "N",
        default_value_t = EngineOptions::default().queue_bound,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..)
    )]
    queue: usize,

    /// Tokens, prompts and answers, for which answers that are made at once have memory; an adapter, or the base model, leaves an eighth of
    /// it to the others
    #[arg(long, env = "TRANSDUCER_CACHE_TOKENS", value_name = "TOKENS", default_value_t = EngineOptions::default().cache_tokens)]
    cache_tokens: usize,

    /// Memory for adapters, in MiB: their weights, and the compiled task of each different component. Beyond it those that were
    /// not asked for longest are kept on disk until they are asked again
    #[arg(
        long,
        env = "TRANSDUCER_ADAPTER_MEMORY",
        value_name = "MIB",
        default_value_t = ResidencyOptions::default().memory / MIB,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    adapter_memory: u64,

    /// Tokens of a prompt that are read between two tokens of the answers made beside it
    #[arg(long, env = "TRANSDUCER_PREFILL_CHUNK", value_name = "TOKENS", default_value_t = EngineOptions::default().prefill_chunk)]
    prefill_chunk: usize,
}

/// The frozen LLM, and what reads code for it.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    /// The frozen LLM: a GGUF file (llama, qwen2), or a Hugging Face folder (these, starcoder2, gemma, t5;
    /// config.json, *.safetensors, tokenizer.json)
    #[arg(long, env = "TRANSDUCER_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// Numbers that the frozen LLM computes with
    #[arg(long, env = "TRANSDUCER_PRECISION", value_enum, default_value_t)]
    precision: PrecisionArg,

    /// Threads of the LLM [default: one a core]
    #[arg(long, env = "TRANSDUCER_THREADS", value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,

    #[command(flatten)]
    frontends: FrontEndOptions,
}

/// [`Precision`] on the command line.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum PrecisionArg {
    /// What is fastest on this machine
    #[default]
    Auto,
    /// 32 bits: exact, and twice the memory
    F32,
    /// 16 bits
    Bf16,
    /// 16 bits, and 8 for what is multiplied with packed weights (llama and qwen2 models on a CPU): fast where the CPU has AVX2 or AVX-512 VNNI.
    /// For `serve` and `run` alone
    Int8,
}

/// [`WeightFormat`] on the command line.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum WeightsArg {
    /// 4 bits where they say all that is in the weights (a GGUF file in Q4_1), else 8
    #[default]
    Auto,
    /// As --precision says
    Full,
    /// 8 bits
    Int8,
    /// 4 bits: fast, and less exact unless the file has no more itself
    Int4,
}

impl ModelArgs {
    /// Whether an LLM is named at all.
    pub(crate) fn is_named(&self) -> bool {
        self.model.is_some()
    }

    /// The front ends alone.
    pub(crate) fn front_ends(&self) -> &FrontEndOptions {
        &self.frontends
    }

    /// Loads a host of one adapters directory, under a spinner.
    pub(crate) fn host(&self, adapters: PathBuf) -> Result<Host> {
        let options = host_options(self.options()?, adapters, None);
        under_spinner(|stage| Ok(Host::load(&options, stage)?))
    }

    pub(crate) fn options(&self) -> Result<WorkshopOptions> {
        let model = self.model.clone().context(
            "no model is named: give --model PATH or set TRANSDUCER_MODEL to a GGUF file or a Hugging Face folder \
             (in a clone of the repository, `cargo xtask setup` fetches one)",
        )?;
        let precision = match self.precision {
            PrecisionArg::Auto => Precision::Auto,
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
            PrecisionArg::Int8 => Precision::Int8,
        };
        Ok(WorkshopOptions {
            model,
            front_ends: self.frontends.dir()?,
            precision,
            threads: self.threads,
            remote: None,
        })
    }

    /// Loads the LLM, the front ends and the sandbox under a spinner, which shows itself on a terminal only.
    pub(crate) fn load(&self) -> Result<Workshop> {
        self.load_with(None)
    }

    /// [`Self::load`], with servers that have the LLM's layers.
    pub(crate) fn load_with(&self, remote: Option<RemoteOptions>) -> Result<Workshop> {
        ensure!(
            !matches!(self.precision, PrecisionArg::Int8),
            "int8 (--precision, TRANSDUCER_PRECISION) is for answers that are served, by `serve` and `run`: `train` and `eval` compute in f32 \
             or bf16, or with auto in the faster of the two"
        );
        let options = WorkshopOptions {
            remote,
            ..self.options()?
        };
        under_spinner(|stage| Ok(Workshop::load(&options, stage)?))
    }
}

impl HostArgs {
    pub(crate) fn options(&self) -> Result<HostOptions> {
        let policy = self.policy.open(&self.adapters)?.map(Arc::new);
        let cache = self.cache.dir().ok();
        Ok(HostOptions {
            // Without a place for it, tasks are compiled at every start.
            compiled: cache.as_ref().map(|dir| dir.join("compiled")),
            residency: ResidencyOptions {
                memory: self.adapter_memory.saturating_mul(MIB),
                dir: cache,
            },
            weights: match self.weights {
                WeightsArg::Auto => WeightFormat::Auto,
                WeightsArg::Full => WeightFormat::Full,
                WeightsArg::Int8 => WeightFormat::Int8,
                WeightsArg::Int4 => WeightFormat::Int4,
            },
            remote: self.backbone.options(self.queue)?,
            engine: EngineOptions {
                queue_bound: self.queue,
                prefill_chunk: self.prefill_chunk,
                most_running: self.most_running,
                cache_tokens: self.cache_tokens,
                bind_threads: self.bind_threads,
            },
            ..host_options(self.model.options()?, self.adapters.clone(), policy)
        })
    }

    /// Loads the host under a spinner, which shows itself on a terminal only.
    pub(crate) fn load(&self) -> Result<Host> {
        let options = self.options()?;
        under_spinner(|stage| Ok(Host::load(&options, stage)?))
    }
}

fn host_options(model: WorkshopOptions, adapters: PathBuf, policy: Option<Arc<Policy>>) -> HostOptions {
    let WorkshopOptions {
        model,
        front_ends,
        precision,
        threads,
        remote,
    } = model;
    HostOptions {
        model,
        adapters,
        front_ends,
        precision,
        threads,
        remote,
        policy,
        ..HostOptions::default()
    }
}

/// Does what takes a moment, and shows how far it is.
fn under_spinner<T>(load: impl FnOnce(&dyn Fn(&str)) -> Result<T>) -> Result<T> {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let loaded = load(&|stage| spinner.set_message(stage.to_owned()));
    spinner.finish_and_clear();
    loaded
}
