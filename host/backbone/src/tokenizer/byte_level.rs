//! The byte-level alphabet of GPT-2's tokenizer: each of the 256 bytes is written as one printable character, so that
//! a vocabulary can be a list of strings.

use std::collections::HashMap;

use tokenizers::Tokenizer as HfTokenizer;

use super::TokenizerError;

/// The most tokens a vocabulary may have. The largest published ones are about 260,000; the bound keeps a file with
/// one absurd id from asking for gigabytes.
pub(super) const MAX_VOCABULARY: usize = 1 << 21;

/// What each token stands for, by id, in one allocation.
#[derive(Debug)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// `ends[id]` is where the bytes of `id` end and those of `id + 1` begin.
    ends: Vec<usize>,
}

impl TokenBytes {
    pub(super) fn new(tokenizer: &HfTokenizer) -> Result<Self, TokenizerError> {
        let alphabet = alphabet();
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let vocabulary = tokenizer.get_vocab(true);
        let highest = vocabulary.values().copied().max().unwrap_or(0);
        if highest as usize >= MAX_VOCABULARY {
            return Err(TokenizerError::VocabularyTooLarge {
                id: highest,
                limit: MAX_VOCABULARY,
            });
        }
        let mut by_id: Vec<&str> = vec![""; if vocabulary.is_empty() { 0 } else { highest as usize + 1 }];
        for (token, &id) in &vocabulary {
            by_id[id as usize] = token;
        }
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(by_id.len());
        for (id, token) in (0..).zip(by_id) {
            if added.contains_key(&id) {
                bytes.extend_from_slice(token.as_bytes());
            } else {
                for character in token.chars() {
                    let byte = alphabet
                        .get(&character)
                        .copied()
                        .ok_or_else(|| TokenizerError::NotAByte {
                            id,
                            token: token.to_owned(),
                            character,
                        })?;
                    bytes.push(byte);
                }
            }
            ends.push(bytes.len());
        }
        Ok(Self { bytes, ends })
    }

    /// Number of ids, holes included.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)?;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        Some(&self.bytes[start..end])
    }
}

/// From the character that stands for a byte to the byte. Bytes that are printable in Latin-1 stand for themselves;
/// the others, in increasing order, are the characters from U+0100 on (GPT-2's `bytes_to_unicode`).
fn alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let shifted = (0..=u8::MAX).filter(|&byte| !printable(byte)).zip('\u{100}'..);
    let same = (0..=u8::MAX)
        .filter(|&byte| printable(byte))
        .map(|byte| (byte, char::from(byte)));
    same.chain(shifted).map(|(byte, character)| (character, byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::alphabet;

    #[test]
    fn every_byte_has_one_character() {
        let alphabet = alphabet();
        assert_eq!(alphabet.len(), 256);
        let mut bytes: Vec<u8> = alphabet.values().copied().collect();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), 256);
        assert_eq!(alphabet[&'Ġ'], b' ');
        assert_eq!(alphabet[&'Ċ'], b'\n');
        assert_eq!(alphabet[&'ĉ'], b'\t');
        assert_eq!(alphabet[&'Ã'], 0xC3);
        assert_eq!(alphabet[&'Ń'], 0xAD);
    }
}
