//! The training loop.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::Serialize;
use transducer_bundle::{Edges, Schedule, Train};
use transducer_core::Transducer;
use transducer_metrics::{Metric, Pair, Prediction, Scored};
use transducer_pipeline::{Workpiece, Workshop};

use crate::adamw::{self, Slot};
use crate::checkpoint::{self, State};
use crate::edges::with_edges;
use crate::evaluate::Evaluation;
use crate::example::Example;
use crate::folder::{BEST_FILE, CHECKPOINT_FILE, CURVE_FILE, LOG_FILE, RunFolder};
use crate::loss::{Loss, loss};
use crate::order::Order;
use crate::store::Examples;
use crate::{TrainError, curve};

/// Seconds between two checkpoints: what a power failure may cost.
const SAVE_EVERY: f64 = 60.0;

/// How many numbers a matrix reads before its learning rate is less than the run's: a transducer's own vectors are at most so wide.
const READS: f64 = 64.0;

/// The setting of a checkpoint that names the validation data: losses of other data say nothing beside each other.
const VALIDATION: &str = "validation";

/// What generated answers are scored by while a run is going on: one metric that rises early, one of phrases, one of all or
/// nothing.
const SHOWN: [Metric; 3] = [Metric::Chrf, Metric::Bleu, Metric::ExactMatch];

/// What happens in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins, or goes on.
    Started {
        /// Steps done before.
        step: u32,
        /// Steps in all.
        steps: u32,
        /// Examples to train on.
        examples: usize,
        /// Trainable parameters.
        parameters: usize,
    },
    /// A step is done.
    Step {
        /// Its number, from 1.
        step: u32,
        /// Mean negative log-likelihood of an answer token.
        loss: f64,
        /// The learning rate.
        rate: f64,
        /// Norm of the gradient before it was clipped.
        gradient: f64,
        /// Tokens of prompts and answers, without padding.
        tokens: usize,
        /// How long it took.
        seconds: f64,
    },
    /// The validation loss was computed.
    Validated {
        /// After this step.
        step: u32,
        /// Mean negative log-likelihood of an answer token.
        loss: f64,
        /// Whether it is the lowest so far.
        best: bool,
        /// Scores of generated answers, where the settings ask for some and all of them were made: 0 to 100, by the metric's name.
        scores: BTreeMap<&'static str, f64>,
        /// How long it took.
        seconds: f64,
    },
    /// The run is over, or was stopped and can go on.
    Ended {
        /// Steps done.
        step: u32,
        /// Why.
        reason: End,
        /// Seconds of training in all, earlier parts of the run included.
        seconds: f64,
        /// Most memory that the process had, in MiB.
        peak_mib: u64,
    },
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All steps are done.
    Finished,
    /// The validation loss did not get better any more.
    NoProgress,
    /// It was asked to stop, and can go on.
    Stopped,
}

/// Prepared examples, and the file that they were made of.
pub struct DataSet<'a> {
    /// The examples.
    pub examples: &'a Examples,
    /// SHA-256 of the file, for the checkpoint.
    pub sha256: String,
}

/// What a run works with.
pub struct Run<'a> {
    /// The frozen LLM and the rooms around it.
    pub workshop: &'a Workshop,
    /// The bundle whose weights are made; its manifest has the settings.
    pub piece: &'a Workpiece,
    /// The bundle's run folder.
    pub folder: &'a RunFolder,
    /// What to train on.
    pub data: DataSet<'a>,
    /// What to validate on.
    pub validation: Option<DataSet<'a>>,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

