//! What OpenAI's clients send, and what it asks for. Text comes in and a value comes out, so that a fuzzer gets at it without a
//! server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The length of a completion that does not say how long it may be, as OpenAI's API has it. A chat goes on to its end.
const COMPLETION_TOKENS: usize = 16;

/// What a completion or a chat asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// An adapter, or the base model.
    pub(crate) model: String,
    /// What an adapter is asked: the prompt, or of a chat the last message of the user (if it has a fenced block, that block).
    pub(crate) code: String,
    /// What the base model reads.
    pub(crate) input: Input,
    /// How the base model writes.
    pub(crate) sampling: Sampling,
    /// Whether the answer is a stream of events.
    pub(crate) stream: bool,
    /// Whether such a stream ends with counts of tokens.
    pub(crate) include_usage: bool,
}

/// What the base model reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Prompt(String),
    Chat(Vec<Turn>),
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: String,
    pub(crate) text: String,
}

/// How the base model writes; numbers are checked by those who know what they mean.
#[derive(Debug, PartialEq)]
pub(crate) struct Sampling {
    /// None for as many as there is room for.
    pub(crate) most_tokens: Option<usize>,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    pub(crate) top_k: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Vec<String>,
    /// A field that asks for what there is not here.
    pub(crate) unsupported: Option<&'static str>,
}

/// What `POST /tokenize` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tokenize {
    pub(crate) model: Option<String>,
    pub(crate) input: Input,
    pub(crate) special: bool,
    pub(crate) opened: bool,
}

/// A body that asks for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the body: {0}")]
    Form(#[from] serde_json::Error),
    #[error("`messages` has none of the user's: its text is the code")]
    NoUser,
    #[error("`prompt` is a list of {0}: one prompt a request is taken")]
    Prompts(usize),
    #[error("give one of `prompt` and `messages`")]
    PromptOrMessages,
}

impl Asked {
    /// Of the body of `POST /v1/completions`.
    pub(crate) fn completion(body: &str) -> Result<Self, FormError> {
        let CompletionForm { common, prompt } = serde_json::from_str(body)?;
        let prompt = match prompt {
            Prompt::Text(text) => text,
            Prompt::Texts(mut texts) if texts.len() == 1 => texts.remove(0),
            Prompt::Texts(texts) => return Err(FormError::Prompts(texts.len())),
        };
        let most_tokens = common.most_tokens().or(Some(COMPLETION_TOKENS));
        Ok(Self::of(common, prompt.clone(), Input::Prompt(prompt), most_tokens))
    }

    /// Of the body of `POST /v1/chat/completions`.
    pub(crate) fn chat(body: &str) -> Result<Self, FormError> {
        let ChatForm { common, messages } = serde_json::from_str(body)?;
        let last = messages.iter().rev().find(|message| message.role == "user");
        let text = last.ok_or(FormError::NoUser)?.content.text();
        let code = fenced(&text).unwrap_or(&text).to_owned();
        let most_tokens = common.most_tokens();
        Ok(Self::of(common, code, Input::chat(&messages), most_tokens))
    }

    fn of(common: Common, code: String, input: Input, most_tokens: Option<usize>) -> Self {
        Self {
            sampling: Sampling {
                most_tokens,
                temperature: common.temperature.unwrap_or(1.0),
                top_p: common.top_p.unwrap_or(1.0),
                // Others say "all" by a negative number.
                top_k: common.top_k.and_then(|count| count.try_into().ok()).unwrap_or(0),
                // Any 64 bits are a seed.
                seed: common.seed.map(|seed| seed as u64),
                unsupported: common.unsupported(),
                stop: match common.stop {
                    None => Vec::new(),
                    Some(Stop::One(text)) => vec![text],
                    Some(Stop::Any(texts)) => texts,
                },
            },
            model: common.model,
            code,
            input,
            stream: common.stream.unwrap_or(false),
            include_usage: common.stream_options.is_some_and(|options| options.include_usage),
        }
    }
}

impl Tokenize {
    /// Of the body of `POST /tokenize`.
    pub(crate) fn parse(body: &str) -> Result<Self, FormError> {
        let form: TokenizeForm = serde_json::from_str(body)?;
        let input = match (form.prompt, form.messages) {
            (Some(prompt), None) => Input::Prompt(prompt),
            (None, Some(messages)) => Input::chat(&messages),
            _ => return Err(FormError::PromptOrMessages),
        };
        Ok(Self {
            model: form.model,
            input,
            special: form.add_special_tokens.unwrap_or(true),
            opened: form.add_generation_prompt.unwrap_or(true),
        })
    }
}

impl Input {
    fn chat(messages: &[ChatMessage]) -> Self {
        let turn = |message: &ChatMessage| Turn {
            role: message.role.clone(),
            text: message.content.text(),
        };
        Self::Chat(messages.iter().map(turn).collect())
    }
}

/// What both routes take; other fields of OpenAI's are let through. All but the model and the stream are for the base model: an
/// adapter's decoding is its task's own business.
#[derive(Deserialize, JsonSchema)]
struct Common {
    /// An adapter, or the base model: see GET /v1/models.
    model: String,
    /// Whether to answer in server-sent events.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Most tokens of the answer.
    max_tokens: Option<usize>,
    /// The same, by its newer name.
    max_completion_tokens: Option<usize>,
    /// 0 for the likeliest token each time, up to 2; 1 by default.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The likeliest tokens among which to choose; 0 for all.
    top_k: Option<i64>,
    /// The same seed gives the same text.
    seed: Option<i64>,
    stop: Option<Stop>,
    /// Only 1.
    n: Option<u32>,
    /// Only 1.
    best_of: Option<u32>,
    /// Not here.
    echo: Option<bool>,
    /// Not here.
    logprobs: Option<Value>,
    /// Not here.
    suffix: Option<String>,
    /// Only 0.
    frequency_penalty: Option<f64>,
    /// Only 0.
    presence_penalty: Option<f64>,
    /// Not here.
    tools: Option<Value>,
    /// Only text.
    response_format: Option<Value>,
}

