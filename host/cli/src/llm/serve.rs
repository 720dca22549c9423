//! `transducer-host serve`: every adapter over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use transducer_access::Gate;
use transducer_host::end_at_once;
use transducer_pipeline::{AdapterState, Host, HostOptions, Service};
use transducer_server::{Options, Tls};

use crate::options::HostArgs;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    http: HttpArgs,

    /// Load everything, say what is broken, and end without listening; a broken bundle is a failure
    #[arg(long)]
    check: bool,

    /// Settings in TOML, by the names of these flags; environment variables win over them, and flags over both
    #[arg(long, env = "TRANSDUCER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings in force, each with where it comes from, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    host: HostArgs,
}

/// How requests come in.
#[derive(clap::Args, Debug)]
pub(crate) struct HttpArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "TRANSDUCER_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8077"
    )]
    listen: SocketAddr,

    /// Longest time for one answer, in seconds
    #[arg(long, env = "TRANSDUCER_TIME_LIMIT", value_name = "SECONDS", default_value_t = Options::default().time_limit.as_secs())]
    time_limit: u64,

    /// How long running requests may go on after SIGTERM or Ctrl-C, in seconds
    #[arg(long, env = "TRANSDUCER_DRAIN_LIMIT", value_name = "SECONDS", default_value_t = Options::default().drain_limit.as_secs())]
    drain_limit: u64,

    /// Most requests that are worked on at once; the last eighth is kept for adapters that have none
    #[arg(long, env = "TRANSDUCER_MAX_REQUESTS", value_name = "N", default_value_t = Options::default().max_requests)]
    max_requests: usize,

    /// Ask for a key, one of those in this file (see `access new`); without it everybody who reaches the server may ask
    #[arg(long, env = "TRANSDUCER_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Let everybody who may ask an adapter change it over HTTP, and not only the keys of admins
    #[arg(long, env = "TRANSDUCER_ALLOW_CHANGES")]
    allow_changes: bool,

    /// Certificate in PEM, the server's own first: HTTPS instead of HTTP
    #[arg(long, env = "TRANSDUCER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Its key in PEM
    #[arg(long, env = "TRANSDUCER_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl HttpArgs {
    fn options(&self) -> Result<Options> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::open(cert, key)?),
            (None, None) => None,
            _ => bail!("--tls-cert and --tls-key belong together: give both"),
        };
        Ok(Options {
            time_limit: Duration::from_secs(self.time_limit),
            drain_limit: Duration::from_secs(self.drain_limit),
            max_requests: self.max_requests,
            keys: self.keys.as_deref().map(Gate::open).transpose()?.map(Arc::new),
            allow_changes: self.allow_changes,
            tls,
            ..Options::default()
        })
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        // What would keep it from listening is looked at too.
        args.http.options()?;
        return check(&args.host.load()?);
    }
    serve(&args.http, args.host.options()?)
}

/// Serves until it is asked to stop.
pub(crate) fn serve(args: &HttpArgs, host_options: HostOptions) -> Result<()> {
    let options = args.options()?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: is another program there? --listen names another address",
                args.listen
            )
        })?;
        let address = listener.local_addr()?;
        eprintln!("listening on {scheme}://{address}; loading…");
        let load = move |stage: &dyn Fn(&str)| {
            let mut host = Host::load(&host_options, stage).map_err(|error| error.to_string())?;
            host.watch()
                .map_err(|error| format!("cannot watch the adapters: {error}"))?;
            Ok(Arc::new(host) as Arc<dyn Service>)
        };
        let ready = move |host: &dyn Service| {
            describe(host);
            eprintln!("ready on {scheme}://{address}");
        };
        Ok(transducer_server::serve(listener, options, load, ready, asked_to_stop()).await?)
    });
    // A host that is still loading when it is asked to stop cannot be waited for.
    runtime.shutdown_background();
    served
}

/// Whether every bundle can be used.
fn check(host: &Host) -> Result<()> {
    describe(host);
    let adapters = host.adapters();
    let broken = adapters
        .iter()
        .filter(|adapter| matches!(adapter.state, AdapterState::Broken { .. }))
        .count();
    if broken > 0 {
        bail!("{broken} of {} adapters cannot be used", adapters.len());
    }
    Ok(())
}

/// The model, and each adapter or what is wrong with it.
fn describe(host: &dyn Service) {
    let model = host.model();
    eprintln!(
        "model {} ({}, {}, {})",
        model.name, model.family, model.precision, model.device
    );
    for adapter in host.adapters() {
        match adapter.state {
            AdapterState::Ready(info) => {
                let untrained = if info.trained {
                    ""
                } else {
                    " (untrained: answers as the frozen LLM does)"
                };
                eprintln!("  {} {}{untrained}: {}", adapter.name, info.version, info.summary);
            }
            AdapterState::Broken { error } => eprintln!("  {} cannot be used: {error}", adapter.name),
        }
    }
}

/// Ready on Ctrl-C or SIGTERM; the second time the program ends at once.
async fn asked_to_stop() {
    signalled().await;
    eprintln!("stopping: running requests may finish; once more to stop at once");
    tokio::spawn(async {
        signalled().await;
        end_at_once();
    });
}

async fn signalled() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            let _ = interrupt.await;
        }
    }
}
