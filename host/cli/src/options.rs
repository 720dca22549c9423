//! Options that several commands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;
use transducer_frontends::FrontEnds;
use transducer_pipeline::{Host, HostOptions, Precision};

/// Where the CPG front ends are.
#[derive(Args, Debug)]
pub(crate) struct FrontEndOptions {
    /// Directory of the CPG front ends [default: beside this program, or in ../lib/transducer-host]
    #[arg(long, env = "TRANSDUCER_FRONTENDS", value_name = "DIR")]
    frontends: Option<PathBuf>,
}

impl FrontEndOptions {
    fn dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.frontends {
            return Ok(dir.clone());
        }
        let program = std::env::current_exe().context("cannot tell where this program lies: name --frontends")?;
        let beside = program.parent().unwrap_or(Path::new("."));
        let installed = beside.join("../lib/transducer-host");
        Ok(if installed.is_dir() {
            installed
        } else {
            beside.to_owned()
        })
    }

    pub(crate) fn load(&self) -> Result<FrontEnds> {
        Ok(FrontEnds::load_dir(&self.dir()?)?)
    }
}

/// The frozen LLM and the adapters.
#[derive(Args, Debug)]
pub(crate) struct HostArgs {
    /// The frozen LLM: a GGUF file, or a Hugging Face folder (config.json, *.safetensors, tokenizer.json)
    #[arg(long, env = "TRANSDUCER_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// Directory of adapter bundles
    #[arg(long, env = "TRANSDUCER_ADAPTERS", value_name = "DIR", default_value = "adapters")]
    adapters: PathBuf,

    /// Number format of the frozen LLM's weights in memory
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionArg,

    /// Threads of the LLM [default: one a core]
    #[arg(long, value_name = "N")]
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
}

impl HostArgs {
    pub(crate) fn options(&self) -> Result<HostOptions> {
        let model = self.model.clone().context(
            "no model is named: give --model PATH or set TRANSDUCER_MODEL to a GGUF file or a Hugging Face folder \
             (in a clone of the repository, `cargo xtask setup` fetches one)",
        )?;
        let precision = match self.precision {
            PrecisionArg::Auto => Precision::Auto,
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        };
        let (adapters, threads) = (self.adapters.clone(), self.threads);
        Ok(HostOptions {
            model,
            adapters,
            front_ends: self.frontends.dir()?,
            precision,
            threads,
        })
    }

    /// Loads the host under a spinner, which shows itself on a terminal only.
    pub(crate) fn load(&self) -> Result<Host> {
        let options = self.options()?;
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(100));
        let host = Host::load(&options, &|stage| spinner.set_message(stage.to_owned()));
        spinner.finish_and_clear();
        Ok(host?)
    }
}