impl Common {
    fn most_tokens(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// The first field that asks for something that the base model does not do here. Passed over in silence it would change the
    /// answer.
    fn unsupported(&self) -> Option<&'static str> {
        let given = |value: &Option<Value>| !matches!(value, None | Some(Value::Null | Value::Bool(false)));
        let other = |count: Option<u32>| count.is_some_and(|count| count != 1);
        let penalty = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
        let is_text = |format: &Value| format.is_null() || format["type"] == "text";
        let asked = [
            ("n", other(self.n)),
            ("best_of", other(self.best_of)),
            ("echo", self.echo == Some(true)),
            ("logprobs", given(&self.logprobs)),
            ("suffix", self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty())),
            ("frequency_penalty", penalty(self.frequency_penalty)),
            ("presence_penalty", penalty(self.presence_penalty)),
            ("tools", given(&self.tools)),
            (
                "response_format",
                self.response_format.as_ref().is_some_and(|format| !is_text(format)),
            ),
        ];
        asked.into_iter().find(|(_, asked)| *asked).map(|(name, _)| name)
    }
}

#[derive(Deserialize, JsonSchema)]
struct StreamOptions {
    /// Whether the stream ends with counts of tokens.
    #[serde(default)]
    include_usage: bool,
}

/// Where the answer ends.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Stop {
    One(String),
    Any(Vec<String>),
}

/// The body of `POST /v1/completions`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct CompletionForm {
    #[serde(flatten)]
    common: Common,
    /// The prompt of the base model, as it stands; the code for an adapter.
    prompt: Prompt,
}

/// One text, or a list of one.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Texts(Vec<String>),
}

/// The body of `POST /v1/chat/completions`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ChatForm {
    #[serde(flatten)]
    common: Common,
    /// The conversation; for an adapter, its last message of the user is the code.
    messages: Vec<ChatMessage>,
}

#[derive(Deserialize, JsonSchema)]
struct ChatMessage {
    /// `system`, `user` or `assistant`.
    role: String,
    #[serde(default)]
    content: Content,
}

/// The body of `POST /tokenize`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct TokenizeForm {
    model: Option<String>,
    /// A text; or `messages`.
    prompt: Option<String>,
    /// A conversation; or `prompt`.
    messages: Option<Vec<ChatMessage>>,
    /// Whether a prompt begins with the model's first token, where it has one; true by default. Of messages the template decides.
    add_special_tokens: Option<bool>,
    /// Whether the assistant's turn is opened after the messages; true by default.
    add_generation_prompt: Option<bool>,
}

/// A message's text, whole or in parts.
#[derive(Deserialize, JsonSchema)]
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

#[derive(Deserialize, JsonSchema)]
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
    use super::{Asked, FormError, Tokenize, fenced};

    #[test]
    fn a_fenced_block_is_the_code() {
        assert_eq!(fenced("Explain:\n```java\nint f() {}\n```\nplease"), Some("int f() {}"));
        assert_eq!(fenced("```\na\nb\n```"), Some("a\nb"));
        assert_eq!(fenced("int f() {}"), None);
        assert_eq!(fenced("```java\nint f() {"), None, "a fence that does not end is none");
    }

    #[test]
    fn what_is_not_given_is_as_openai_has_it() {
        let asked = Asked::completion(r#"{"model": "m", "prompt": ["a"], "stop": "x", "seed": -1, "stream": null}"#);
        let sampling = asked.unwrap().sampling;
        assert_eq!((sampling.most_tokens, sampling.temperature), (Some(16), 1.0));
        assert_eq!((sampling.stop, sampling.seed), (vec!["x".to_owned()], Some(u64::MAX)));
        let asked = Asked::chat(r#"{"model": "m", "messages": [{"role": "user", "content": "a"}], "top_k": -1}"#);
        assert_eq!(asked.unwrap().sampling.most_tokens, None);
        let error = Asked::completion(r#"{"model": "m", "prompt": ["a", "b"]}"#).unwrap_err();
        assert!(matches!(error, FormError::Prompts(2)), "{error}");
        let error = Tokenize::parse(r#"{"prompt": "a", "messages": []}"#).unwrap_err();
        assert!(matches!(error, FormError::PromptOrMessages), "{error}");
    }

    #[test]
    fn what_there_is_not_is_named() {
        for (field, expected) in [
            (r#""n": 1, "logprobs": null, "echo": false, "suffix": """#, None),
            (
                r#""tools": null, "response_format": {"type": "text"}, "presence_penalty": 0"#,
                None,
            ),
            (r#""n": 2"#, Some("n")),
            (r#""logprobs": 3"#, Some("logprobs")),
            (r#""response_format": {"type": "json_object"}"#, Some("response_format")),
        ] {
            let asked = Asked::completion(&format!(r#"{{"model": "m", "prompt": "a", {field}}}"#));
            assert_eq!(asked.unwrap().sampling.unsupported, expected, "{field}");
        }
    }
}
