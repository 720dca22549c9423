//! `transducer-host`: the command line. It wires the rooms together and knows nothing else.

mod commands;
mod options;
mod source;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// One frozen code LLM, many tasks.
///
/// An adapter bundle turns a request into a prompt, reads the code property graph of the code in it, rewrites the prompt's
/// input embeddings with that graph, and turns the LLM's text into an answer. The LLM itself is never tuned.
#[derive(Parser)]
#[command(name = "transducer-host", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log filter, such as `debug` or `transducer_server=debug` [default: info when serving, else warn]
    #[arg(long, global = true, env = "TRANSDUCER_LOG", value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask one adapter about one file
    Run(commands::run::Args),
    /// Serve every adapter of a directory over HTTP
    Serve(commands::serve::Args),
    /// Print the code property graph of a file
    Cpg(commands::cpg::Args),
    /// List the adapters of a directory and what is wrong with those that cannot be used
    Adapters(commands::adapters::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let usual = if matches!(cli.command, Command::Serve(_)) {
        "info"
    } else {
        "warn"
    };
    let result = log_to_stderr(cli.log.as_deref().unwrap_or(usual)).and_then(|()| match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Cpg(args) => commands::cpg::run(&args),
        Command::Adapters(args) => commands::adapters::run(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {filter:?}: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// `transducer-host cpg … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
