//! A tokenizer from the vocabulary inside a GGUF file.
//!
//! Keys: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer>.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, Tokenizer as HfTokenizer};

use super::{SpecialIds, Tokenizer, TokenizerError, pre_tokenizer};
use crate::gguf::{Gguf, GgufError, Optional};

/// What `tokenizer.ggml.token_type` says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Matched in any text before it is cut into words.
    Added,
    /// Matched in template text only.
    Special,
    /// Fills the vocabulary up to the size of the embedding table; stands for nothing.
    Unused,
}

impl Kind {
    fn from_code(code: i64) -> Option<Self> {
        match code {
            // A byte token (6) of byte-level BPE is written in the same alphabet as every other.
            1 | 6 => Some(Self::Text),
            2 | 3 => Some(Self::Special),
            4 => Some(Self::Added),
            5 => Some(Self::Unused),
            _ => None,
        }
    }
}

impl Tokenizer {
    /// Builds the tokenizer from the file's own vocabulary, merges, token types and pre-tokenizer name.
    ///
    /// # Errors
    /// [`TokenizerError::UnsupportedModel`] for anything but byte-level BPE, [`TokenizerError::UnknownPreTokenizer`]
    /// for a name whose cut is not known, and a named error for each way in which vocabulary, types, merges and
    /// special ids can contradict one another.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
        let model = gguf.str("tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(TokenizerError::UnsupportedModel {
                found: model.to_owned(),
            });
        }
        let stages = pre_tokenizer::stages(gguf.str("tokenizer.ggml.pre").optional()?)?;
        let tokens = gguf.strings("tokenizer.ggml.tokens")?;
        let kinds = kinds(gguf, tokens.len())?;

        let mut vocabulary = Vocab::default();
        for ((id, token), kind) in (0..).zip(tokens).zip(&kinds) {
            if *kind != Kind::Unused
                && let Some(first) = vocabulary.insert(token.clone(), id)
            {
                return Err(TokenizerError::DuplicateToken {
                    token: token.clone(),
                    first,
                    second: id,
                });
            }
        }
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges(gguf)?)
            .ignore_merges(stages.ignore_merges)
            .build()
            .map_err(|error| TokenizerError::Build {
                reason: error.to_string(),
            })?;

        let mut inner = HfTokenizer::new(model);
        inner
            .with_normalizer(stages.normalizer)
            .with_pre_tokenizer(Some(stages.pre_tokenizer));
        let added = |wanted: Kind| -> Vec<AddedToken> {
            let special = wanted == Kind::Special;
            let named = tokens.iter().zip(&kinds).filter(|(_, kind)| **kind == wanted);
            named
                .map(|(token, _)| AddedToken::from(token.as_str(), special).normalized(false))
                .collect()
        };
        inner.add_special_tokens(&added(Kind::Special));
        inner.add_tokens(&added(Kind::Added));

        Self::assemble(inner, special_ids(gguf, stages.add_bos)?)
    }
}

/// The kind of each token; all of them text when the file does not say.
fn kinds(gguf: &Gguf, tokens: usize) -> Result<Vec<Kind>, TokenizerError> {
    let Some(codes) = gguf.ints("tokenizer.ggml.token_type").optional()? else {
        return Ok(vec![Kind::Text; tokens]);
    };
    if codes.len() != tokens {
        return Err(TokenizerError::TokenTypeCount {
            expected: tokens,
            found: codes.len(),
        });
    }
    codes
        .iter()
        .enumerate()
        .map(|(id, &code)| Kind::from_code(code).ok_or(TokenizerError::TokenType { id, code }))
        .collect()
}

fn merges(gguf: &Gguf) -> Result<Vec<(String, String)>, TokenizerError> {
    gguf.strings("tokenizer.ggml.merges")?
        .iter()
        .enumerate()
        .map(|(index, merge)| match merge.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() => Ok((left.to_owned(), right.to_owned())),
            _ => Err(TokenizerError::Merge {
                index,
                merge: merge.clone(),
            }),
        })
        .collect()
}

fn special_ids(gguf: &Gguf, add_bos_by_default: bool) -> Result<SpecialIds, GgufError> {
    let id = |key: &str| gguf.u32(key).optional();
    let mut ends = std::collections::BTreeSet::new();
    for key in [
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",
    ] {
        ends.extend(id(key)?);
    }
    Ok(SpecialIds {
        text_end: None,
        bos: id("tokenizer.ggml.bos_token_id")?,
        add_bos: gguf
            .bool("tokenizer.ggml.add_bos_token")
            .optional()?
            .unwrap_or(add_bos_by_default),
        ends,
    })
}