impl Run<'_> {
    /// Looks whether the run can begin, or go on where a checkpoint stands. It writes nothing.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] for a checkpoint of other settings, [`TrainError::NoBest`] for one whose best weights are gone, and what
    /// is wrong with a damaged one or with the transducer's shape.
    pub fn check(&self) -> Result<(), TrainError> {
        self.piece.config.validate()?;
        let last = self.folder.file(CHECKPOINT_FILE);
        if !last.exists() {
            return Ok(());
        }
        let found = checkpoint::state(&last)?;
        let mut settings = self.settings();
        // Hosts before it did not keep what they validated on: such a run goes on with any.
        if found.settings.iter().all(|(key, _)| key != VALIDATION) {
            settings.retain(|(key, _)| key != VALIDATION);
        }
        if found.settings != settings {
            return Err(TrainError::OtherRun {
                difference: difference(&found.settings, &settings),
                path: last,
            });
        }
        let best = self.folder.file(BEST_FILE);
        match found.best {
            Some((_, step)) if self.validation.is_some() && !best.exists() => {
                Err(TrainError::NoBest { path: best, step })
            }
            _ => Ok(()),
        }
    }

    /// Trains, or goes on where a checkpoint of the same settings stands. The best weights (the last ones without
    /// validation) are in the run's folder afterwards, and returned.
    ///
    /// # Errors
    /// [`TrainError`]. What was done until the last checkpoint is kept.
    pub fn train(&self, watch: &mut dyn FnMut(&Event)) -> Result<(Transducer, End), TrainError> {
        self.check()?;
        let train = &self.piece.manifest.train;
        let backbone = self.workshop.backbone()?;
        let transducer = Transducer::new(self.piece.config.clone(), backbone.device(), train.seed)?;
        transducer.set_trainable(true);
        let mut slots: Vec<Slot> = transducer
            .parameters()
            .map(|(name, parameter)| {
                let rate = relative_rate(name, self.piece.config.hidden, train.task_rate);
                Slot::new(name, parameter, rate)
            })
            .collect();
        let steps = train.examples.div_ceil(train.batch);
        let mut state = State {
            step: 0,
            best: None,
            since_best: 0,
            seconds: 0.0,
            settings: self.settings(),
        };
        let (last, best_file) = (self.folder.file(CHECKPOINT_FILE), self.folder.file(BEST_FILE));
        if last.exists() {
            state = State {
                settings: state.settings,
                ..checkpoint::load(&last, &mut slots)?
            };
        }
        let log_file = self.folder.file(LOG_FILE);
        let mut log = Log::open(&log_file, state.step)?;
        let mut tell = |event: &Event| -> Result<(), TrainError> {
            log.write(event)?;
            watch(event);
            Ok(())
        };
        tell(&Event::Started {
            step: state.step,
            steps,
            examples: self.data.examples.len(),
            parameters: transducer.parameter_count(),
        })?;
        let before = state.seconds;
        let begun = Instant::now();
        let mut order = Order::new(train.seed, self.data.examples.len());
        let mut saved = (state.step, 0.0);
        let end = loop {
            if state.step == steps {
                break End::Finished;
            }
            if train.patience > 0 && state.since_best >= train.patience {
                break End::NoProgress;
            }
            if self.stop.load(Ordering::Relaxed) {
                break End::Stopped;
            }
            let event = self.step(&transducer, &mut slots, &mut order, (state.step + 1, steps), saved.0)?;
            state.step += 1;
            tell(&event)?;
            let due =
                state.step == steps || (train.validate_every > 0 && state.step.is_multiple_of(train.validate_every));
            if due && let Some(DataSet { examples, .. }) = &self.validation {
                let timer = Instant::now();
                // Before anything is kept: weights whose loss is no number are nothing to go on with.
                let loss = self.validate(&transducer, examples, (state.step, saved.0))?;
                let best = state.best.is_none_or(|(lowest, _)| loss < lowest);
                if best {
                    state.best = Some((loss, state.step));
                    state.since_best = 0;
                    transducer.save(&best_file)?;
                } else {
                    state.since_best += 1;
                }
                let scores = self.scores(&transducer, examples)?;
                tell(&Event::Validated {
                    step: state.step,
                    loss,
                    best,
                    scores,
                    seconds: timer.elapsed().as_secs_f64(),
                })?;
            }
            let elapsed = begun.elapsed().as_secs_f64();
            state.seconds = before + elapsed;
            if due || elapsed - saved.1 > SAVE_EVERY {
                checkpoint::save(&last, &state, &slots)?;
                saved = (state.step, elapsed);
            }
        };
        state.seconds = before + begun.elapsed().as_secs_f64();
        checkpoint::save(&last, &state, &slots)?;
        tell(&Event::Ended {
            step: state.step,
            reason: end,
            seconds: state.seconds,
            peak_mib: peak_mib(),
        })?;
        curve::draw(&log_file, &self.folder.file(CURVE_FILE))?;
        transducer.set_trainable(false);
        match (state.best, &self.validation) {
            (Some((_, step)), Some(_)) if !best_file.exists() => Err(TrainError::NoBest { path: best_file, step }),
            (Some(_), Some(_)) => Ok((Transducer::load(&best_file, backbone.device())?, end)),
            _ => Ok((transducer, end)),
        }
    }

    /// One step of the optimizer.
    fn step(
        &self,
        transducer: &Transducer,
        slots: &mut [Slot],
        order: &mut Order,
        (step, steps): (u32, u32),
        saved: u32,
    ) -> Result<Event, TrainError> {
        let train = &self.piece.manifest.train;
        let begun = Instant::now();
        let from = u64::from(step - 1) * u64::from(train.batch);
        let to = (from + u64::from(train.batch)).min(u64::from(train.examples));
        let examples: Vec<Example> = order
            .examples(from, to)
            .into_iter()
            .map(|index| example(self.data.examples, index, train.edges))
            .collect::<Result<_, _>>()?;
        let answers: usize = examples.iter().map(|example| example.answer.len()).sum();
        let loss = loss(
            self.workshop.backbone()?,
            Some(transducer),
            &examples,
            Some(1.0 / answers as f64),
            train.batch_tokens as usize,
        )?;
        finite("loss", &loss, &examples, (step, saved))?;
        let gradient = adamw::clip(slots, train.clip);
        if !gradient.is_finite() {
            return Err(TrainError::NotFinite {
                what: "gradient",
                value: gradient,
                step,
                ids: examples.into_iter().map(|example| example.id).collect(),
                saved,
            });
        }
        let rate = rate(train, step, steps);
        adamw::step(slots, step, rate, train.weight_decay);
        Ok(Event::Step {
            step,
            loss: loss.sum() / answers as f64,
            rate,
            gradient,
            tokens: examples.iter().map(Example::tokens).sum(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Mean negative log-likelihood of an answer token over the validation examples, after a step; the last checkpoint is of step `saved`.
    fn validate(
        &self,
        transducer: &Transducer,
        validation: &Examples,
        (step, saved): (u32, u32),
    ) -> Result<f64, TrainError> {
        let train = &self.piece.manifest.train;
        let count = validation.len().min(train.validate_examples as usize);
        let (mut sum, mut tokens) = (0.0, 0);
        // As many at a time as a step has, so that memory stays what it is.
        for start in (0..count).step_by(train.batch as usize) {
            let end = count.min(start + train.batch as usize);
            let examples: Vec<Example> = (start..end)
                .map(|index| example(validation, index, train.edges))
                .collect::<Result<_, _>>()?;
            let most = train.batch_tokens as usize;
            let part = tch::no_grad(|| loss(self.workshop.backbone()?, Some(transducer), &examples, None, most))?;
            finite("validation loss", &part, &examples, (step, saved))?;
            sum += part.sum();
            tokens += part.tokens;
        }
        Ok(sum / tokens.max(1) as f64)
    }

    /// Scores of answers to the first validation examples, generated as a host would; none where it was asked to stop before all were there.
    fn scores(
        &self,
        transducer: &Transducer,
        validation: &Examples,
    ) -> Result<BTreeMap<&'static str, f64>, TrainError> {
        let asked = self.piece.manifest.train.generate_examples as usize;
        let count = asked.min(validation.len());
        if count == 0 {
            return Ok(BTreeMap::new());
        }
        let evaluation = Evaluation {
            workshop: self.workshop,
            piece: self.piece,
            transducer: Some(transducer),
            examples: validation,
            count,
            likelihood: false,
            stop: self.stop,
        };
        let predictions = evaluation.predict(&mut |_| ())?;
        // Those that are there would be scored as if they were all.
        if predictions.len() < count {
            return Ok(BTreeMap::new());
        }
        let pairs: Vec<Pair<'_>> = predictions.iter().map(Prediction::pair).collect();
        let score = |metric: Metric| (metric.name(), Scored::new(metric, &pairs).score());
        Ok(SHOWN.into_iter().map(score).collect())
    }

    /// What a checkpoint has to agree on.
    fn settings(&self) -> Vec<(String, String)> {
        let train = &self.piece.manifest.train;
        let mut settings = vec![
            ("data".to_owned(), self.data.sha256.clone()),
            (
                VALIDATION.to_owned(),
                self.validation
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |validation| validation.sha256.clone()),
            ),
            // Another end of answers, chat template or front end makes other examples of the same data.
            ("prepared examples".to_owned(), self.data.examples.key().to_owned()),
            ("component".to_owned(), self.piece.component_sha256.clone()),
            ("model".to_owned(), self.workshop.model().embedding_sha256.clone()),
            ("precision".to_owned(), self.workshop.model().precision.clone()),
            ("transducer".to_owned(), format!("{:?}", self.piece.config)),
            // A run of a host whose rates were others does not go on with these.
            ("numbers read at the full rate".to_owned(), READS.to_string()),
        ];
        if let Ok(serde_json::Value::Object(values)) = serde_json::to_value(train) {
            settings.extend(values.into_iter().map(|(key, value)| (key, value.to_string())));
        }
        settings
    }
}

/// Looks whether the losses are numbers, after or in a step; the last checkpoint is of step `saved`.
fn finite(what: &'static str, loss: &Loss, examples: &[Example], (step, saved): (u32, u32)) -> Result<(), TrainError> {
    if loss.sum().is_finite() {
        return Ok(());
    }
    let ids = examples.iter().zip(&loss.sums).filter(|(_, sum)| !sum.is_finite());
    Err(TrainError::NotFinite {
        what,
        value: loss.sum(),
        step,
        ids: ids.map(|(example, _)| example.id.clone()).collect(),
        saved,
    })
}

/// An example, with the edges that the settings ask for.
pub(crate) fn example(examples: &Examples, index: usize, edges: Edges) -> Result<Example, TrainError> {
    let mut example = examples.get(index)?;
    if edges != Edges::Real {
        for (_, graph) in &mut example.codes {
            *graph = with_edges(edges, &example.id, graph);
        }
    }
    Ok(example)
}

/// What the learning rate is multiplied by for a parameter.
///
/// A step moves each weight by about the rate, and so what a matrix makes of `hidden` numbers by `hidden` times as much: those that read
/// the LLM's embeddings go as far a step as one that reads [`READS`] (Yang et al., arXiv 2203.03466).
fn relative_rate(name: &str, hidden: usize, task_rate: f64) -> f64 {
    match name {
        "task.vectors" => task_rate,
        "gve.down.weight" | "fusion.query.weight" => (READS / hidden as f64).min(1.0),
        _ => 1.0,
    }
}

/// The learning rate of a step, from 1 to `steps`.
fn rate(train: &Train, step: u32, steps: u32) -> f64 {
    let warmup = (train.warmup * f64::from(steps)).ceil().max(1.0);
    let step = f64::from(step);
    if step <= warmup {
        return train.learning_rate * step / warmup;
    }
    // The last step still moves: the fall ends one step after it.
    let left = (f64::from(steps) + 1.0 - step) / (f64::from(steps) + 1.0 - warmup);
    train.learning_rate
        * match train.schedule {
            Schedule::Linear => left,
            Schedule::Cosine => 0.5 * (1.0 - (std::f64::consts::PI * left).cos()),
        }
}

/// The first setting that differs.
fn difference(found: &[(String, String)], asked: &[(String, String)]) -> String {
    let other = asked.iter().find_map(|(key, value)| {
        let was = found
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, was)| was.as_str());
        (was != Some(value)).then(|| format!("{key}: it has {}, now {value}", was.unwrap_or("none")))
    });
    other.unwrap_or_else(|| "a setting that is not there any more".to_owned())
}

