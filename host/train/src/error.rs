//! What can go wrong in training and evaluation.

use std::path::{Path, PathBuf};

use transducer_backbone::BackboneError;
use transducer_bundle::Invalid;
use transducer_core::TransducerError;
use transducer_pipeline::{AdapterError, LoadError, RequestError};

/// Why weights were not made or not judged.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The file system said no.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A row of a data set is not of the form that is read.
    #[error("{path}, line {line}: {message}; expected one JSON object with the strings `id`, `source` and `target`")]
    Row {
        /// The data set.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Two rows have one id.
    #[error("{path}, line {line}: `{id}` is the id of line {first} too")]
    Repeated {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The line that had it first.
        first: usize,
        /// The id.
        id: String,
    },
    /// Something went wrong with one row.
    #[error("row `{id}`: {source}")]
    OfRow {
        /// The row's.
        id: String,
        /// What.
        source: Box<TrainError>,
    },
    /// Nothing is left of a data set.
    #[error("{path}: none of its {rows} rows can be used: {why}")]
    NoExamples {
        /// The data set.
        path: PathBuf,
        /// How many rows it has.
        rows: usize,
        /// Why they were left out, with counts.
        why: String,
    },
    /// A loss or the gradient is no number any more.
    #[error(
        "the {what} is {value} at step {step}, in the examples {ids:?}: lower `learning-rate` or `clip`, or look at these \
         examples; the last checkpoint is from step {saved}"
    )]
    NotFinite {
        /// Of what: a loss, or the gradient.
        what: &'static str,
        /// What it is instead.
        value: f64,
        /// The step.
        step: u32,
        /// The examples that it is of.
        ids: Vec<String>,
        /// The step of the last checkpoint.
        saved: u32,
    },
    /// A checkpoint that is damaged.
    #[error("{path} is not a whole checkpoint: {message}; remove it to start anew")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A checkpoint of a run with other settings.
    #[error("{path} was made with other settings ({difference}): train with those, or with --restart")]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// Which, and how they differ.
        difference: String,
    },
    /// The best weights of a run that has such are not there.
    #[error(
        "{path} is not there, the weights of step {step}, which had the lowest validation loss: put it back, or train anew with --restart"
    )]
    NoBest {
        /// Where they should be.
        path: PathBuf,
        /// The step.
        step: u32,
    },
    /// Somebody else trains there.
    #[error("another training is at work in {path}: wait for its end, or train in a copy, with --out")]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// A copy that would be its own original.
    #[error(
        "the copy in {path} would be the bundle itself: name another folder with --out, or none to train the bundle as it is"
    )]
    OwnCopy {
        /// The bundle's folder.
        path: PathBuf,
    },
    /// A bundle's weights changed while they were judged.
    #[error("{path} has other weights than those that were judged: the scores are not recorded, ask again")]
    OtherWeights {
        /// The weights.
        path: PathBuf,
    },
    /// A manifest that cannot be edited, or a setting that it cannot have.
    #[error("{path}: {message}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A setting out of range.
    #[error(transparent)]
    Setting(#[from] Invalid),
    /// A task that asks for a decoding that cannot be done in batches.
    #[error("the task of {adapter} asks for {decoding}; evaluation decodes greedily")]
    Decoding {
        /// The bundle.
        adapter: String,
        /// What it asks for.
        decoding: String,
    },
    /// Predictions that do not belong to the data.
    #[error("{path}: {message}")]
    Predictions {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// The bundle.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The workshop has no layers to train through.
    #[error(transparent)]
    Workshop(#[from] LoadError),
    /// The bundle's task.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The transducer.
    #[error("the transducer: {0}")]
    Transducer(#[from] TransducerError),
    /// The frozen LLM.
    #[error("the model: {0}")]
    Backbone(#[from] BackboneError),
    /// The embeddings of a prompt are no numbers, or it has too many tokens.
    #[error("a prompt: {0}")]
    Prompt(#[from] transducer_engine::PromptError),
    /// Generation.
    #[error("generation: {0}")]
    Engine(#[from] transducer_engine::EngineError),
    /// libtorch; out of memory, most likely.
    #[error("libtorch: {0}; a smaller `batch-tokens` needs less memory")]
    Torch(#[from] tch::TchError),
}

impl TrainError {
    /// The same, of the row of this id.
    pub(crate) fn of_row(self, id: &str) -> Self {
        Self::OfRow {
            id: id.to_owned(),
            source: self.into(),
        }
    }

    /// For `map_err` on what touches a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
