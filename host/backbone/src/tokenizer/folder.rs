//! A tokenizer from a Hugging Face model folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer as HfTokenizer;

use super::{SpecialIds, Tokenizer, TokenizerError};

/// The largest file read as JSON. Vocabularies of 260,000 tokens come to some 35 MB.
const MAX_JSON_BYTES: u64 = 256 << 20;

impl Tokenizer {
    /// Reads `tokenizer.json`, and the special tokens from `tokenizer_config.json`, `generation_config.json` and
    /// `config.json` where they exist.
    ///
    /// # Errors
    /// Names the file that is missing, too large, malformed, or refers to tokens that do not exist; a tokenizer that
    /// is not byte-level BPE is [`TokenizerError::NotByteLevel`].
    pub fn from_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let path = folder.join("tokenizer.json");
        let inner = HfTokenizer::from_bytes(read(&path)?).map_err(|error| TokenizerError::Parse {
            path,
            reason: error.to_string(),
        })?;

        let config = read_json(folder.join("tokenizer_config.json"))?;
        let named = |key: &str| token_name(&config[key]).and_then(|name| inner.token_to_id(name));
        let mut ends: BTreeSet<u32> = named("eos_token").into_iter().collect();
        for file in ["generation_config.json", "config.json"] {
            ends.extend(ids(&read_json(folder.join(file))?["eos_token_id"]));
        }
        let bos = named("bos_token");
        // What the post-processor puts around an empty text.
        let empty = inner.encode("", true).map_err(|error| TokenizerError::Encode {
            reason: error.to_string(),
        })?;
        let add_bos = match &config["add_bos_token"] {
            Value::Bool(flag) => *flag,
            // Without the flag, what stands in front decides.
            _ => bos.is_some() && empty.get_ids().first().copied() == bos,
        };
        let behind = &empty.get_ids()[usize::from(add_bos).min(empty.get_ids().len())..];
        let text_end = behind.last().copied().filter(|id| ends.contains(id));
        Self::assemble(
            inner,
            SpecialIds {
                bos,
                add_bos,
                text_end,
                ends,
            },
        )
    }
}

/// A special token's name: a string, or an object that holds it as `content`.
pub(crate) fn token_name(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// One id, or a list of ids.
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(items) => items.iter().filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    let failed = |source| TokenizerError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_JSON_BYTES {
        return Err(TokenizerError::Parse {
            path: path.to_owned(),
            reason: format!("it has {size} bytes, at most {MAX_JSON_BYTES} are read"),
        });
    }
    std::fs::read(path).map_err(failed)
}

/// The file's JSON; `null` when there is no such file.
pub(crate) fn read_json(path: PathBuf) -> Result<Value, TokenizerError> {
    match read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| TokenizerError::Parse {
            path,
            reason: error.to_string(),
        }),
        Err(TokenizerError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(error),
    }
}
