//! Text from bytes and tokens that arrive piece by piece.

use super::Tokenizer;

/// Turns a stream of byte chunks into text without ever cutting a character: bytes that may still become a character
/// are held back until they do, or until [`Utf8Stream::finish`].
///
/// Whatever the chunks, the pieces put together are `String::from_utf8_lossy` of all the bytes.
#[derive(Debug, Default, Clone)]
pub struct Utf8Stream {
    /// The beginning of a character: at most three bytes between calls.
    held: Vec<u8>,
}

impl Utf8Stream {
    /// The text that is certain once `bytes` have arrived; may be empty.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.held.len());
        let mut read = 0;
        while let Some(chunk) = self.held[read..].utf8_chunks().next() {
            text.push_str(chunk.valid());
            read += chunk.valid().len();
            let rest = &self.held[read..];
            match std::str::from_utf8(rest) {
                Err(error) if error.error_len().is_none() => break,
                Err(_) => text.push(char::REPLACEMENT_CHARACTER),
                Ok(_) => {}
            }
            read += chunk.invalid().len();
        }
        self.held.drain(..read);
        text
    }

    /// The end of the stream: a character that never became whole is U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }
}

/// Decodes generated ids one by one. Special tokens add nothing.
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    utf8: Utf8Stream,
}

impl<'a> StreamDecoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            utf8: Utf8Stream::default(),
        }
    }

    /// The text that is certain once `id` has arrived; empty while a character is incomplete.
    pub fn push(&mut self, id: u32) -> String {
        self.utf8.push(self.tokenizer.text_bytes(id))
    }

    /// What was held back, with U+FFFD for a character that never became whole.
    pub fn finish(&mut self) -> String {
        self.utf8.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Utf8Stream;

    fn streamed(chunks: &[Vec<u8>]) -> String {
        let mut stream = Utf8Stream::default();
        let mut text: String = chunks.iter().map(|chunk| stream.push(chunk)).collect();
        text.push_str(&stream.finish());
        text
    }

    #[test]
    fn a_character_is_held_until_whole() {
        let mut stream = Utf8Stream::default();
        let bytes = "a😀".as_bytes();
        assert_eq!(stream.push(&bytes[..2]), "a");
        assert_eq!(stream.push(&bytes[2..4]), "");
        assert_eq!(stream.push(&bytes[4..]), "😀");
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn an_unfinished_character_is_replaced_at_the_end_only() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(&[b'x', 0xF0, 0x9F]), "x");
        assert_eq!(stream.finish(), "\u{FFFD}");
    }

    proptest! {
        #[test]
        fn pieces_are_the_lossy_whole(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..12)) {
            let whole = chunks.concat();
            prop_assert_eq!(streamed(&chunks), String::from_utf8_lossy(&whole));
        }

        #[test]
        fn valid_text_survives_any_cut(text in "\\PC{0,24}", size in 1_usize..5) {
            let chunks: Vec<Vec<u8>> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(streamed(&chunks), text);
        }
    }
}
