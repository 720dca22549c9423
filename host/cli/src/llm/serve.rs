//! `transducer-host serve`: every adapter over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use transducer_pipeline::{AdapterState, Host, HostOptions, Service};
use transducer_server::Options;

use crate::options::HostArgs;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    http: HttpArgs,

    /// Load everything, say what is broken, and end without listening; a broken bundle is a failure
    #[arg(long)]
    check: bool,

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
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().time_limit.as_secs())]
    time_limit: u64,

    /// How long running requests may go on after SIGTERM or Ctrl-C, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().drain_limit.as_secs())]
    drain_limit: u64,

    /// Most requests that are worked on at once
    #[arg(long, value_name = "N", default_value_t = Options::default().max_requests)]
    max_requests: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return check(&args.host.load()?);
    }
    serve(&args.http, args.host.options()?)
}

/// Serves until it is asked to stop.
pub(crate) fn serve(args: &HttpArgs, host_options: HostOptions) -> Result<()> {
    let options = Options {
        time_limit: Duration::from_secs(args.time_limit),
        drain_limit: Duration::from_secs(args.drain_limit),
        max_requests: args.max_requests,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: is another program there? --listen names another address",
                args.listen
            )
        })?;
        let address = listener.local_addr()?;
        eprintln!("listening on http://{address}; loading…");
        let load = move |stage: &dyn Fn(&str)| {
            let mut host = Host::load(&host_options, stage).map_err(|error| error.to_string())?;
            host.watch()
                .map_err(|error| format!("cannot watch the adapters: {error}"))?;
            Ok(Arc::new(host) as Arc<dyn Service>)
        };
        let ready = move |host: &dyn Service| announce(host, address);
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

fn announce(host: &dyn Service, address: SocketAddr) {
    describe(host);
    eprintln!("ready on http://{address}");
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

/// Ready on Ctrl-C or SIGTERM.
async fn asked_to_stop() {
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
    eprintln!("stopping: running requests may finish; once more to stop at once");
    tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
}
