//! How text is cut into words before merges apply, by the name that a GGUF file gives (`tokenizer.ggml.pre`).
//!
//! The names are llama.cpp's; each is defined here as the stages of the model's published `tokenizer.json`.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::TokenizerError;

/// The cut of Llama 3 (`digits` = `\p{N}{1,3}`) and Qwen 2 (`digits` = `\p{N}`): contractions, words with at most one
/// leading mark, digits, marks with the line ends after them, line ends, spaces.
fn words_and(digits: &str) -> String {
    format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// The stages that depend on the model family.
pub(super) struct Stages {
    pub(super) normalizer: Option<NormalizerWrapper>,
    pub(super) pre_tokenizer: PreTokenizerWrapper,
    /// A word that is in the vocabulary is one token, whatever the merges say (Llama 3).
    pub(super) ignore_merges: bool,
    /// What the family does when the file does not say whether a prompt begins with `bos`.
    pub(super) add_bos: bool,
}

/// What a name stands for.
enum Family {
    /// GPT-2: its own cut, inside the byte-level stage.
    Gpt2,
    /// StarCoder, SmolLM: every digit by itself, then GPT-2's cut.
    DigitsThenGpt2,
    Llama3,
    Qwen2,
}

/// Every name that is understood. `default` and a missing name are what converters wrote before the name existed.
const FAMILIES: [(&str, Family); 8] = [
    ("default", Family::Gpt2),
    ("gpt-2", Family::Gpt2),
    ("smollm", Family::DigitsThenGpt2),
    ("starcoder", Family::DigitsThenGpt2),
    ("llama-bpe", Family::Llama3),
    ("llama3", Family::Llama3),
    ("llama-v3", Family::Llama3),
    ("qwen2", Family::Qwen2),
];

/// The stages for a pre-tokenizer's name; no name means `default`.
pub(super) fn stages(name: Option<&str>) -> Result<Stages, TokenizerError> {
    let name = name.unwrap_or("default");
    let Some((_, family)) = FAMILIES.iter().find(|(known, _)| *known == name) else {
        return Err(TokenizerError::UnknownPreTokenizer {
            found: name.to_owned(),
            known: FAMILIES.iter().map(|(known, _)| *known).collect(),
        });
    };
    Ok(match family {
        Family::Gpt2 => Stages {
            normalizer: None,
            pre_tokenizer: ByteLevel::new(false, true, true).into(),
            ignore_merges: false,
            add_bos: false,
        },
        Family::DigitsThenGpt2 => Stages {
            normalizer: None,
            pre_tokenizer: Sequence::new(vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()])
                .into(),
            ignore_merges: false,
            add_bos: false,
        },
        Family::Llama3 => Stages {
            normalizer: None,
            pre_tokenizer: split_then_bytes(r"\p{N}{1,3}")?,
            ignore_merges: true,
            add_bos: true,
        },
        Family::Qwen2 => Stages {
            normalizer: Some(tokenizers::normalizers::NFC.into()),
            pre_tokenizer: split_then_bytes(r"\p{N}")?,
            ignore_merges: false,
            add_bos: false,
        },
    })
}

fn split_then_bytes(digits: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    let split = Split::new(
        SplitPattern::Regex(words_and(digits)),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(|error| TokenizerError::Build {
        reason: error.to_string(),
    })?;
    Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
}
