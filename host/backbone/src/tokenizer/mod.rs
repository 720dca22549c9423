//! Text to token ids and back, for byte-level BPE models.
//!
//! A [`Tokenizer`] comes from one of two places, and behaves the same from either:
//! a GGUF file's own vocabulary ([`Tokenizer::from_gguf`]) or a Hugging Face folder ([`Tokenizer::from_folder`]).
//!
//! Two ways to encode, because a prompt has two kinds of text:
//! - [`Tokenizer::encode`] is for text that comes from a user. A special token's name in it (`<|im_end|>`) is
//!   ordinary text and becomes ordinary tokens: a user cannot close their own turn.
//! - [`Tokenizer::encode_template`] is for text that comes from the model's own chat template, where the names of
//!   special tokens stand for those tokens.

mod byte_level;
mod digest;
mod error;
mod folder;
mod from_gguf;
mod pre_tokenizer;
mod stream;

pub use error::TokenizerError;
pub(crate) use folder::{read_json, token_name};
pub use stream::{StreamDecoder, Utf8Stream};

use std::collections::BTreeSet;

use tokenizers::{AddedVocabulary, Model, OffsetType, PreTokenizer, PreTokenizerWrapper, Tokenizer as HfTokenizer};

use byte_level::TokenBytes;

/// The most bytes of text that one call encodes: offsets are `u32`, and no context of a supported model comes near
/// this much text (64 MiB is some 16 million tokens), so more is a mistake of the caller, refused before it costs
/// minutes.
pub const MAX_TEXT_BYTES: usize = 64 << 20;

/// Names that published models give to the tokens that end a turn or a text. A file names only one of them as its
/// `eos`; an instruction-tuned model may emit any, and each one ends the answer. Only tokens that are *special* in
/// the vocabulary count.
const END_TOKENS: [&str; 8] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|EOT|>",
    "</s>",
];

/// Token ids of a text, and where each token lies in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// One id a token.
    pub ids: Vec<u32>,
    /// `(start, end)` of each token as byte offsets into the encoded text, on character borders, so that
    /// `&text[start..end]` is always valid. A token that holds only part of a character's bytes has the range of the
    /// whole character: tokens that share a character overlap there, and none has an empty range. Where the model's
    /// normalizer composes characters (Qwen 2: a letter and its accent become one), a range ends with the first of them.
    pub offsets: Vec<(u32, u32)>,
}

/// What a file says about special tokens, beside the vocabulary itself.
#[derive(Debug, Clone, Default)]
struct SpecialIds {
    bos: Option<u32>,
    add_bos: bool,
    /// What an encoder is told the end of a text with.
    text_end: Option<u32>,
    /// Ids that the file itself names as an end (of sequence, of turn, of message).
    ends: BTreeSet<u32>,
}

/// A byte-level BPE tokenizer. Immutable and shared between threads.
#[derive(Debug)]
pub struct Tokenizer {
    inner: HfTokenizer,
    /// The added tokens, special ones left out of matching: for user text.
    for_text: AddedVocabulary,
    /// The added tokens, all of them matched: for template text.
    for_template: AddedVocabulary,
    bytes: TokenBytes,
    special: BTreeSet<u32>,
    bos: Option<u32>,
    add_bos: bool,
    text_end: Option<u32>,
    ends: Vec<u32>,
    sha256: String,
}

