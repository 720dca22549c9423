//! `transducer-host eval`: a bundle judged by its answers to a test file.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use atomic_write_file::AtomicWriteFile;
use transducer_bundle::{Evaluation, HOST_VERSION, RecordedScore};
use transducer_host::bundles::{AdaptersDir, print_json};
use transducer_host::scores::{self, CodeArgs, Score};
use transducer_host::{Stopped, stop_flag};
use transducer_metrics::Prediction;
use transducer_mine::Similarity;
use transducer_pipeline::{EngineOptions, Workpiece, Workshop};
use transducer_train::rows::{Row, Rows, file_sha256, ids_are_unique};
use transducer_train::{Examples, Generated, export, recipe};

use crate::backbone::BackboneArgs;
use crate::options::ModelArgs;
use crate::report;
use crate::workshop::{CacheArgs, bar, precision};

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The bundle: its folder, a .tadapter file, or its name in the adapters directory
    #[arg(long, value_name = "NAME|PATH")]
    adapter: PathBuf,

    #[command(flatten)]
    adapters: AdaptersDir,

    /// Test file: JSON lines with `id`, `source` and `target`, plain or .gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Ask the frozen LLM as it is, without the bundle's weights
    #[arg(long)]
    untuned: bool,

    /// Ask only for the first N rows that fit: those that the task does not accept, or that are longer than [train] allows, are left out
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,

    /// Write every answer to this file, as JSON lines; those of a run that was stopped go to FILE.partial
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write a page with the scores and some answers, each beside its reference and its graph
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// How many answers the page shows: the best, the worst, and some between
    #[arg(long, value_name = "N", default_value_t = 30)]
    report_examples: usize,

    /// Find out how likely the model finds each reference, too: the geometric mean of the probabilities of its tokens, in percent. Differences that
    /// the metrics of generated texts are too coarse for show there first
    #[arg(long, conflicts_with_all = ["predictions", "export"])]
    likelihood: bool,

    /// Ask for nothing: judge the texts that another model generated, JSON lines with `id` and `generated`
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,

    /// Judge by themselves, too, the rows that resemble none of this training data: fewer than four of five of the words of both sources are
    /// in both
    #[arg(long, value_name = "FILE", conflicts_with = "export")]
    trained_on: Option<PathBuf>,

    /// Write the scores into the bundle's manifest, for `pack`, `inspect` and `diff`
    #[arg(long, conflicts_with_all = ["untuned", "predictions", "export"])]
    record: bool,

    /// Print the scores as one JSON object
    #[arg(long)]
    json: bool,

    /// Ask for nothing: write the prompts, as token ids, as JSON lines, for other models
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,

    #[command(flatten)]
    code: CodeArgs,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    backbone: BackboneArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = stop_flag()?;
    let bundle = args.adapters.find(&args.adapter)?;
    if args.record && !bundle.is_dir() {
        bail!(
            "{} is packed: --record writes into a bundle's folder, which is then packed",
            bundle.display()
        );
    }
    // Before the work: hours of it are lost on a file that cannot be written, or on rows whose answers nobody can tell apart.
    for path in [&args.out, &args.report].into_iter().flatten() {
        can_be_written(path)?;
    }
    ids_are_unique(&args.data)?;
    let remote = args.backbone.options(EngineOptions::default().queue_bound)?;
    let workshop = args.model.load_with(remote)?;
    if args.likelihood {
        workshop.backbone().context("--likelihood asks for more than texts")?;
    }
    let piece = workshop.open(&bundle)?;
    // Of what is judged, and not of what the files have become once all is answered.
    let data_sha256 = args.record.then(|| file_sha256(&args.data)).transpose()?;
    let examples = args.cache.prepare(&workshop, &piece, &args.data, stop)?;
    if let Some(path) = &args.export {
        let count = export::evaluation(&examples, args.limit, path)?;
        eprintln!("{count} prompts written to {}", path.display());
        return Ok(());
    }
    let others = args.predictions.is_some();
    let transducer = if args.untuned || others {
        None
    } else {
        workshop.transducer(&piece)?
    };
    if transducer.is_none() && !args.untuned && !others {
        bail!(
            "{} has no weights: train it, or give --untuned to ask the frozen LLM",
            args.adapter.display()
        );
    }
    let evaluation = transducer_train::Evaluation {
        workshop: &workshop,
        piece: &piece,
        transducer: transducer.as_ref(),
        examples: &examples,
        count: args.limit,
        likelihood: args.likelihood,
        stop,
    };
    // Read before anything is asked, which may take long.
    let training = args
        .trained_on
        .as_deref()
        .map(|path| Rows::open(path)?.take(usize::MAX));
    let training = training.transpose()?;
    let count = examples.len().min(args.limit);
    let predictions = match &args.predictions {
        Some(path) => evaluation.finish_all(path, generated(path)?)?,
        None => predict(&evaluation, count)?,
    };
    if !others && predictions.len() < count {
        let made = format!("{} of {count} answers were made, and are not judged", predictions.len());
        let kept = args.out.as_deref().map(|path| set_aside(path, &predictions));
        let kept = kept.transpose()?.flatten();
        let kept = kept.map(|path| format!("; they are in {}", path.display()));
        return Err(Stopped(made + &kept.unwrap_or_default()).into());
    }
    // Where they cannot be written after all, there are their scores still.
    let written = args
        .out
        .as_deref()
        .map(|path| transducer_metrics::write(path, &predictions));
    let scores = scores::of(&predictions, &args.code.metrics());
    let unseen = training.map(|training| unseen(&predictions, &args.data, &training));
    let unseen = unseen.transpose()?;
    let of_unseen = |rows: &[Prediction]| {
        // Nothing has no score.
        let metrics = if rows.is_empty() {
            Vec::new()
        } else {
            args.code.metrics()
        };
        scores::of(rows, &metrics)
    };
    if args.json {
        let left_out = examples.left_out().iter();
        let left_out: BTreeMap<String, usize> = left_out.map(|(why, count)| (why.to_string(), *count)).collect();
        let mut facts = serde_json::json!({
            "adapter": piece.manifest.name, "tuned": transducer.is_some(), "data": args.data,
            "rows": predictions.len(), "left_out": left_out, "metrics": scores,
        });
        // What another model computed with is its own affair.
        if !others {
            facts["precision"] = precision(&workshop).into();
        }
        if let Some(rows) = &unseen {
            facts["unseen"] = serde_json::json!({"rows": rows.len(), "metrics": of_unseen(rows)});
        }
        print_json(&facts)?;
    } else {
        let mut out = std::io::stdout().lock();
        write!(out, "{}", scores::table(&scores))?;
        if let (Some(rows), Some(data)) = (&unseen, &args.trained_on) {
            let (count, all) = (rows.len(), predictions.len());
            write!(
                out,
                "\n{count} of {all} rows resemble none of {}\n{}",
                data.display(),
                scores::table(&of_unseen(rows))
            )?;
        }
    }
    written.transpose()?;
    if let Some(data_sha256) = data_sha256 {
        let evaluation = record(data_sha256, (&workshop, &piece), &examples, predictions.len(), &scores)?;
        recipe::put_evaluation(&piece.dir, &evaluation)?;
    }
    if let Some(path) = &args.report {
        let model = workshop.model();
        let weights = match (others, &transducer) {
            (true, _) => "another model's answers".to_owned(),
            (false, None) => "none: the frozen LLM".to_owned(),
            (false, Some(transducer)) => format!("{} parameters", transducer.parameter_count()),
        };
        let facts = [
            ("adapter", format!("{} {}", piece.manifest.name, piece.manifest.version)),
            ("weights", weights),
            ("model", format!("{}, {}", model.name, model.precision)),
            ("data", args.data.display().to_string()),
            ("left out", format!("{} rows of the data", left_out(&examples))),
        ];
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
        report::write(
            path,
            (&workshop, &piece),
            &facts,
            &predictions,
            &scores,
            args.report_examples,
        )?;
    }
    Ok(())
}

