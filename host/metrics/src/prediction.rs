//! What was generated, as JSON lines.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;
use serde::{Deserialize, Serialize};

use crate::Pair;

/// One item and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Names the item, once in a file.
    pub id: String,
    /// What the task was given.
    pub source: String,
    /// What somebody wrote.
    pub reference: String,
    /// What the model generated.
    pub generated: String,
    /// What the task made of it.
    pub answer: String,
    /// What that is worth by the task's own metrics, from 0 to 1. Left out where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// How likely the model finds the reference. Left out where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<Likelihood>,
}

/// How likely a model finds a text that somebody wrote, after the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// The negative log-likelihood of all of its tokens together, in nats.
    pub loss: f64,
    /// How many tokens it has, the end of the answer among them.
    pub tokens: u32,
}

impl Prediction {
    /// What a metric looks at.
    pub fn pair(&self) -> Pair<'_> {
        Pair {
            answer: &self.answer,
            reference: &self.reference,
        }
    }
}

/// Predictions that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PredictionError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not a prediction.
    #[error("{path}:{line}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// An id comes up again.
    #[error("{path}:{line}: `{id}` is the id of line {first} too")]
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
    /// Two sets of predictions are not about the same items.
    #[error(
        "not the same items: {} only in the first, {} only in the second, {} of both with another reference",
        listed(only_first),
        listed(only_second),
        listed(other_reference)
    )]
    Differ {
        /// Ids that only the first has.
        only_first: Vec<String>,
        /// Ids that only the second has.
        only_second: Vec<String>,
        /// Ids of both whose references are not the same.
        other_reference: Vec<String>,
    },
}

/// How many ids a message names; the error has them all.
const NAMED: usize = 10;

fn listed(ids: &[String]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    let named = ids[..ids.len().min(NAMED)].join(", ");
    let more = if ids.len() > NAMED { ", ..." } else { "" };
    format!("{} ({named}{more})", ids.len())
}

/// Reads a file of JSON lines. No id may come up twice.
pub fn read(path: &Path) -> Result<Vec<Prediction>, PredictionError> {
    let context = |source| PredictionError::Read {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(context)?;
    let mut predictions: Vec<Prediction> = Vec::new();
    let mut lines = HashMap::new();
    for (line, text) in (1..).zip(BufReader::new(file).lines()) {
        let prediction: Prediction =
            serde_json::from_str(&text.map_err(context)?).map_err(|source| PredictionError::Syntax {
                path: path.to_owned(),
                line,
                source,
            })?;
        if let Some(first) = lines.insert(prediction.id.clone(), line) {
            return Err(PredictionError::Repeated {
                path: path.to_owned(),
                line,
                first,
                id: prediction.id,
            });
        }
        predictions.push(prediction);
    }
    Ok(predictions)
}

/// Writes a file of JSON lines: the file is the old one or all of the new one, whatever happens. Of a link it is the file that it leads to; what
/// is no file, such as /dev/stdout, is written to as it is.
pub fn write(path: &Path, predictions: &[Prediction]) -> Result<(), PredictionError> {
    put(path, predictions).map_err(|source| PredictionError::Write {
        path: path.to_owned(),
        source,
    })
}

fn put(path: &Path, predictions: &[Prediction]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for prediction in predictions {
        serde_json::to_writer(&mut lines, prediction)?;
        lines.push(b'\n');
    }
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&whole).is_ok_and(|there| !there.is_file()) {
        return fs::OpenOptions::new().write(true).open(&whole)?.write_all(&lines);
    }
    let mut file = AtomicWriteFile::open(&whole)?;
    file.write_all(&lines)?;
    file.commit()
}

/// Pairs two systems' predictions by id, in the order of the first, for a comparison on the same items.
pub fn join<'a>(
    a: &'a [Prediction],
    b: &'a [Prediction],
) -> Result<Vec<(&'a Prediction, &'a Prediction)>, PredictionError> {
    let mut left: HashMap<&str, &Prediction> = b
        .iter()
        .map(|prediction| (prediction.id.as_str(), prediction))
        .collect();
    let mut joined = Vec::with_capacity(a.len());
    let mut only_first = Vec::new();
    for first in a {
        match left.remove(first.id.as_str()) {
            Some(second) => joined.push((first, second)),
            None => only_first.push(first.id.clone()),
        }
    }
    let only_second: Vec<_> = b
        .iter()
        .filter(|second| left.contains_key(second.id.as_str()))
        .map(|second| second.id.clone())
        .collect();
    let other_reference: Vec<_> = joined
        .iter()
        .filter(|(first, second)| first.reference != second.reference)
        .map(|(first, _)| first.id.clone())
        .collect();
    if only_first.is_empty() && only_second.is_empty() && other_reference.is_empty() {
        return Ok(joined);
    }
    Err(PredictionError::Differ {
        only_first,
        only_second,
        other_reference,
    })
}
