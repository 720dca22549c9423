//! `transducer-host test`: a bundle's own cases.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::json;
use transducer_host::bundles::print_json;
use transducer_pipeline::{CancelToken, Host, Rehearsal, Request, Service};

use crate::cases::{CaseFile, Problem};
use crate::options::ModelArgs;

/// What `--help` adds.
const MORE: &str = "\
A case is a file cases/NAME.json of the bundle: a request, and what is expected of the prompt
that the task makes of it, of what it makes of a generated text, and of the real model's
answer. sdk/CASES.md tells the form. The task runs in the sandbox with the front ends, as in a
host; only a case that says something of the answer needs the model, and is otherwise skipped.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub(crate) struct Args {
    /// The bundle's folder
    bundle: PathBuf,

    /// Run only the cases whose names contain this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,

    /// Write what is found into the cases in place of what was expected; read it before you keep it
    #[arg(long)]
    bless: bool,

    /// Leave out what needs the model
    #[arg(long)]
    no_model: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelArgs,
}

/// What became of one case.
#[derive(Serialize)]
struct Outcome {
    case: String,
    title: Option<String>,
    passed: bool,
    /// Whether the file was changed by `--bless`.
    blessed: bool,
    /// Whether what it says of the answer was left out.
    skipped: bool,
    problems: Vec<Problem>,
    #[serde(skip)]
    parts: [Part; 3],
}

/// A column of the table: `prepare`, `finish`, `answer`.
#[derive(Clone, Copy)]
enum Part {
    Absent,
    Ran,
    Skipped,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = &args.bundle;
    let front_ends = Arc::new(args.model.front_ends().load()?);
    let place = Place::of(bundle)?;
    let task = Rehearsal::open(&place.bundle, front_ends);
    let task = task.with_context(|| format!("{} cannot be tested", bundle.display()))?;
    let mut files = CaseFile::all(bundle, &args.filter)?;
    let wants_model = files.iter().any(|file| file.case.answer.is_some());
    let model = match wants_model && !args.no_model && args.model.is_named() {
        true => Some(Model::load(args, &task, &place)?),
        false => None,
    };
    let mut outcomes = Vec::new();
    for file in &mut files {
        outcomes.push(outcome(file, &task, model.as_ref(), args.bless)?);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let skipped = outcomes.iter().filter(|outcome| outcome.skipped).count();
    if args.json {
        print_json(&json!({
            "adapter": task.manifest().name.as_str(), "cases": outcomes, "passed": outcomes.len() - failed,
            "failed": failed, "skipped_answers": skipped,
        }))?;
    } else {
        print(&outcomes, skipped, args.no_model)?;
    }
    if failed > 0 {
        bail!("{failed} of {} cases of {} failed", outcomes.len(), bundle.display());
    }
    Ok(())
}

/// An adapters directory with this one bundle under its own name: sources may lie in a folder of any name.
struct Place {
    bundle: PathBuf,
    /// Gone with this.
    folder: tempfile::TempDir,
}

impl Place {
    fn of(bundle: &Path) -> Result<Self> {
        let real =
            std::fs::canonicalize(bundle).with_context(|| format!("there is no bundle at {}", bundle.display()))?;
        let manifest = std::fs::read_to_string(real.join("adapter.toml"));
        let manifest = manifest.ok().and_then(|text| text.parse::<toml::Table>().ok());
        let name = manifest
            .as_ref()
            .and_then(|manifest| manifest.get("adapter")?.get("name")?.as_str());
        // A name that is none, or none at all, is for the bundle's own check to refuse.
        let plain = |name: &&str| !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
        let own = real.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.filter(plain).map(str::to_owned).or(own).unwrap_or_default();
        let folder = tempfile::tempdir().context("cannot make a folder for the bundle to be served from")?;
        let link = folder.path().join(&name);
        std::os::unix::fs::symlink(&real, &link).with_context(|| format!("cannot link to {}", real.display()))?;
        Ok(Self { bundle: link, folder })
    }
}

/// The real LLM, serving this one bundle.
struct Model {
    host: Host,
    name: String,
}

impl Model {
    fn load(args: &Args, task: &Rehearsal, place: &Place) -> Result<Self> {
        Ok(Self {
            host: args.model.host(place.folder.path().to_owned())?,
            name: task.manifest().name.to_string(),
        })
    }