/// The log of a run that may have gone further than its last checkpoint.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the log; lines of steps after `step`, which are about to be done again, are taken off.
    fn open(path: &Path, step: u32) -> Result<Self, TrainError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::file(path)(error)),
        };
        let done = |line: &&str| {
            let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
            value.is_some_and(|value| value["step"].as_u64().is_some_and(|number| number <= u64::from(step)))
        };
        let kept: String = text
            .lines()
            .filter(|_| step > 0)
            .filter(done)
            .map(|line| format!("{line}\n"))
            .collect();
        checkpoint::replace(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(TrainError::file(path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let line = serde_json::to_string(event).map_err(std::io::Error::other);
        line.and_then(|line| writeln!(self.file, "{line}"))
            .map_err(TrainError::file(&self.path))
    }
}

/// Most memory that this process had, in MiB; 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

#[cfg(test)]
mod tests {
    use transducer_bundle::{Schedule, Train};

    use super::{rate, relative_rate};

    /// Whatever LLM it is for, a step changes what a matrix makes of an embedding by as much.
    #[test]
    fn what_reads_more_learns_slower() {
        for name in ["gve.down.weight", "fusion.query.weight"] {
            let moves = |hidden: usize| relative_rate(name, hidden, 5.0) * hidden as f64;
            assert_eq!(moves(576), moves(4_096));
            assert_eq!(relative_rate(name, 32, 5.0), 1.0);
        }
        // These are moved by one gradient each, or read node vectors.
        assert_eq!(relative_rate("task.vectors", 576, 5.0), 5.0);
        assert_eq!(relative_rate("fusion.output.weight", 576, 5.0), 1.0);
    }

    #[test]
    fn the_rate_rises_then_falls_to_almost_nothing() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            let train = Train {
                learning_rate: 1.0,
                warmup: 0.1,
                schedule,
                ..Train::default()
            };
            let rates: Vec<f64> = (1..=100).map(|step| rate(&train, step, 100)).collect();
            assert!((rates[0] - 0.1).abs() < 1e-12 && (rates[9] - 1.0).abs() < 1e-12);
            assert!(rates[..10].is_sorted() && rates[9..].iter().rev().is_sorted());
            assert!(rates[99] > 0.0 && rates[99] < 0.02, "{}", rates[99]);
        }
    }
}
