//! From generated tokens to text that may be shown.

use transducer_backbone::tokenizer::{StreamDecoder, Tokenizer};

use crate::StopFilter;

/// Decodes tokens as they come and cuts at stop strings.
#[derive(Debug, Clone)]
pub struct AnswerText<'a> {
    decoder: StreamDecoder<'a>,
    filter: StopFilter,
    text: String,
}

impl<'a> AnswerText<'a> {
    /// Text that ends before the first of `stops`.
    pub fn new(tokenizer: &'a Tokenizer, stops: &[String]) -> Self {
        Self {
            decoder: tokenizer.stream_decoder(),
            filter: StopFilter::new(stops),
            text: String::new(),
        }
    }

    /// The text that becomes certain with `id`.
    pub fn push(&mut self, id: u32) -> String {
        let decoded = self.decoder.push(id);
        self.release(&decoded)
    }

    /// The text that becomes certain because no token follows.
    pub fn finish(&mut self) -> String {
        let decoded = self.decoder.finish();
        let mut text = self.release(&decoded);
        let held = self.filter.finish();
        self.text.push_str(&held);
        text.push_str(&held);
        text
    }

    fn release(&mut self, decoded: &str) -> String {
        let text = self.filter.push(decoded);
        self.text.push_str(&text);
        text
    }

    /// Whether a stop string has come up.
    pub fn stopped(&self) -> bool {
        self.filter.stopped()
    }

    /// All that became certain.
    pub fn into_text(self) -> String {
        self.text
    }
}
