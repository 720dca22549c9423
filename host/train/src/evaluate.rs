//! Free generation over a test file: no token of a reference is ever in reach of the decoder.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use transducer_backbone::by_length;
use transducer_core::Transducer;
use transducer_engine::{Completion, EngineError, OfflineRequest, PromptEmbeddings};
use transducer_metrics::{Likelihood, Prediction};
use transducer_pipeline::{Workpiece, Workshop};

use crate::TrainError;
use crate::example::Example;
use crate::loss::loss;
use crate::store::Examples;
use crate::trainer::example;

/// Examples whose answers are generated side by side at most: beyond some thirty rows a step of a small model takes longer
/// in proportion.
const MOST_ROWS: usize = 32;

/// Prompt tokens, padding included, of a batch: bounds the memory of its prefill.
const MOST_TOKENS: usize = 8_192;

/// Examples that are in memory at once: sorted by length, so that batches have little padding.
const WINDOW: usize = 512;

/// A text that another model generated.
#[derive(Debug, serde::Deserialize)]
pub struct Generated {
    /// The row's.
    pub id: String,
    /// The text.
    pub generated: String,
    /// How likely that model finds the reference.
    pub likelihood: Option<Likelihood>,
}

/// What judges a bundle.
pub struct Evaluation<'a> {
    /// The frozen LLM and the rooms around it.
    pub workshop: &'a Workshop,
    /// The bundle.
    pub piece: &'a Workpiece,
    /// Its weights; `None` asks the frozen LLM as it is.
    pub transducer: Option<&'a Transducer>,
    /// What to ask.
    pub examples: &'a Examples,
    /// How many of them, from the first on.
    pub count: usize,
    /// Whether to find out how likely the references are, too. It takes the LLM's layers.
    pub likelihood: bool,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

