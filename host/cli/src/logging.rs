//! What the programs say of their own work.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The option of every command.
#[derive(clap::Args, Debug)]
pub struct LogArgs {
    /// Log filter, such as `debug` or `transducer_server=debug` [default: info when serving, else warn]
    #[arg(long, global = true, env = "TRANSDUCER_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// Writes what passes the filter to standard error.
///
/// # Errors
/// Where the filter is none.
pub fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {filter:?}: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}
