//! Where a bundle comes from: what `train`, `eval` and `pack` write down, each of what it alone knows. Nothing of it depends on the
//! time, the machine or the user, so that the same work gives the same bytes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::readable;
use crate::{ArchiveError, FileEntry, Invalid};

/// What `pack` adds to an archive. A document: it is signed with the archive and does not count for the generation, which is that
/// of the folder.
pub const PACK_RECORD_FILE: &str = "pack.json";
/// A commit and a few tools are some hundred bytes.
pub(crate) const MAX_RECORD_BYTES: u64 = 16 << 10;
/// Version of the record's form.
const FORMAT: u32 = 1;
/// Rust, the encoder of components and the like.
const MAX_TOOLS: usize = 32;
/// Longest name or version of a tool.
const MAX_WORD: usize = 200;
/// Longest name of a precision: `f32` and `bf16` are those that there are.
const MAX_PRECISION: usize = 16;

/// `[requires]`: what the bundle needs of a host, beside the world that its task names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requires {
    /// Versions of the host that can use it, such as `>=0.1, <0.3`. Without it, any that reads the rest.
    #[serde(default)]
    pub host: Option<String>,
}

/// `[provenance]`: what the weights were made of. `transducer-host train` writes it; `[train]` has the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provenance {
    /// SHA-256 of the file of training data, 64 hexadecimal digits.
    pub data_sha256: String,
    /// SHA-256 of the file of validation data, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_sha256: Option<String>,
    /// SHA-256 of the weights that came of it. Other weights in the bundle are an error.
    pub weights_sha256: String,
    /// Seed of the first weights and of the order of the examples.
    pub seed: u64,
    /// Version of the host that trained.
    pub host: String,
    /// Numbers that the LLM computed with, `f32` or `bf16`: other ones make other weights. Hosts before it did not write it.
    #[serde(default, deserialize_with = "precision", skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

/// `[evaluation]`: how the weights were judged. `transducer-host eval --record` writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Evaluation {
    /// SHA-256 of the test file, 64 hexadecimal digits.
    pub data_sha256: String,
    /// Rows that were answered.
    pub rows: u32,
    /// SHA-256 of the weights that answered. Other weights in the bundle are an error.
    pub weights_sha256: String,
    /// Version of the host that answered.
    pub host: String,
    /// Numbers that the LLM computed with, `f32` or `bf16`: other ones give other scores. Hosts before it did not write it.
    #[serde(default, deserialize_with = "precision", skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Rows of the whole test file that nobody is asked for: too long, or not accepted by the task. Hosts before it did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u32>,
    /// Scores by metric.
    pub scores: BTreeMap<String, RecordedScore>,
}

/// A precision is shown to people, and so one short word.
fn precision<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    let is_word = |name: &String| {
        (1..=MAX_PRECISION).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if name.as_ref().is_some_and(|name| !is_word(name)) {
        let expected = "`precision` is a short word of lower-case letters and digits, such as f32 or bf16";
        return Err(serde::de::Error::custom(expected));
    }
    Ok(name)
}

/// A score, 0 to 100, and where 95% of its resamples lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecordedScore {
    /// The score.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// `pack.json`: with what an archive was packed, and from which commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackRecord {
    format: u32,
    /// Version of the host that packed.
    pub host: semver::Version,
    /// The commit that the bundle's folder was packed from; none outside of version control.
    pub commit: Option<Commit>,
    /// What the component says it was made with: versions by name.
    pub tools: BTreeMap<String, String>,
}

/// A state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Its hash: 40 or 64 hexadecimal digits.
    pub id: String,
    /// Whether a file of the bundle was not as it is in the commit.
    pub dirty: bool,
}

impl PackRecord {
    /// What is known when an archive is packed.
    #[must_use]
    pub fn new(host: semver::Version, commit: Option<Commit>, tools: BTreeMap<String, String>) -> Self {
        Self {
            format: FORMAT,
            host,
            commit,
            tools,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // A struct of texts always has a JSON form.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self, ArchiveError> {
        let wrong = |message: String| ArchiveError::Record { message };
        let record: Self = serde_json::from_slice(json).map_err(|error| wrong(readable(&error.to_string())))?;
        if record.format != FORMAT {
            return Err(wrong(format!("format {}, expected {FORMAT}", record.format)));
        }
        if let Some(Commit { id, .. }) = &record.commit
            && !(matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(wrong(
                "`commit.id` is no hash of 40 or 64 hexadecimal digits".to_owned(),
            ));
        }
        let word = |word: &String| word.len() <= MAX_WORD && !word.chars().any(char::is_control);
        if record.tools.len() > MAX_TOOLS || !record.tools.iter().all(|(name, version)| word(name) && word(version)) {
            return Err(wrong(format!(
                "`tools` are at most {MAX_TOOLS} names and versions of {MAX_WORD} bytes in one line each"
            )));
        }
        Ok(record)
    }
}

/// Whether recorded weights are those of the bundle.
pub(crate) fn check_weights_digest(
    key: &'static str,
    recorded: &str,
    weights: Option<&(String, Vec<u8>)>,
) -> Result<(), Invalid> {
    let found = weights.map(|(name, bytes)| FileEntry::of(name, bytes).sha256);
    if found.as_deref() == Some(recorded) {
        return Ok(());
    }
    let found = found.map_or("no weights".to_owned(), |found| format!("weights of {found}"));
    let expected =
        format!("that of the bundle, which has {found}: `train` and `eval --record` write these tables anew");
    Err(Invalid::new(key, recorded, expected))
}
