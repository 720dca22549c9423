use std::path::PathBuf;

use crate::gguf::GgufError;

/// Why a tokenizer cannot be made or a text not encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file of the folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },

    /// A file of the folder is damaged or of another kind.
    #[error("{} is not what a tokenizer needs: {reason}", path.display())]
    Parse { path: PathBuf, reason: String },

    /// The GGUF file lacks what a tokenizer is built from, or holds it in another type.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    /// The GGUF file holds a vocabulary of another kind.
    #[error(
        "the GGUF file's tokenizer model is `{found}`; only `gpt2` (byte-level BPE) can be built from a GGUF file: \
         use the model's Hugging Face folder with its tokenizer.json"
    )]
    UnsupportedModel { found: String },

    /// The GGUF file names a way to cut words that is not known here.
    #[error(
        "the GGUF file's pre-tokenizer `{found}` is not known (known: {}); splitting text by another one would give \
         the model token ids it was not trained on", known.join(", ")
    )]
    UnknownPreTokenizer { found: String, known: Vec<&'static str> },

    /// The folder holds a tokenizer of another kind.
    #[error("the pre-tokenizer is `{found}`; only byte-level BPE without a prefix space is supported")]
    NotByteLevel { found: String },

    /// A token is not written in the byte-level alphabet.
    #[error("token {id} (`{token}`) holds {character:?}, which stands for no byte in byte-level BPE")]
    NotAByte { id: u32, token: String, character: char },

    /// Two ids have one token.
    #[error("the vocabulary holds `{token}` twice, as {first} and as {second}")]
    DuplicateToken { token: String, first: u32, second: u32 },

    /// A type of token that GGUF does not define.
    #[error("token {id} has the type {code} in `tokenizer.ggml.token_type`; types are 1 to 6")]
    TokenType { id: usize, code: i64 },

    /// Types and tokens are not of one number.
    #[error("`tokenizer.ggml.token_type` has {found} entries for {expected} tokens")]
    TokenTypeCount { expected: usize, found: usize },

    /// A merge that names no two tokens.
    #[error("merge {index} (`{merge}`) is not two tokens separated by a space")]
    Merge { index: usize, merge: String },

    /// An id beyond any real vocabulary.
    #[error("the highest token id is {id}; at most {limit} tokens are accepted")]
    VocabularyTooLarge { id: u32, limit: usize },

    /// A special token that the vocabulary does not have.
    #[error("the {key} token has id {id}, beyond the vocabulary of {vocab_size} tokens")]
    TokenIdOutOfRange {
        key: &'static str,
        id: u32,
        vocab_size: usize,
    },

    /// The parts contradict one another.
    #[error("vocabulary and merges do not make a tokenizer: {reason}")]
    Build { reason: String },

    /// More text than [`crate::tokenizer::MAX_TEXT_BYTES`].
    #[error("the text has {bytes} bytes; at most {limit} are encoded at once")]
    TextTooLong { bytes: usize, limit: usize },

    /// The `tokenizers` crate refused the text.
    #[error("the text cannot be encoded: {reason}")]
    Encode { reason: String },
}