    /// The answer's text and the codes of its diagnostics.
    fn answer(&self, body: &str) -> Result<(String, Vec<String>)> {
        let request = Request {
            adapter: &self.name,
            body,
            cancel: CancelToken::default(),
            time_limit: None,
        };
        let answer = self.host.answer(&request, &mut |_| ControlFlow::Continue(()))?;
        let codes = answer.diagnostics.into_iter().map(|diagnostic| diagnostic.code);
        Ok((answer.text, codes.collect()))
    }
}

fn outcome(file: &mut CaseFile, task: &Rehearsal, model: Option<&Model>, bless: bool) -> Result<Outcome> {
    let mut problems = file.case.check(task, bless);
    let mut parts = [Part::Ran, Part::Ran, Part::Absent];
    if file.case.finish.is_empty() {
        parts[1] = Part::Absent;
    }
    if let Some(expected) = &file.case.answer {
        parts[2] = Part::Skipped;
        // Without a prompt there is nothing to ask.
        if let Some(model) = model.filter(|_| problems.iter().all(|problem| !problem.at.starts_with("prepare"))) {
            parts[2] = Part::Ran;
            match model.answer(&file.case.request.to_string()) {
                Ok((text, codes)) => problems.extend(expected.check(&text, &codes)),
                Err(error) => problems.push(Problem {
                    at: "answer".to_owned(),
                    message: format!("an error: {error}"),
                }),
            }
        }
    }
    Ok(Outcome {
        case: file.name.clone(),
        title: file.case.title.clone(),
        passed: problems.is_empty(),
        blessed: bless && file.write()?,
        skipped: matches!(parts[2], Part::Skipped),
        problems,
        parts,
    })
}

/// The table, and below it what is wrong.
fn print(outcomes: &[Outcome], skipped: usize, on_purpose: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let width = outcomes.iter().map(|outcome| outcome.case.chars().count()).max();
    let width = width.unwrap_or_default().max(4) + 2;
    writeln!(out, "{:<width$}{:<10}{:<10}answer", "case", "prepare", "finish")?;
    for outcome in outcomes {
        let of = |part: Part, name: &str| match part {
            Part::Absent => "-",
            Part::Skipped => "skipped",
            Part::Ran if outcome.problems.iter().any(|problem| problem.at.starts_with(name)) => "FAILED",
            Part::Ran => "ok",
        };
        let [prepare, finish, answer] = outcome.parts;
        let cells = [of(prepare, "prepare"), of(finish, "finish"), of(answer, "answer")];
        let blessed = if outcome.blessed { "  blessed" } else { "" };
        let line = format!(
            "{:<width$}{:<10}{:<10}{}{blessed}",
            outcome.case, cells[0], cells[1], cells[2]
        );
        writeln!(out, "{line}")?;
    }
    for outcome in outcomes {
        for Problem { at, message } in &outcome.problems {
            let at = if at.is_empty() {
                String::new()
            } else {
                format!("{at}: ")
            };
            writeln!(out, "\n{}: {at}{}", outcome.case, message.trim_end())?;
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    write!(
        out,
        "\n{} cases: {} passed, {failed} failed",
        outcomes.len(),
        outcomes.len() - failed
    )?;
    match (skipped, on_purpose) {
        (0, _) => writeln!(out)?,
        (skipped, true) => writeln!(out, "; {skipped} answers left out (--no-model)")?,
        (skipped, false) => writeln!(out, "; {skipped} answers left out: name a model with --model")?,
    }
    Ok(())
}