/// Tries whether a file can be put there; nothing of it stays. What is there and no file, such as /dev/stdout, is not tried: a pipe would wait
/// for its reader.
fn can_be_written(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
    if is_no_file(path) {
        return Ok(());
    }
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let tried = AtomicWriteFile::open(whole).and_then(AtomicWriteFile::discard);
    tried.with_context(|| format!("cannot write {}", path.display()))
}

/// Whether something else than a file is there, of which nothing can be kept.
fn is_no_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// Writes the answers of a run that was stopped beside the file that is for all of them, which may be there from a run before. Says where
/// they are, if there are any.
fn set_aside(path: &Path, predictions: &[Prediction]) -> Result<Option<PathBuf>> {
    if predictions.is_empty() || is_no_file(path) {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    transducer_metrics::write(&partial, predictions)?;
    Ok(Some(partial))
}

/// How many rows of the data are never asked for.
fn left_out(examples: &Examples) -> usize {
    examples.left_out().values().sum()
}

/// The predictions for the rows of `data` whose sources are no near-duplicates of any in the training data.
fn unseen(predictions: &[Prediction], data: &Path, training: &[Row]) -> Result<Vec<Prediction>> {
    let rows = Rows::open(data)?.take(usize::MAX)?;
    let sources: HashMap<&str, &str> = rows.iter().map(|row| (&row.id[..], &row.source[..])).collect();
    let source = |prediction: &Prediction| {
        let source = sources.get(&prediction.id[..]).copied();
        source.with_context(|| format!("{} has no row {:?} any more", data.display(), prediction.id))
    };
    let sources: Vec<&str> = predictions.iter().map(source).collect::<Result<_>>()?;
    let training: Vec<&str> = training.iter().map(|row| &row.source[..]).collect();
    let resembling = transducer_mine::resembling(&sources, &training, Similarity::DEFAULT);
    let unseen = predictions.iter().zip(resembling).filter(|(_, resembles)| !resembles);
    Ok(unseen.map(|(prediction, _)| prediction.clone()).collect())
}

/// The scores as a manifest has them: what a person would read, not the last digit that a machine computed.
fn record(
    data_sha256: String,
    (workshop, piece): (&Workshop, &Workpiece),
    examples: &Examples,
    rows: usize,
    scores: &BTreeMap<String, Score>,
) -> Result<Evaluation> {
    let weights_sha256 = piece.weights_sha256().context("the bundle has no weights")?;
    let round = |number: f64| (number * 100.0).round() / 100.0;
    let score = |(name, score): (&String, &Score)| {
        let recorded = RecordedScore {
            value: round(score.value),
            low: round(score.low),
            high: round(score.high),
        };
        (name.clone(), recorded)
    };
    Ok(Evaluation {
        data_sha256,
        rows: u32::try_from(rows)?,
        weights_sha256,
        host: HOST_VERSION.to_owned(),
        precision: Some(precision(workshop).to_owned()),
        left_out: Some(u32::try_from(left_out(examples))?),
        scores: scores.iter().map(score).collect(),
    })
}

/// Every answer, under a bar.
fn predict(evaluation: &transducer_train::Evaluation<'_>, count: usize) -> Result<Vec<Prediction>> {
    let bar = bar(count as u64, "{wide_bar} {pos} of {len} answers, {eta} left")?;
    let predictions = evaluation.predict(&mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(predictions)
}

fn generated(path: &Path) -> Result<Vec<Generated>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {number}", path.display()))
    };
    (1..).zip(text.lines()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{can_be_written, set_aside};
    use transducer_metrics::Prediction;

    #[test]
    fn answers_of_a_stopped_run_lie_beside_those_of_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        std::fs::write(&path, "whole").unwrap();
        assert_eq!(set_aside(&path, &[]).unwrap(), None);
        let text = || "x".to_owned();
        let prediction = Prediction {
            id: text(),
            source: text(),
            reference: text(),
            generated: text(),
            answer: text(),
            scores: [].into(),
            likelihood: None,
        };
        let partial = set_aside(&path, std::slice::from_ref(&prediction)).unwrap().unwrap();
        assert_eq!(partial, dir.path().join("a.jsonl.partial"));
        assert_eq!(transducer_metrics::read(&partial).unwrap(), [prediction]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_file_is_tried_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        can_be_written(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(&path, "whole").unwrap();
        can_be_written(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        // A link is where it leads to, and what is no file is not touched at all.
        let (link, pipe) = (dir.path().join("link"), dir.path().join("pipe"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        can_be_written(&link).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        can_be_written(&pipe).unwrap();
        for wrong in [dir.path().to_owned(), dir.path().join("none/a.jsonl")] {
            let error = can_be_written(&wrong).unwrap_err().to_string();
            assert!(error.starts_with("cannot write "), "{error}");
        }
    }
}