impl Tokenizer {
    /// Completes a tokenizer of the `tokenizers` crate. `declared` holds what the file says beside the vocabulary.
    fn assemble(inner: HfTokenizer, declared: SpecialIds) -> Result<Self, TokenizerError> {
        require_byte_level(&inner)?;
        let bytes = TokenBytes::new(&inner)?;
        let special: BTreeSet<u32> = inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(&id, _)| id)
            .collect();
        let by_name = END_TOKENS
            .iter()
            .filter_map(|name| inner.token_to_id(name))
            .filter(|id| special.contains(id));
        let ends: BTreeSet<u32> = declared.ends.iter().copied().chain(by_name).collect();
        for (key, id) in declared
            .ends
            .iter()
            .map(|&id| ("eos", id))
            .chain(declared.bos.map(|id| ("bos", id)))
        {
            if id as usize >= bytes.len() {
                return Err(TokenizerError::TokenIdOutOfRange {
                    key,
                    id,
                    vocab_size: bytes.len(),
                });
            }
        }
        let mut for_text = inner.get_added_vocabulary().clone();
        for_text.set_encode_special_tokens(true);
        let mut for_template = inner.get_added_vocabulary().clone();
        for_template.set_encode_special_tokens(false);
        let sha256 = digest::sha256(&inner)?;
        Ok(Self {
            inner,
            for_text,
            for_template,
            bytes,
            special,
            bos: declared.bos,
            add_bos: declared.add_bos,
            text_end: declared.text_end,
            ends: ends.into_iter().collect(),
            sha256,
        })
    }

    /// Encodes text that comes from outside. Names of special tokens in it are plain text. Nothing is put in front:
    /// see [`Self::bos`] and [`Self::add_bos`].
    ///
    /// Added tokens that the vocabulary does not call special (a run of spaces, `<tool_call>`) are matched, as they
    /// were when the model was trained on ordinary text.
    ///
    /// # Errors
    /// [`TokenizerError::TextTooLong`] beyond [`MAX_TEXT_BYTES`].
    pub fn encode(&self, text: &str) -> Result<Encoding, TokenizerError> {
        self.encode_with(&self.for_text, text)
    }

    /// Encodes text that comes from the chat template: names of special tokens stand for those tokens. Never give it
    /// text of a user.
    ///
    /// # Errors
    /// [`TokenizerError::TextTooLong`] beyond [`MAX_TEXT_BYTES`].
    pub fn encode_template(&self, text: &str) -> Result<Encoding, TokenizerError> {
        self.encode_with(&self.for_template, text)
    }

    /// The stages of `tokenizers`' own `encode`, with the added vocabulary chosen by the caller, and without the
    /// post-processor: what to put around a text is the chat template's business.
    fn encode_with(&self, added: &AddedVocabulary, text: &str) -> Result<Encoding, TokenizerError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TokenizerError::TextTooLong {
                bytes: text.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        let encode = || {
            let mut pieces = added.extract_and_normalize(self.inner.get_normalizer(), text);
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut pieces)?;
            }
            pieces.tokenize(|piece| self.inner.get_model().tokenize(piece.get()))?;
            pieces.into_encoding(None, 0, OffsetType::Byte)
        };
        let encoding = encode().map_err(|source| TokenizerError::Encode {
            reason: source.to_string(),
        })?;
        // Offsets fit: the text is no longer than MAX_TEXT_BYTES.
        let offsets = encoding
            .get_offsets()
            .iter()
            .map(|&(start, end)| (start as u32, end as u32))
            .collect();
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets,
        })
    }

    /// The text of generated tokens. Special tokens are left out; bytes that are not UTF-8 become U+FFFD; ids outside
    /// the vocabulary (a model's head may be padded) are empty.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.text_bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A decoder for ids that arrive one by one.
    pub fn stream_decoder(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }

    /// The bytes that a token adds to a text: empty for special tokens and for ids outside the vocabulary.
    pub fn text_bytes(&self, id: u32) -> &[u8] {
        if self.is_special(id) {
            &[]
        } else {
            self.bytes.get(id).unwrap_or_default()
        }
    }

    /// The bytes that a token stands for; of a special token, its name. `None` for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.bytes.get(id)
    }

    /// Whether the token is a control token rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The tokens that end an answer, in increasing order: what the file names as the end of a sequence, of a turn or
    /// of a message, and special tokens that bear one of the usual names for one.
    pub fn eos_ids(&self) -> &[u32] {
        &self.ends
    }

    /// The token that begins a sequence, when the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Whether a prompt that was not made by a chat template begins with [`Self::bos`].
    pub fn add_bos(&self) -> bool {
        self.add_bos && self.bos.is_some()
    }

    /// The end token that the tokenizer puts behind every text, where it does: what an encoder was trained to read at the end of its
    /// text. A decoder, which goes on where a prompt stops, is never given it.
    pub fn text_end(&self) -> Option<u32> {
        self.text_end
    }

    /// One more than the highest token id.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// SHA-256, in lower-case hexadecimal, over everything that decides which ids a text becomes: vocabulary, merges,
    /// normalizer, pre-tokenizer and added tokens, in a form of its own. The same model has the same digest whether it
    /// comes as a GGUF file or as a folder.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// Decoding and offsets rely on every token standing for a run of bytes.
fn require_byte_level(inner: &HfTokenizer) -> Result<(), TokenizerError> {
    fn is_byte_level(pre_tokenizer: &PreTokenizerWrapper) -> bool {
        match pre_tokenizer {
            // A space put in front of every text would have no place in the text's offsets.
            PreTokenizerWrapper::ByteLevel(byte_level) => !byte_level.add_prefix_space,
            PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(is_byte_level),
            _ => false,
        }
    }
    match inner.get_pre_tokenizer() {
        Some(pre_tokenizer) if is_byte_level(pre_tokenizer) => Ok(()),
        found => Err(TokenizerError::NotByteLevel {
            found: found.map_or_else(|| "none".to_owned(), digest::kind_of),
        }),
    }
}

#[cfg(test)]
mod tests;
