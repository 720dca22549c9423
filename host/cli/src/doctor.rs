//! `transducer-host doctor`: what is wrong with a set-up, and how to mend it.
//!
//! It belongs to the program that links no libtorch, so that it can say that there is none. What needs the LLM it asks the other
//! program, as a person would: `adapters --json`.

mod machine;
mod parts;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::json;

use crate::FrontEndOptions;
use crate::bundles::{AdaptersDir, CacheDir, PolicyArgs, print_json};

/// What `--help` adds.
const MORE: &str = "\
Looks at the program's parts, libtorch, the CPU, the model and the servers that have its layers
(--backbone), the front ends, the bundles of the adapters directory (each against the model), the
policy, what compiles tasks, and the disk. A line is ok, warn or fail, and what is not ok has a line on how to mend it. Ends with 1 where
something fails.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// The frozen LLM: a GGUF file, or a Hugging Face folder
    #[arg(long, env = "TRANSDUCER_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// Servers that have the LLM's layers, as `serve` takes them
    #[arg(long, env = "TRANSDUCER_BACKBONE", value_name = "URLS")]
    backbone: Option<String>,

    /// The model to ask those servers for, where they serve several
    #[arg(long, env = "TRANSDUCER_BACKBONE_MODEL", value_name = "ID")]
    backbone_model: Option<String>,

    /// File with the key that those servers ask for
    #[arg(long, env = "TRANSDUCER_BACKBONE_KEY", value_name = "FILE")]
    backbone_key: Option<PathBuf>,

    #[command(flatten)]
    frontends: FrontEndOptions,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    dir: AdaptersDir,

    #[command(flatten)]
    cache: CacheDir,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// The host works, but slower or with less than it could.
    Warn,
    /// Something does not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// The part.
    part: String,
    state: State,
    /// What was found.
    found: String,
    /// What to do; none where there is nothing to be done.
    mend: Option<String>,
}

impl Finding {
    fn ok(part: &str, found: impl Into<String>) -> Self {
        Self::new(part, State::Ok, found, None)
    }

    fn warn(part: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(part, State::Warn, found, Some(mend.into()))
    }

    fn fail(part: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(part, State::Fail, found, Some(mend.into()))
    }

    fn new(part: &str, state: State, found: impl Into<String>, mend: Option<String>) -> Self {
        Self {
            part: part.to_owned(),
            state,
            found: found.into(),
            mend,
        }
    }
}

/// Looks at everything.
///
/// # Errors
/// Where something fails.
pub fn run(args: &Args) -> Result<()> {
    let mut findings = machine::libtorch();
    let runs = findings.iter().all(|finding| finding.state != State::Fail);
    findings.extend(machine::cpu());
    findings.extend(parts::front_ends(&args.frontends));
    findings.extend(parts::policy(&args.policy, &args.dir));
    findings.extend(parts::model_and_bundles(args, runs));
    findings.extend(machine::toolchain());
    findings.extend(machine::disk(&args.cache));

    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (warnings, failures) = (count(State::Warn), count(State::Fail));
    if args.json {
        print_json(&json!({"ok": failures == 0, "findings": findings}))?;
    } else {
        let mut out = std::io::stdout().lock();
        for finding in &findings {
            let state = match finding.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "fail",
            };
            writeln!(out, "{state:<6}{:<24}{}", finding.part, finding.found)?;
            if let Some(mend) = &finding.mend {
                writeln!(out, "{:<6}{:<24}-> {mend}", "", "")?;
            }
        }
        writeln!(out, "{warnings} warnings, {failures} failures")?;
    }
    if failures > 0 {
        bail!(
            "{failures} of {} parts do not work: each has its mend beside it",
            findings.len()
        );
    }
    Ok(())
}
