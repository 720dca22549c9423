use std::path::PathBuf;

use crate::gguf::GgufError;

/// Why a tokenizer cannot be made or a text not encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{} is not what a tokenizer needs: {reason}", path.display())]
    Parse { path: PathBuf, reason: String },

    /// The GGUF file lacks what a tokenizer is built from, or holds it in another type.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    #[error(
        "the GGUF file's tokenizer model is `{found}`; only `gpt2` (byte-level BPE) can be built from a GGUF file: \
         use the model's Hugging Face folder with its tokenizer.json"
    )]
    UnsupportedModel { found: String },

    #[error(
        "the GGUF file's pre-tokenizer `{found}` is not known (known: {}); splitting text by another one would give \
         the model token ids it was not trained on", known.join(", ")
    )]
    UnknownPreTokenizer { found: String, known: Vec<&'static str> },

    #[error("the pre-tokenizer is `{found}`; only byte-level BPE without a prefix space is supported")]
    NotByteLevel { found: String },

    #[error("token {id} (`{token}`) holds {character:?}, which stands for no byte in byte-level BPE")]
    NotAByte { id: u32, token: String, character: char },

    #[error("the vocabulary holds `{token}` twice, as {first} and as {second}")]
    DuplicateToken { token: String, first: u32, second: u32 },

    #[error("token {id} has the type {code} in `tokenizer.ggml.token_type`; types are 1 to 6")]
    TokenType { id: usize, code: i64 },

    #[error("`tokenizer.ggml.token_type` has {found} entries for {expected} tokens")]
    TokenTypeCount { expected: usize, found: usize },

    #[error("merge {index} (`{merge}`) is not two tokens separated by a space")]
    Merge { index: usize, merge: String },

    #[error("the highest token id is {id}; at most {limit} tokens are accepted")]
    VocabularyTooLarge { id: u32, limit: usize },

    #[error("the {key} token has id {id}, beyond the vocabulary of {vocab_size} tokens")]
    TokenIdOutOfRange {
        key: &'static str,
        id: u32,
        vocab_size: usize,
    },

    #[error("vocabulary and merges do not make a tokenizer: {reason}")]
    Build { reason: String },

    #[error("the text has {bytes} bytes; at most {limit} are encoded at once")]
    TextTooLong { bytes: usize, limit: usize },

    #[error("the text cannot be encoded: {reason}")]
    Encode { reason: String },
}
