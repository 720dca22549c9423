//! `transducer-host bench`: load on a running server, and how it bears it.
//!
//! With `--rate` requests come as people send them, at random times that do not depend on the answers (an open loop, a Poisson
//! process), and a request's time counts from when it was due: a server that falls behind does not slow down its own
//! test. With `--concurrency` each of so many clients sends its next request when it has its answer (a closed loop).

mod client;
mod figures;
mod plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use self::client::{Client, Done};
use self::figures::Figures;
use self::plan::Plan;
use crate::bundles::print_json;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = FILE)]
pub struct Args {
    /// The server: http://127.0.0.1:8077
    url: String,

    /// The adapters that are asked, each as often as any other [default: all that answer]
    #[arg(long = "adapter", value_name = "NAME", num_args = 1..)]
    adapters: Vec<String>,

    /// Requests, as JSON lines [default: the adapters' own examples]
    #[arg(long, value_name = "FILE")]
    requests: Option<std::path::PathBuf>,

    /// Requests a second, at random times
    #[arg(long, value_name = "N", conflicts_with = "concurrency")]
    rate: Option<f64>,

    /// Clients that each wait for their answer before they send the next request
    #[arg(long, value_name = "N", default_value_t = 1)]
    concurrency: usize,

    /// How long requests are sent, in seconds; their answers are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,

    /// Longest time for one answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    time_limit: f64,

    /// The same seed sends the same requests at the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The key, where the server takes one
    #[arg(long, env = "TRANSDUCER_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,

    /// A certificate to trust beside those of the system, in PEM
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<std::path::PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const FILE: &str = "\
A line of the requests' file is {\"adapter\": \"NAME\", \"request\": {…}}; without \"adapter\" it goes to every adapter.
Ctrl-C ends the test early, and prints what there is.";

/// Runs the load and prints the figures.
///
/// # Errors
/// Where there is nobody to ask, or nothing to ask them.
pub fn run(args: &Args) -> Result<()> {
    for (flag, value) in [
        ("--duration", args.duration),
        ("--time-limit", args.time_limit),
        ("--rate", args.rate.unwrap_or(1.0)),
    ] {
        if !(value > 0.0 && value <= 1e6) {
            bail!("{flag} is {value}, expected more than 0 and at most a million");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(load(args));
    // Answers that nobody waits for any more are given up.
    runtime.shutdown_background();
    let figures = figures?;
    if args.json {
        print_json(&serde_json::to_value(&figures)?)?;
    } else {
        figures.print(&mut std::io::stdout().lock())?;
    }
    if figures.answered == 0 {
        bail!("no request was answered");
    }
    Ok(())
}

async fn load(args: &Args) -> Result<Figures> {
    let limit = Duration::from_secs_f64(args.time_limit);
    let client = Arc::new(Client::new(
        &args.url,
        args.key.as_deref(),
        args.ca_cert.as_deref(),
        limit,
    )?);
    let known = client
        .get("/v1/adapters")
        .await
        .context("cannot ask the server what it has")?;
    let plan = Arc::new(Plan::new(&known, &args.adapters, args.requests.as_deref())?);
    let duration = Duration::from_secs_f64(args.duration);
    let (sender, mut done) = mpsc::unbounded_channel();
    let sent = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let sending = match args.rate {
        Some(rate) => tokio::spawn(open(
            args.seed,
            rate,
            begun + duration,
            client,
            plan,
            sender,
            sent.clone(),
        )),
        None => tokio::spawn(closed(
            args.seed,
            args.concurrency.max(1),
            begun + duration,
            client,
            plan,
            sender,
            sent.clone(),
        )),
    };

    let bar = ProgressBar::new(duration.as_millis() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {msg}")?);
    let mut all: Vec<Done> = Vec::new();
    let (mut failed, mut interrupted) = (0, false);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            next = done.recv() => match next {
                // Everybody who sends is done.
                None => break,
                Some(next) => {
                    failed += usize::from(next.result.is_err());
                    all.push(next);
                }
            },
            _ = tick.tick() => {
                bar.set_position((begun.elapsed().as_millis() as u64).min(duration.as_millis() as u64));
                bar.set_message(format!("{} sent, {} answered, {failed} failed", sent.load(Ordering::Relaxed), all.len() - failed));
            }
            _ = tokio::signal::ctrl_c() => {
                interrupted = true;
                sending.abort();
                break;
            }
        }
    }
    bar.finish_and_clear();
    let took = begun.elapsed();
    Ok(Figures::new(
        args.rate,
        sent.load(Ordering::Relaxed),
        took,
        interrupted,
        &all,
    ))
}

type Ended = mpsc::UnboundedSender<Done>;

/// Requests at random times, whatever becomes of those before.
async fn open(
    seed: u64,
    rate: f64,
    until: Instant,
    client: Arc<Client>,
    plan: Arc<Plan>,
    ended: Ended,
    sent: Arc<AtomicUsize>,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut due = Instant::now();
    loop {
        due += plan::gap(&mut random, rate);
        if due >= until {
            return;
        }
        let (client, plan, ended) = (client.clone(), plan.clone(), ended.clone());
        let chosen = plan.choose(&mut random);
        tokio::time::sleep_until(due.into()).await;
        sent.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // Nobody listens any more when the test was ended early.
            let _ = ended.send(client.ask(plan.request(chosen), due).await);
        });
    }
}

/// So many clients, each with one request at a time.
async fn closed(
    seed: u64,
    clients: usize,
    until: Instant,
    client: Arc<Client>,
    plan: Arc<Plan>,
    ended: Ended,
    sent: Arc<AtomicUsize>,
) {
    for number in 0..clients {
        let (client, plan, ended, sent) = (client.clone(), plan.clone(), ended.clone(), sent.clone());
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
        tokio::spawn(async move {
            while Instant::now() < until {
                let chosen = plan.choose(&mut random);
                sent.fetch_add(1, Ordering::Relaxed);
                let done = client.ask(plan.request(chosen), Instant::now()).await;
                let refused = done.result.is_err();
                if ended.send(done).is_err() {
                    return;
                }
                if refused {
                    // A server that refuses at once would be asked a million times.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
}
