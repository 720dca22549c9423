//! A bundle's cases: one JSON file each. `sdk/CASES.md` tells the form to those who write them.

mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The folder of a bundle that has them.
const FOLDER: &str = "cases";

/// One case. What is left out is not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Case {
    /// What it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The request.
    pub(crate) request: Value,
    /// What becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prepare: Option<Prepare>,
    /// Texts as an LLM might write them, and what becomes of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) finish: Vec<Finish>,
    /// What holds for the real LLM's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
}

/// The prompt that a request becomes, or the error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Prepare {
    /// A part of the error's message. With it there is no prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The system turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system: Option<String>,
    /// The user's turn, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Texts that are in the user's turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contains: Vec<String>,
    /// Texts that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lacks: Vec<String>,
    /// How the reply begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_start: Option<String>,
    /// The segments that are code, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Vec<Code>>,
    /// How the reply is decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decoding: Option<Decoding>,
}

/// A segment that is code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Code {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// How a reply is decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Decoding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_new_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beams: Option<u32>,
}

/// A text as an LLM might write it, and the answer that it becomes, or the error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Finish {
    pub(crate) generated: String,
    /// A part of the error's message. With it there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The answer's text, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The answer's data, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    /// The codes of its diagnostics, all of them, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diagnostics: Option<Vec<String>>,
    /// What a person wrote in the LLM's place: with it the task's own metrics are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// What they say, each from 0 to 1, to six digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scores: Option<BTreeMap<String, f64>>,
}

/// What holds for an answer of the real LLM, whatever it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Answer {
    /// Texts that are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contains: Vec<String>,
    /// A regular expression that is found in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matches: Option<String>,
    /// Most characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest: Option<usize>,
    /// Whether there has to be one that is not blank.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_empty: bool,
    /// The codes of its diagnostics, all of them, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diagnostics: Option<Vec<String>>,
}

/// Something that is not as a case has it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    /// Which part of the case: `prepare.text`, `finish[1].data`.
    pub(crate) at: String,
    /// What was found, or what differs.
    pub(crate) message: String,
}

/// A case and the file that it is in.
pub(crate) struct CaseFile {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) case: Case,
}

impl CaseFile {
    /// The cases of a bundle whose names contain `filter`, in the order of their names.
    pub(crate) fn all(bundle: &Path, filter: &str) -> Result<Vec<Self>> {
        let folder = bundle.join(FOLDER);
        let mut paths = Vec::new();
        if folder.is_dir() {
            let cannot_read = || format!("cannot read the folder {}", folder.display());
            for entry in std::fs::read_dir(&folder).with_context(cannot_read)? {
                let path = entry.with_context(cannot_read)?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    paths.push(path);
                }
            }
        }
        ensure!(
            !paths.is_empty(),
            "{} has no cases: write some to {}, each a file NAME.json with a `request`, and have --bless fill in the rest",
            bundle.display(),
            folder.display()
        );
        paths.sort();
        let cases: Vec<Self> = paths
            .into_iter()
            .filter(|path| file_stem(path).contains(filter))
            .map(Self::read)
            .collect::<Result<_>>()?;
        ensure!(
            !cases.is_empty(),
            "no case of {} is named like {filter:?}",
            folder.display()
        );
        Ok(cases)
    }

    fn read(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let case = serde_json::from_str(&text).with_context(|| format!("{} is no case", path.display()))?;
        Ok(Self {
            name: file_stem(&path),
            path,
            case,
        })
    }

    /// Writes the case back, unless the file has it already.
    pub(crate) fn write(&self) -> Result<bool> {
        let mut text = serde_json::to_string_pretty(&self.case)?;
        text.push('\n');
        let context = || format!("cannot write {}", self.path.display());
        if std::fs::read_to_string(&self.path).with_context(context)? == text {
            return Ok(false);
        }
        std::fs::write(&self.path, text).with_context(context)?;
        Ok(true)
    }
}

fn file_stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
