//! What OpenAI's clients send, and what it asks for. Text comes in and a value comes out, so that a fuzzer gets at it without a
//! server.

use serde::Deserialize;

/// What a completion or a chat asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The adapter.
    pub(crate) model: String,
    /// The code: the prompt, or of a chat the last message of the user (if it has a fenced block, that block).
    pub(crate) code: String,
    /// Whether the answer is a stream of events.
    pub(crate) stream: bool,
    /// Whether such a stream ends with counts of tokens.
    pub(crate) include_usage: bool,
}

/// A body that asks for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the body: {0}")]
    Form(#[from] serde_json::Error),
    #[error("`messages` has none of the user's: its text is the code")]
    NoUser,
}

impl Asked {
    /// Of the body of `POST /v1/completions`.
    pub(crate) fn completion(body: &str) -> Result<Self, FormError> {
        let Completion { common, prompt } = serde_json::from_str(body)?;
        Ok(Self::of(common, prompt))
    }

    /// Of the body of `POST /v1/chat/completions`.
    pub(crate) fn chat(body: &str) -> Result<Self, FormError> {
        let Chat { common, messages } = serde_json::from_str(body)?;
        let last = messages.iter().rev().find(|message| message.role == "user");
        let text = last.ok_or(FormError::NoUser)?.content.text();
        let code = fenced(&text).unwrap_or(&text).to_owned();
        Ok(Self::of(common, code))
    }

    fn of(common: Common, code: String) -> Self {
        Self {
            model: common.model,
            code,
            stream: common.stream,
            include_usage: common.stream_options.include_usage,
        }
    }
}

/// What both routes take; other fields of OpenAI's are let through.
#[derive(Deserialize)]
struct Common {
    model: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: StreamOptions,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(flatten)]
    common: Common,
    prompt: String,
}

#[derive(Deserialize)]
struct Chat {
    #[serde(flatten)]
    common: Common,
    messages: Vec<ChatMessage>,
}

#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    #[serde(default)]
    content: Content,
}

/// A message's text, whole or in parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    None(()),
}

impl Default for Content {
    fn default() -> Self {
        Self::None(())
    }
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts.iter().map(|part| part.text.as_str()).collect(),
            Self::None(()) => String::new(),
        }
    }
}

/// The first fenced block of a message.
fn fenced(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("```")?;
    let (_language, block) = after.split_once('\n')?;
    let (block, _) = block.split_once("```")?;
    Some(block.strip_suffix('\n').unwrap_or(block))
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn a_fenced_block_is_the_code() {
        assert_eq!(fenced("Explain:\n```java\nint f() {}\n```\nplease"), Some("int f() {}"));
        assert_eq!(fenced("```\na\nb\n```"), Some("a\nb"));
        assert_eq!(fenced("int f() {}"), None);
        assert_eq!(fenced("```java\nint f() {"), None, "a fence that does not end is none");
    }
}
