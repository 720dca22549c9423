//! A bundle's manifest as the record of how its weights were made: whatever a run is told beside it is written into it first.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};
use transducer_bundle::{Bundle, HOST_VERSION, MANIFEST_FILE};
use transducer_pipeline::AdapterError;

use crate::rows::file_sha256;
use crate::{TrainError, checkpoint};

/// The weights' file name in a bundle that had none.
const WEIGHTS_FILE: &str = "transducer.safetensors";

/// A change to a manifest: the key with its table, and the value in TOML, as in `train.seed` and `2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `table.key`.
    pub key: String,
    /// A TOML value. What is none is taken as a string.
    pub value: String,
}

/// What an ablation takes away.
///
/// # Errors
/// The names that there are, for any other.
pub fn ablation(name: &str, edge_kinds: &[String]) -> Result<Vec<Setting>, String> {
    let set = |pairs: &[(&str, &str)]| {
        let setting = |&(key, value): &(&str, &str)| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Ok(pairs.iter().map(setting).collect())
    };
    match name {
        "no-gve" => set(&[("transducer.parts", "no-graph")]),
        "no-abfl" => set(&[("transducer.parts", "no-fusion")]),
        "no-task-tokens" => set(&[("transducer.task-tokens", "0"), ("transducer.reply-tokens", "0")]),
        "no-edges" => set(&[("transducer.edge-kinds", "[]"), ("transducer.layers", "0")]),
        "shuffled-edges" => set(&[("train.edges", "shuffled")]),
        "random-edges" => set(&[("train.edges", "random")]),
        _ => {
            let gone = name
                .strip_prefix("no-")
                .unwrap_or(name)
                .to_uppercase()
                .replace('-', "_");
            if !edge_kinds.contains(&gone) {
                return Err(format!(
                    "no ablation is named {name:?}; there are no-gve, no-abfl, no-task-tokens, no-edges, shuffled-edges, \
                     random-edges, and `no-` with one of {}",
                    edge_kinds.join(", ").to_lowercase().replace('_', "-")
                ));
            }
            let left: Vec<String> = edge_kinds
                .iter()
                .filter(|&kind| *kind != gone)
                .map(|kind| format!("{kind:?}"))
                .collect();
            set(&[("transducer.edge-kinds", &format!("[{}]", left.join(", ")))])
        }
    }
}

/// Writes settings into the manifest of the bundle in `dir`, whose comments and order stay. With `into`, the bundle is copied
/// first, without weights, to a folder of its name in `into`. Returns the folder whose manifest has the settings.
///
/// # Errors
/// [`TrainError::Manifest`] for a setting that a manifest cannot have; nothing is written then.
pub fn write_settings(dir: &Path, into: Option<&Path>, settings: &[Setting]) -> Result<PathBuf, TrainError> {
    // `.` has no name, but its bundle needs one.
    let dir = std::fs::canonicalize(dir).map_err(TrainError::file(dir))?;
    let bundle = Bundle::open(&dir).map_err(AdapterError::from)?;
    let path = dir.join(MANIFEST_FILE);
    let mut document = read(&path)?;
    for Setting { key, value } in settings {
        let wrong = |message: &str| TrainError::Manifest {
            path: path.clone(),
            message: format!("`{key} = {value}`: {message}"),
        };
        let (table, name) = key.split_once('.').ok_or_else(|| wrong("a key is `table.key`"))?;
        let value = value.parse::<Value>().unwrap_or_else(|_| Value::from(value.as_str()));
        let table = document.entry(table).or_insert(Item::Table(Table::new()));
        table.as_table_mut().ok_or_else(|| wrong("no table"))?[name] = Item::Value(value);
    }
    let Some(into) = into else {
        if !settings.is_empty() {
            checked(&document, &path)?;
            checkpoint::replace(&path, document.to_string().as_bytes())?;
        }
        return Ok(dir);
    };
    without_weights(&mut document);
    checked(&document, &path)?;
    let copy = into.join(bundle.name().as_str());
    std::fs::create_dir_all(&copy).map_err(TrainError::file(&copy))?;
    checkpoint::replace(&copy.join(&bundle.manifest.component), &bundle.component)?;
    // A finished run's manifest names its weights: it is not touched, so that asking for the same again changes nothing.
    let manifest = copy.join(MANIFEST_FILE);
    if !manifest.exists() || !same_settings(&manifest, &document) {
        checkpoint::replace(&manifest, document.to_string().as_bytes())?;
    }
    Ok(copy)
}