impl Evaluation<'_> {
    /// Generates every answer, and tells `done` how many there are. In the order of the examples; where it was asked to stop,
    /// of those that were done.
    ///
    /// # Errors
    /// [`TrainError`].
    pub fn predict(&self, done: &mut dyn FnMut(usize)) -> Result<Vec<Prediction>, TrainError> {
        let count = self.count.min(self.examples.len());
        let mut predictions: Vec<Option<Prediction>> = (0..count).map(|_| None).collect();
        let mut ready = 0;
        'windows: for start in (0..count).step_by(WINDOW) {
            let edges = self.piece.manifest.train.edges;
            let window: Vec<Example> = (start..count.min(start + WINDOW))
                .map(|index| example(self.examples, index, edges))
                .collect::<Result<_, _>>()?;
            let lengths: Vec<usize> = window.iter().map(|example| example.prompt.len()).collect();
            for batch in by_length(&lengths, MOST_TOKENS)
                .iter()
                .flat_map(|run| run.chunks(MOST_ROWS))
            {
                let some: Vec<&Example> = batch.iter().map(|&place| &window[place]).collect();
                let Some(made) = self.batch(&some)? else { break 'windows };
                ready += made.len();
                for (&place, prediction) in batch.iter().zip(made) {
                    predictions[start + place] = Some(prediction);
                }
                done(ready);
            }
        }
        Ok(predictions.into_iter().flatten().collect())
    }

    /// The predictions of one batch; `None` if it was asked to stop.
    fn batch(&self, examples: &[&Example]) -> Result<Option<Vec<Prediction>>, TrainError> {
        let name = self.piece.manifest.name.as_str();
        let requests: Vec<OfflineRequest> = examples
            .iter()
            .map(|example| {
                Ok(OfflineRequest {
                    prompt: self.embeddings(example)?,
                    decoding: example.decoding(name)?,
                })
            })
            .collect::<Result<_, TrainError>>()?;
        let completions = match self.workshop.generate(requests, self.stop) {
            Err(EngineError::Cancelled) if self.stop.load(Ordering::Relaxed) => return Ok(None),
            other => other?,
        };
        let finish = |(example, completion): (&&Example, Completion)| {
            let finished = self.finish(example, completion.text);
            finished.map_err(|error| error.of_row(&example.id))
        };
        let predictions = examples.iter().zip(completions).map(finish);
        let mut predictions: Vec<Prediction> = predictions.collect::<Result<_, _>>()?;
        if self.likelihood {
            for (prediction, likelihood) in predictions.iter_mut().zip(self.likelihoods(examples)?) {
                prediction.likelihood = Some(likelihood);
            }
        }
        Ok(Some(predictions))
    }

    /// How likely the references are. Nothing that is generated sees them.
    fn likelihoods(&self, examples: &[&Example]) -> Result<Vec<Likelihood>, TrainError> {
        let most = self.piece.manifest.train.batch_tokens as usize;
        let losses = tch::no_grad(|| loss(self.workshop.backbone()?, self.transducer, examples, None, most))?;
        let of = |(&loss, example): (&f64, &&Example)| Likelihood {
            loss,
            tokens: example.answer.len() as u32,
        };
        Ok(losses.sums.iter().zip(examples).map(of).collect())
    }

    /// What the task makes of texts that something else generated for the same examples, and how likely that found the references, where
    /// it says so. One stands in each line of the file at `path`.
    ///
    /// # Errors
    /// [`TrainError::Predictions`] where an example has no text, or a text no example; [`TrainError::Repeated`] where two texts have one
    /// id.
    pub fn finish_all(&self, path: &Path, generated: Vec<Generated>) -> Result<Vec<Prediction>, TrainError> {
        let wrong = |message: String| TrainError::Predictions {
            path: path.to_owned(),
            message,
        };
        let mut texts = HashMap::new();
        for (line, row) in (1..).zip(generated) {
            let id = row.id.clone();
            if let Some((first, _)) = texts.insert(id.clone(), (line, row)) {
                return Err(TrainError::Repeated {
                    path: path.to_owned(),
                    line,
                    first,
                    id,
                });
            }
        }
        let count = self.count.min(self.examples.len());
        let mut predictions = Vec::new();
        for index in 0..count {
            let example = self.examples.get(index)?;
            let text = texts.remove(&example.id);
            let (_, text) = text.ok_or_else(|| wrong(format!("it has no text for {}", example.id)))?;
            predictions.push(Prediction {
                likelihood: text.likelihood,
                ..self.finish(&example, text.generated)?
            });
        }
        match texts.into_keys().min() {
            Some(id) => Err(wrong(format!(
                "{id} is not among the first {count} rows that can be used"
            ))),
            None => Ok(predictions),
        }
    }

    /// What the task makes of a generated text, and what that is worth by the task's own metrics.
    fn finish(&self, example: &Example, generated: String) -> Result<Prediction, TrainError> {
        let finished = self.piece.finish(&example.state, &generated)?;
        let scores = self
            .workshop
            .score(self.piece, &example.state, &finished, &example.reference)?;
        let names = self.piece.metrics().map(str::to_owned);
        Ok(Prediction {
            scores: names.zip(scores).collect(),
            id: example.id.clone(),
            source: example.source.clone(),
            reference: example.reference.clone(),
            generated,
            answer: finished.text,
            likelihood: None,
        })
    }

    /// The prompt's embeddings as a host would make them.
    fn embeddings(&self, example: &Example) -> Result<PromptEmbeddings, TrainError> {
        tch::no_grad(|| {
            let embedder = self.workshop.embedder();
            let mut embeddings = embedder.embed(&example.prompt)?;
            if let Some(transducer) = self.transducer {
                let batch = transducer.batch(&[example.input(0)], example.prompt.len())?;
                embeddings = transducer.forward(&batch, &embeddings)?;
            }
            Ok(PromptEmbeddings::new(&embeddings, embedder)?)
        })
    }
}
