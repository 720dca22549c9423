//! What the programs say of their own work.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The options of every command.
#[derive(clap::Args, Debug)]
pub struct LogArgs {
    /// Log filter, such as `debug` or `transducer_server=debug` [default: info when serving, else warn]
    #[arg(long, global = true, env = "TRANSDUCER_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// Form of the log
    #[arg(
        long,
        global = true,
        env = "TRANSDUCER_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    log_format: LogFormat,
}

/// Form of the log.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl LogArgs {
    /// Writes what passes the filter to standard error; `usual` is the filter where none is given.
    ///
    /// # Errors
    /// Where the filter is none.
    pub fn start(&self, usual: &str) -> anyhow::Result<()> {
        let filter = self.log.as_deref().unwrap_or(usual);
        let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {filter:?}: {error}"))?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