/// What weights were made of: files by SHA-256, and a seed.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Training data.
    pub data: String,
    /// Validation data.
    pub validation: Option<String>,
    /// The seed of the run, which is also in `[train]`, until that is changed for another run.
    pub seed: u64,
}

/// Puts weights into a bundle, and into its manifest what they were made of and, where it does not stand there yet, the name of
/// their file. An evaluation of the weights before them goes.
///
/// # Errors
/// [`TrainError`] for what cannot be written.
pub fn put_weights(
    dir: &Path,
    transducer: &transducer_core::Transducer,
    sources: &Sources,
) -> Result<PathBuf, TrainError> {
    let path = dir.join(MANIFEST_FILE);
    let mut document = read(&path)?;
    let named = document
        .get("transducer")
        .and_then(|table| table.get("weights"))
        .and_then(Item::as_str)
        .map(str::to_owned);
    let weights = dir.join(named.as_deref().unwrap_or(WEIGHTS_FILE));
    let staged = weights.with_extension("new");
    transducer.save(&staged)?;
    if named.is_none() {
        document["transducer"]["weights"] = toml_edit::value(WEIGHTS_FILE);
    }
    let mut provenance = Table::new();
    provenance["data-sha256"] = toml_edit::value(sources.data.as_str());
    if let Some(validation) = &sources.validation {
        provenance["validation-sha256"] = toml_edit::value(validation.as_str());
    }
    provenance["weights-sha256"] = toml_edit::value(file_sha256(&staged)?);
    provenance["seed"] = toml_edit::value(i64::try_from(sources.seed).unwrap_or(i64::MAX));
    provenance["host"] = toml_edit::value(HOST_VERSION);
    // At no moment does a manifest tell of other weights than there are.
    let told = [document.remove("provenance"), document.remove("evaluation")];
    if told.iter().any(Option::is_some) {
        checkpoint::replace(&path, document.to_string().as_bytes())?;
    }
    document["provenance"] = Item::Table(provenance);
    std::fs::rename(&staged, &weights).map_err(TrainError::file(&weights))?;
    checkpoint::replace(&path, document.to_string().as_bytes())?;
    Ok(weights)
}

/// Writes into a bundle's manifest how its weights were judged.
///
/// # Errors
/// [`TrainError`] for what cannot be written.
pub fn put_evaluation(dir: &Path, evaluation: &transducer_bundle::Evaluation) -> Result<(), TrainError> {
    let path = dir.join(MANIFEST_FILE);
    let mut document = read(&path)?;
    let mut scores = Table::new();
    for (metric, score) in &evaluation.scores {
        let mut numbers = toml_edit::InlineTable::new();
        for (name, number) in [("value", score.value), ("low", score.low), ("high", score.high)] {
            numbers.insert(name, number.into());
        }
        scores[metric] = toml_edit::value(numbers);
    }
    let mut table = Table::new();
    table["data-sha256"] = toml_edit::value(evaluation.data_sha256.as_str());
    table["rows"] = toml_edit::value(i64::from(evaluation.rows));
    table["weights-sha256"] = toml_edit::value(evaluation.weights_sha256.as_str());
    table["host"] = toml_edit::value(evaluation.host.as_str());
    table["scores"] = Item::Table(scores);
    document["evaluation"] = Item::Table(table);
    checked(&document, &path)?;
    checkpoint::replace(&path, document.to_string().as_bytes())
}

fn read(path: &Path) -> Result<DocumentMut, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::file(path))?;
    text.parse()
        .map_err(|error: toml_edit::TomlError| TrainError::Manifest {
            path: path.to_owned(),
            message: error.to_string(),
        })
}

/// Whether a manifest is one, so that a wrong setting is told before a file has it.
fn checked(document: &DocumentMut, path: &Path) -> Result<(), TrainError> {
    transducer_bundle::check_manifest(&document.to_string(), path).map_err(|error| AdapterError::from(error).into())
}

/// Whether the manifest at `path` differs from `document` in nothing but its weights.
fn same_settings(path: &Path, document: &DocumentMut) -> bool {
    read(path).is_ok_and(|mut found| {
        without_weights(&mut found);
        found.to_string() == document.to_string()
    })
}

/// Takes the weights out of a manifest, with what was recorded of them.
fn without_weights(document: &mut DocumentMut) {
    if let Some(table) = document.get_mut("transducer").and_then(Item::as_table_mut) {
        table.remove("weights");
    }
    document.remove("provenance");
    document.remove("evaluation");
}
