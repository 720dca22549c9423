//! `transducer-host run`: one adapter, one file.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use transducer_pipeline::{AdapterState, Answer, CancelToken, Event, Host, Request, Service};

use crate::options::HostArgs;
use transducer_host::SourceArgs;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Name of the adapter
    #[arg(long, value_name = "NAME")]
    adapter: String,

    #[command(flatten)]
    source: SourceArgs,

    /// Another field of the request, beside `code` and `language`; may be repeated
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,

    /// Print the whole answer as one JSON object
    #[arg(long)]
    json: bool,

    /// Print the time of each stage to standard error
    #[arg(long)]
    timings: bool,

    #[command(flatten)]
    host: HostArgs,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let host = args.host.load()?;
    let source = args.source.read(host.front_ends())?;
    if source.text.trim().is_empty() {
        bail!("{} holds no code", args.source.file.display());
    }
    let mut request = Map::new();
    request.insert("code".to_owned(), Value::String(source.text));
    if takes_language(&host, &args.adapter) {
        request.insert("language".to_owned(), Value::String(source.language));
    }
    for (key, value) in &args.fields {
        request.insert(key.clone(), Value::String(value.clone()));
    }
    let body = Value::Object(request).to_string();
    let request = Request {
        adapter: &args.adapter,
        body: &body,
        cancel: CancelToken::default(),
        time_limit: None,
    };

    // The raw text runs past on a terminal while the answer is made from it, and is wiped out by the answer.
    let progress = indicatif::ProgressBar::new_spinner();
    progress.enable_steady_tick(std::time::Duration::from_millis(100));
    let mut tail = String::new();
    let answer = host.answer(&request, &mut |event| {
        if let Event::Text(text) = event {
            tail.push_str(&text);
            let line = tail.lines().next_back().unwrap_or_default().to_owned();
            progress.set_message(line);
        }
        ControlFlow::Continue(())
    });
    progress.finish_and_clear();
    print(args, &answer?)
}

/// Whether the adapter's requests name the language of their code. A task for one language has no use for it.
fn takes_language(host: &Host, name: &str) -> bool {
    host.adapters()
        .into_iter()
        .filter(|adapter| adapter.name == name)
        .any(|adapter| match adapter.state {
            AdapterState::Ready(info) => info.request_schema.pointer("/properties/language").is_some(),
            AdapterState::Broken { .. } => false,
        })
}

fn print(args: &Args, answer: &Answer) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, answer).context("cannot print the answer")?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", answer.text.trim_end())?;
    }
    for diagnostic in answer.diagnostics.iter().filter(|_| !args.json) {
        eprintln!("{}: {}", diagnostic.severity, diagnostic.message);
    }
    if args.timings {
        let bold = std::io::stderr().is_terminal();
        let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        eprintln!("{on}{:<12}{:>10}{off}", "stage", "ms");
        for (stage, ms) in answer.timings.stages() {
            eprintln!("{stage:<12}{ms:>10.2}");
        }
        eprintln!("{:<12}{:>10.2}", "total", answer.timings.total_ms);
        eprintln!(
            "{} tokens in, {} out",
            answer.usage.prompt_tokens, answer.usage.completion_tokens
        );
    }
    Ok(())
}
