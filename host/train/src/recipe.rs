//! A bundle's manifest as the record of how its weights were made: whatever a run is told beside it is written into it before it begins.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};
use transducer_bundle::{Bundle, DOCUMENTS, HOST_VERSION, MANIFEST_FILE};
use transducer_pipeline::{AdapterError, Workpiece, Workshop};

use crate::rows::file_sha256;
use crate::{TrainError, checkpoint};

/// The weights' file name in a bundle that had none.
const WEIGHTS_FILE: &str = "transducer.safetensors";

/// The folder of a bundle's cases, which go with its task.
const CASES_FOLDER: &str = "cases";

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

/// A bundle with settings that are not written yet: whatever may be refused is looked at before a file changes.
pub struct Draft {
    source: PathBuf,
    bundle: Bundle,
    settings: Vec<Setting>,
    document: DocumentMut,
    /// Where the bundle's copy goes; none to write into the bundle.
    copy: Option<PathBuf>,
}

impl Draft {
    /// The bundle in `dir` with these settings, its manifest's comments and order as they are. With `into`, they are for a copy of it
    /// without weights, in a folder of its name in `into`.
    ///
    /// # Errors
    /// [`TrainError::Manifest`] for a setting that a manifest cannot have, [`TrainError::OwnCopy`] for a copy onto the bundle itself.
    pub fn new(dir: &Path, into: Option<&Path>, settings: &[Setting]) -> Result<Self, TrainError> {
        // `.` has no name, but its bundle needs one.
        let source = std::fs::canonicalize(dir).map_err(TrainError::file(dir))?;
        let bundle = Bundle::open(&source).map_err(AdapterError::from)?;
        let copy = into.map(|into| into.join(bundle.name().as_str()));
        if let Some(copy) = &copy
            && std::fs::canonicalize(copy).is_ok_and(|copy| copy == source)
        {
            return Err(TrainError::OwnCopy { path: copy.clone() });
        }
        let mut document = with_settings(&source.join(MANIFEST_FILE), settings)?;
        if copy.is_some() {
            without_weights(&mut document);
        }
        Ok(Self {
            source,
            bundle,
            settings: settings.to_vec(),
            document,
            copy,
        })
    }

    /// The folder whose manifest is going to have the settings.
    pub fn dir(&self) -> &Path {
        self.copy.as_deref().unwrap_or(&self.source)
    }

    /// Opens what is going to be in [`Self::dir`], without weights, as [`Workshop::open`] would.
    ///
    /// # Errors
    /// What that says, and [`TrainError::Transducer`] for a shape that no transducer has.
    pub fn open(&self, workshop: &Workshop) -> Result<Workpiece, TrainError> {
        let place = tempfile::tempdir().map_err(TrainError::file(&std::env::temp_dir()))?;
        let dir = place.path().join(self.bundle.name().as_str());
        let mut document = self.document.clone();
        without_weights(&mut document);
        std::fs::create_dir(&dir).map_err(TrainError::file(&dir))?;
        for (name, bytes) in [
            (&self.bundle.manifest.component[..], &self.bundle.component[..]),
            (MANIFEST_FILE, document.to_string().as_bytes()),
        ] {
            std::fs::write(dir.join(name), bytes).map_err(TrainError::file(&dir))?;
        }
        let mut piece = workshop.open(&dir)?;
        piece.config.validate()?;
        self.dir().clone_into(&mut piece.dir);
        Ok(piece)
    }

    /// Writes the settings, and the copy where one is asked for. Its documents and cases are copied where it has none.
    ///
    /// # Errors
    /// [`TrainError`] for what cannot be written.
    pub fn write(&self) -> Result<(), TrainError> {
        let Some(copy) = &self.copy else {
            if !self.settings.is_empty() {
                // Read again: a training that ended meanwhile has put its weights in.
                let path = self.source.join(MANIFEST_FILE);
                let document = with_settings(&path, &self.settings)?;
                checkpoint::replace(&path, document.to_string().as_bytes())?;
            }
            return Ok(());
        };
        std::fs::create_dir_all(copy).map_err(TrainError::file(copy))?;
        checkpoint::replace(&copy.join(&self.bundle.manifest.component), &self.bundle.component)?;
        for name in DOCUMENTS {
            copy_once(&self.source.join(name), &copy.join(name))?;
        }
        let cases = self.source.join(CASES_FOLDER);
        if cases.is_dir() {
            let into = copy.join(CASES_FOLDER);
            std::fs::create_dir_all(&into).map_err(TrainError::file(&into))?;
            for entry in std::fs::read_dir(&cases).map_err(TrainError::file(&cases))? {
                let entry = entry.map_err(TrainError::file(&cases))?;
                copy_once(&entry.path(), &into.join(entry.file_name()))?;
            }
        }
        // A finished run's manifest names its weights: it is not touched, so that asking for the same again changes nothing.
        let manifest = copy.join(MANIFEST_FILE);
        if !manifest.exists() || !same_settings(&manifest, &self.document) {
            checkpoint::replace(&manifest, self.document.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// The manifest at `path` with settings.
fn with_settings(path: &Path, settings: &[Setting]) -> Result<DocumentMut, TrainError> {
    let mut document = read(path)?;
    for Setting { key, value } in settings {
        let wrong = |message: &str| TrainError::Manifest {
            path: path.to_owned(),
            message: format!("`{key} = {value}`: {message}"),
        };
        let (table, name) = key.split_once('.').ok_or_else(|| wrong("a key is `table.key`"))?;
        let value = value.parse::<Value>().unwrap_or_else(|_| Value::from(value.as_str()));
        let table = document.entry(table).or_insert(Item::Table(Table::new()));
        table.as_table_mut().ok_or_else(|| wrong("no table"))?[name] = Item::Value(value);
    }
    checked(&document, path)?;
    Ok(document)
}

/// Copies a plain file to where none is.
fn copy_once(from: &Path, to: &Path) -> Result<(), TrainError> {
    if from.is_file() && !to.exists() {
        std::fs::copy(from, to).map_err(TrainError::file(to))?;
    }
    Ok(())
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
    /// Numbers that the LLM computed with.
    pub precision: String,
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
    let named = weights_name(&document);
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
    provenance["precision"] = toml_edit::value(sources.precision.as_str());
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

/// The name of the weights' file that a manifest gives.
fn weights_name(manifest: &DocumentMut) -> Option<String> {
    let weights = manifest.get("transducer")?.get("weights")?;
    weights.as_str().map(str::to_owned)
}

/// Writes into a bundle's manifest how its weights were judged.
///
/// # Errors
/// [`TrainError::OtherWeights`] where it has others by now, and [`TrainError`] for what cannot be written.
pub fn put_evaluation(dir: &Path, evaluation: &transducer_bundle::Evaluation) -> Result<(), TrainError> {
    let path = dir.join(MANIFEST_FILE);
    let mut document = read(&path)?;
    let weights = dir.join(weights_name(&document).as_deref().unwrap_or(WEIGHTS_FILE));
    if file_sha256(&weights)? != evaluation.weights_sha256 {
        return Err(TrainError::OtherWeights { path: weights });
    }
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
    if let Some(precision) = &evaluation.precision {
        table["precision"] = toml_edit::value(precision.as_str());
    }
    if let Some(left_out) = evaluation.left_out {
        table["left-out"] = toml_edit::value(i64::from(left_out));
    }
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
