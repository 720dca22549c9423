//! `transducer-host-llm`: the commands that need the frozen LLM. `transducer-host` starts it; its arguments are the same.

mod adapters;
mod backbone;
mod cases;
mod config;
mod dev;
mod eval;
mod options;
mod pack;
mod report;
mod run;
mod serve;
mod test;
mod train;
mod verify;
mod workshop;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use transducer_host::{LogArgs, about, exit_code};

use crate::config::Parsed;

/// The commands of `transducer-host` that need the LLM; call that program instead.
#[derive(Parser)]
#[command(
    name = "transducer-host",
    bin_name = "transducer-host",
    version,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Task {
    #[command(about = about::RUN)]
    Run(run::Args),
    #[command(about = about::SERVE)]
    Serve(serve::Args),
    #[command(about = about::TEST)]
    Test(test::Args),
    #[command(about = about::DEV)]
    Dev(dev::Args),
    #[command(about = about::ADAPTERS)]
    Adapters(adapters::Args),
    #[command(about = about::PACK)]
    Pack(pack::Args),
    #[command(about = about::VERIFY)]
    Verify(verify::Args),
    #[command(about = about::TRAIN)]
    Train(train::Args),
    #[command(about = about::EVAL)]
    Eval(eval::Args),
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match config::parse(&args) {
        Ok(Parsed { effective: None, cli }) => cli,
        Ok(Parsed {
            effective: Some(text), ..
        }) => {
            let told = write!(std::io::stdout(), "{text}");
            return exit_code(told.map_err(anyhow::Error::from));
        }
        Err(error) => return exit_code(Err(error)),
    };
    let usual = if matches!(cli.task, Task::Serve(_) | Task::Dev(_)) {
        "info"
    } else {
        "warn"
    };
    let result = cli.log.start(usual).and_then(|()| match cli.task {
        Task::Run(args) => run::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Serve(args) => serve::run(&args),
        Task::Dev(args) => dev::run(&args),
        Task::Adapters(args) => adapters::run(&args),
        Task::Pack(args) => pack::run(&args),
        Task::Verify(args) => verify::run(&args),
        Task::Eval(args) => eval::run(&args),
        Task::Train(args) => train::run(&args),
    });
    exit_code(result)
}
