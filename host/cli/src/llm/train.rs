//! `transducer-host train`: a bundle's weights from examples.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use transducer_host::{Stopped, stop_flag};
use transducer_train::folder::{CHECKPOINT_FILE, CURVE_FILE};
use transducer_train::recipe::{Draft, Setting, Sources, ablation, put_weights};
use transducer_train::{DataSet, End, Event, Run, RunFolder, export, rows};

use crate::options::ModelArgs;
use crate::workshop::{CacheArgs, bar, precision};

/// What `--help` adds.
const MORE: &str = "\
Settings stand in the bundle's adapter.toml, in [train] and [transducer]; `inspect
--schema` lists them. One given here is written there before the first step, so that the
manifest always says how the weights were made; a run that is refused changes nothing.
Ctrl-C saves and ends (exit status 130); the same command goes on with the very same
sequence of examples.

Examples:
  transducer-host train adapters/summarize-java --data train.jsonl.gz --valid valid.jsonl.gz
  transducer-host train adapters/summarize-java --data train.jsonl.gz --out runs/a --ablate no-cfg";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_long_help = MORE)]
pub(crate) struct Args {
    /// The bundle's folder
    bundle: PathBuf,

    /// Examples: JSON lines with `id`, `source` and `target`, plain or .gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Examples to validate on; the weights with the lowest loss on them are kept
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,

    /// Make the weights in a copy of the bundle, its documents and cases among it, in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// A setting of the manifest, such as train.batch=8 or transducer.width=8; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<Setting>,

    /// Examples seen in all (train.examples)
    #[arg(long, value_name = "N")]
    examples: Option<u32>,

    /// Examples a step (train.batch)
    #[arg(long, value_name = "N")]
    batch: Option<u32>,

    /// Highest learning rate; what reads embeddings has 64 / their width of it (train.learning-rate)
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,

    /// Seed of weights and order (train.seed)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Take a part away: no-gve, no-abfl, no-task-tokens, no-edges, shuffled-edges, random-edges, or no-KIND for one edge kind
    /// (no-cfg, no-reaching-def). Needs --out; may be repeated
    #[arg(long, value_name = "NAME", requires = "out")]
    ablate: Vec<String>,

    /// Forget an earlier run's checkpoint
    #[arg(long)]
    restart: bool,

    /// Train nothing: write the prompts and answers, as token ids in the order of training, as JSON lines, for other trainers
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,

    /// Print one JSON object an event
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    model: ModelArgs,
}

fn setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok(Setting {
        key: key.trim().to_owned(),
        value: value.trim().to_owned(),
    })
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = stop_flag()?;
    let bundle = canonical(&args.bundle)?;
    // A model takes long to load: a file that is not there is told before.
    for data in [Some(&args.data), args.valid.as_ref()].into_iter().flatten() {
        rows::Rows::open(data)?;
    }
    let workshop = args.model.load()?;
    let edge_kinds = workshop.open(&bundle)?.manifest.transducer.edge_kinds;
    let draft = Draft::new(&args.bundle, args.out.as_deref(), &all_settings(args, &edge_kinds)?)?;
    let piece = draft.open(&workshop)?;
    let examples = args.cache.prepare(&workshop, &piece, &args.data, stop)?;
    if let Some(path) = &args.export {
        let count = export::training(&piece, &examples, path)?;
        eprintln!("{count} examples written to {}", path.display());
        return Ok(());
    }
    let validation = args
        .valid
        .as_ref()
        .map(|valid| args.cache.prepare(&workshop, &piece, valid, stop))
        .transpose()?;
    let sources = Sources {
        data: rows::file_sha256(&args.data)?,
        validation: args.valid.as_deref().map(rows::file_sha256).transpose()?,
        seed: piece.manifest.train.seed,
        precision: precision(&workshop).to_owned(),
    };
    let folder = RunFolder::take(&piece.dir)?;
    if args.restart {
        folder.forget()?;
    }
    let data_set = |(examples, sha256): (_, &String)| DataSet {
        examples,
        sha256: sha256.clone(),
    };
    let run = Run {
        workshop: &workshop,
        piece: &piece,
        folder: &folder,
        data: data_set((&examples, &sources.data)),
        validation: validation.as_ref().zip(sources.validation.as_ref()).map(data_set),
        stop,
    };
    // A run that is refused leaves the bundle as it was, weights and records of an earlier one among them.
    run.check()?;
    draft.write()?;
    let mut watch = Watch::new(args.json)?;
    let (transducer, end) = run.train(&mut |event| watch.tell(event))?;
    watch.bar.finish_and_clear();
    if end == End::Stopped {
        let checkpoint = folder.file(CHECKPOINT_FILE);
        return Err(Stopped(format!("the same command goes on from {}", checkpoint.display())).into());
    }
    let weights = put_weights(&piece.dir, &transducer, &sources)?;
    eprintln!("weights: {}", weights.display());
    eprintln!("curve:   {}", folder.file(CURVE_FILE).display());
    Ok(())
}

fn canonical(dir: &Path) -> Result<PathBuf> {
    let whole = dir.canonicalize().with_context(|| format!("{}", dir.display()))?;
    ensure!(
        whole.is_dir(),
        "{} is a file: weights are made in a bundle's folder",
        dir.display()
    );
    Ok(whole)
}

/// What was asked for on the command line; what stands later wins.
fn all_settings(args: &Args, edge_kinds: &[String]) -> Result<Vec<Setting>> {
    let flags = [
        ("train.examples", args.examples.map(|value| value.to_string())),
        ("train.batch", args.batch.map(|value| value.to_string())),
        ("train.learning-rate", args.learning_rate.map(|value| value.to_string())),
        ("train.seed", args.seed.map(|value| value.to_string())),
    ];
    let flags = flags.into_iter().filter_map(|(key, value)| {
        let key = key.to_owned();
        value.map(|value| Setting { key, value })
    });
    let mut settings: Vec<Setting> = args.settings.iter().cloned().chain(flags).collect();
    for name in &args.ablate {
        settings.extend(ablation(name, edge_kinds).map_err(|error| anyhow!(error))?);
    }
    Ok(settings)
}

/// Shows a run: a bar, or a JSON object an event.
struct Watch {
    bar: indicatif::ProgressBar,
    json: bool,
    loss: Option<f64>,
}

impl Watch {
    fn new(json: bool) -> Result<Self> {
        let bar = bar(1, "{wide_bar} step {pos} of {len}, {msg}, {eta} left")?;
        if json {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Ok(Self { bar, json, loss: None })
    }

    fn tell(&mut self, event: &Event) {
        if self.json {
            // A reader that went away does not end a training.
            let line = serde_json::to_string(event).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        match event {
            Event::Started {
                step,
                steps,
                examples,
                parameters,
            } => {
                eprintln!("{parameters} parameters, {examples} examples, {steps} steps, {step} of them done");
                self.bar.set_length(u64::from(*steps));
                self.bar.set_position(u64::from(*step));
                self.bar.reset_eta();
            }
            Event::Step {
                step,
                loss,
                tokens,
                seconds,
                ..
            } => {
                // A mean over some twenty steps: that of one jumps.
                let mean = self.loss.map_or(*loss, |mean| 0.95 * mean + 0.05 * loss);
                self.loss = Some(mean);
                self.bar.set_position(u64::from(*step));
                self.bar
                    .set_message(format!("loss {mean:.3}, {:.0} tokens/s", *tokens as f64 / seconds));
            }
            Event::Validated {
                step,
                loss,
                best,
                scores,
                ..
            } => {
                let mark = if *best { ", the lowest so far" } else { "" };
                let scores: String = scores
                    .iter()
                    .map(|(name, score)| format!(", {name} {score:.1}"))
                    .collect();
                self.bar
                    .suspend(|| eprintln!("step {step}: validation loss {loss:.4}{mark}{scores}"));
            }
            Event::Ended {
                step,
                seconds,
                peak_mib,
                ..
            } => eprintln!("{step} steps in {seconds:.0} s, at most {peak_mib} MiB"),
        }
    }
}
