//! One digest for one tokenizer, whichever file it came from.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::{PreTokenizerWrapper, Tokenizer as HfTokenizer};

use super::TokenizerError;

/// Names the layout of what is hashed. Another layout takes another name.
const DOMAIN: &[u8] = b"transducer-tokenizer-1";

/// Digest over, in this order: the domain; every token as (id, kind, name), by id; the merges, by rank; the model's
/// flags; normalizer and pre-tokenizer as JSON with sorted keys. Every string is preceded by its length, so that no
/// two different tokenizers are the same bytes.
///
/// Left out, because ids do not depend on them: decoder, post-processor, and the `trim_offsets` of byte-level stages.
pub(super) fn sha256(tokenizer: &HfTokenizer) -> Result<String, TokenizerError> {
    let unreadable = |reason: String| TokenizerError::Build { reason };
    let model = serde_json::to_value(tokenizer.get_model()).map_err(|error| unreadable(error.to_string()))?;
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(DOMAIN);

    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    let mut vocabulary: Vec<(u32, String)> = tokenizer
        .get_vocab(true)
        .into_iter()
        .map(|(token, id)| (id, token))
        .collect();
    vocabulary.sort_unstable();
    field(&(vocabulary.len() as u64).to_le_bytes());
    for (id, token) in &vocabulary {
        let kind: &[u8] = match added.get(id) {
            None => b"text",
            Some(token) if token.special => b"special",
            Some(_) => b"added",
        };
        field(&id.to_le_bytes());
        field(kind);
        field(token.as_bytes());
    }

    let merges = model["merges"]
        .as_array()
        .ok_or_else(|| unreadable("the model has no merges".to_owned()))?;
    field(&(merges.len() as u64).to_le_bytes());
    for merge in merges {
        field(canonical(merge).as_bytes());
    }
    for flag in [
        "ignore_merges",
        "byte_fallback",
        "fuse_unk",
        "continuing_subword_prefix",
        "end_of_word_suffix",
    ] {
        // Absent, null, false and "" all mean that the flag is off.
        let value = match &model[flag] {
            Value::Bool(true) => "true",
            Value::String(text) => text,
            _ => "",
        };
        field(value.as_bytes());
    }

    for stage in [
        serde_json::to_value(tokenizer.get_normalizer()),
        serde_json::to_value(tokenizer.get_pre_tokenizer()),
    ] {
        let stage = stage.map_err(|error| unreadable(error.to_string()))?;
        field(canonical(&stage).as_bytes());
    }
    Ok(hex::encode(hash.finalize()))
}

/// The `type` of a pre-tokenizer, for messages.
pub(super) fn kind_of(pre_tokenizer: &PreTokenizerWrapper) -> String {
    serde_json::to_value(pre_tokenizer).map_or_else(|error| error.to_string(), |json| canonical(&json))
}

/// JSON with sorted keys and without `trim_offsets`, whatever order the parser keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> =
                map.iter().filter(|(key, _)| key.as_str() != "trim_offsets").collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}
