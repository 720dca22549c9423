//! What OpenAI's clients send, and what it asks for. Text comes in and a value comes out, so that a fuzzer gets at it without a
//! server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    /// A field that asks for an answer of a kind that there is not here.
    pub(crate) unsupported: Option<&'static str>,
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
    /// A field that asks for a way of writing that there is not here.
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
    #[error("`prompt` is a list of {0} token ids: give the text (POST /detokenize makes it of them)")]
    TokenIds(usize),
    #[error("`messages` has a part of type {0:?}: only `text` is read")]
    Part(String),
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
            Prompt::Tokens(ids) => return Err(FormError::TokenIds(ids.len())),
            Prompt::Lists(lists) => return Err(FormError::TokenIds(lists.iter().map(Vec::len).sum())),
        };
        let most_tokens = common.most_tokens().or(Some(COMPLETION_TOKENS));
        Ok(Self::of(common, prompt.clone(), Input::Prompt(prompt), most_tokens))
    }

    /// Of the body of `POST /v1/chat/completions`.
    pub(crate) fn chat(body: &str) -> Result<Self, FormError> {
        let ChatForm { common, messages } = serde_json::from_str(body)?;
        let input = Input::chat(&messages)?;
        let last = messages.iter().rev().find(|message| message.role == "user");
        let text = last.ok_or(FormError::NoUser)?.content.text();
        let code = fenced(&text).unwrap_or(&text).to_owned();
        let most_tokens = common.most_tokens();
        Ok(Self::of(common, code, input, most_tokens))
    }

    fn of(common: Common, code: String, input: Input, most_tokens: Option<usize>) -> Self {
        Self {
            unsupported: common.unsupported(Kind::Answer),
            sampling: Sampling {
                most_tokens,
                temperature: common.temperature.unwrap_or(1.0),
                top_p: common.top_p.unwrap_or(1.0),
                // Others say "all" by a negative number.
                top_k: common.top_k.and_then(|count| count.try_into().ok()).unwrap_or(0),
                // Any 64 bits are a seed.
                seed: common.seed.map(|seed| seed as u64),
                unsupported: common.unsupported(Kind::Writing),
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
            (None, Some(messages)) => Input::chat(&messages)?,
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
    fn chat(messages: &[ChatMessage]) -> Result<Self, FormError> {
        for message in messages {
            message.content.check()?;
        }
        let turn = |message: &ChatMessage| Turn {
            role: message.role.clone(),
            text: message.content.text(),
        };
        Ok(Self::Chat(messages.iter().map(turn).collect()))
    }
}

/// What both routes take. What says how to write is for the base model: an adapter's decoding is its task's own business. Fields
/// that are not here are let through, but for those of [`NOT_HERE`].
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
    /// Fields that are not here.
    #[serde(flatten)]
    #[schemars(skip)]
    rest: Map<String, Value>,
}

/// What a field that there is not here asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Another kind of answer.
    Answer,
    /// Another way of writing, which is an adapter's own business.
    Writing,
}

/// Fields of OpenAI's and vLLM's that change the answer and are not here, with the number that asks for nothing.
const NOT_HERE: &[(Kind, &str, f64)] = &[
    (Kind::Answer, "functions", 0.0),
    (Kind::Answer, "top_logprobs", 0.0),
    (Kind::Answer, "prompt_logprobs", f64::NAN),
    (Kind::Answer, "guided_json", f64::NAN),
    (Kind::Answer, "guided_regex", f64::NAN),
    (Kind::Answer, "guided_choice", f64::NAN),
    (Kind::Answer, "guided_grammar", f64::NAN),
    (Kind::Answer, "structured_outputs", f64::NAN),
    (Kind::Writing, "logit_bias", f64::NAN),
    (Kind::Writing, "min_p", 0.0),
    (Kind::Writing, "repetition_penalty", 1.0),
    (Kind::Writing, "min_tokens", 0.0),
    (Kind::Writing, "ignore_eos", 0.0),
    (Kind::Writing, "stop_token_ids", f64::NAN),
    (Kind::Writing, "allowed_token_ids", f64::NAN),
    (Kind::Writing, "bad_words", f64::NAN),
    (Kind::Writing, "use_beam_search", 0.0),
];

/// Whether a value asks for something: none, false, what is empty and the neutral number do not.
fn asks(value: &Value, neutral: f64) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(neutral),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

impl Common {
    fn most_tokens(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// The first field that asks for something that there is not here. Passed over in silence it would change the answer.
    fn unsupported(&self, kind: Kind) -> Option<&'static str> {
        use Kind::{Answer, Writing};
        let given = |value: &Option<Value>| value.as_ref().is_some_and(|value| asks(value, f64::NAN));
        let other = |count: Option<u32>| count.is_some_and(|count| count != 1);
        let penalty = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
        let is_text = |format: &Value| format.is_null() || format["type"] == "text";
        let modalities = self.rest.get("modalities");
        // "none" and "auto" are content with a text.
        let must_call = |name: &str| {
            let choice = self.rest.get(name);
            choice.is_some_and(|choice| asks(choice, f64::NAN) && choice != "none" && choice != "auto")
        };
        let asked = [
            (Answer, "n", other(self.n)),
            (Writing, "best_of", other(self.best_of)),
            (Answer, "echo", self.echo == Some(true)),
            (Answer, "logprobs", given(&self.logprobs)),
            (
                Answer,
                "suffix",
                self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()),
            ),
            (Writing, "frequency_penalty", penalty(self.frequency_penalty)),
            (Writing, "presence_penalty", penalty(self.presence_penalty)),
            (Answer, "tools", given(&self.tools)),
            (Answer, "tool_choice", must_call("tool_choice")),
            (Answer, "function_call", must_call("function_call")),
            (
                Answer,
                "response_format",
                self.response_format.as_ref().is_some_and(|format| !is_text(format)),
            ),
            (
                Answer,
                "modalities",
                modalities.is_some_and(|kinds| asks(kinds, f64::NAN) && *kinds != json!(["text"])),
            ),
        ];
        let rest = NOT_HERE.iter().map(|(kind, name, neutral)| {
            let value = self.rest.get(*name);
            (*kind, *name, value.is_some_and(|value| asks(value, *neutral)))
        });
        asked
            .into_iter()
            .chain(rest)
            .find(|(asked, _, asks)| *asked == kind && *asks)
            .map(|(_, name, _)| name)
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
    /// Of a text, or of several, which are not taken. They are told from what is no prompt at all.
    #[schemars(skip)]
    Tokens(Vec<u32>),
    #[schemars(skip)]
    Lists(Vec<Vec<u32>>),
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
    /// Only `text`.
    r#type: Option<String>,
    #[serde(default)]
    text: String,
}

impl Content {
    /// Whether all of it is text: a picture that was passed over would leave a question about nothing.
    fn check(&self) -> Result<(), FormError> {
        let Self::Parts(parts) = self else {
            return Ok(());
        };
        let mut kinds = parts.iter().filter_map(|part| part.r#type.as_ref());
        match kinds.find(|kind| *kind != "text") {
            Some(kind) => Err(FormError::Part(kind.clone())),
            None => Ok(()),
        }
    }

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
        for (field, for_all, for_base) in [
            (r#""n": 1, "logprobs": null, "echo": false, "suffix": """#, None, None),
            (r#""tools": [], "response_format": {"type": "text"}"#, None, None),
            (
                r#""presence_penalty": 0, "min_p": 0.0, "repetition_penalty": 1"#,
                None,
                None,
            ),
            (
                r#""logit_bias": {}, "modalities": ["text"], "ignore_eos": false"#,
                None,
                None,
            ),
            (r#""user": "a", "store": true, "seed": 3"#, None, None),
            (r#""tool_choice": "none", "function_call": "auto""#, None, None),
            (r#""tool_choice": "required""#, Some("tool_choice"), None),
            (r#""function_call": {"name": "f"}"#, Some("function_call"), None),
            (r#""n": 2"#, Some("n"), None),
            (r#""logprobs": 3"#, Some("logprobs"), None),
            (r#""tools": [{}]"#, Some("tools"), None),
            (r#""functions": [{}]"#, Some("functions"), None),
            (
                r#""response_format": {"type": "json_object"}"#,
                Some("response_format"),
                None,
            ),
            (r#""modalities": ["text", "audio"]"#, Some("modalities"), None),
            (r#""top_logprobs": 2"#, Some("top_logprobs"), None),
            (r#""guided_json": {"type": "object"}"#, Some("guided_json"), None),
            (r#""logit_bias": {"50256": -100}"#, None, Some("logit_bias")),
            (r#""min_p": 0.1"#, None, Some("min_p")),
            (r#""repetition_penalty": 1.1"#, None, Some("repetition_penalty")),
            (r#""min_tokens": 4"#, None, Some("min_tokens")),
            (r#""ignore_eos": true"#, None, Some("ignore_eos")),
            (r#""stop_token_ids": [0]"#, None, Some("stop_token_ids")),
        ] {
            let asked = Asked::completion(&format!(r#"{{"model": "m", "prompt": "a", {field}}}"#)).unwrap();
            let found = (asked.unsupported, asked.sampling.unsupported);
            assert_eq!(found, (for_all, for_base), "{field}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_passed_over() {
        for prompt in ["[1, 2]", "[[1, 2], [3]]"] {
            let error = Asked::completion(&format!(r#"{{"model": "m", "prompt": {prompt}}}"#)).unwrap_err();
            assert!(matches!(error, FormError::TokenIds(2 | 3)), "{error}");
        }
        let picture = r#"[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "b"}}]"#;
        let messages = format!(r#""messages": [{{"role": "user", "content": {picture}}}]"#);
        let error = Asked::chat(&format!(r#"{{"model": "m", {messages}}}"#)).unwrap_err();
        assert!(error.to_string().contains("image_url"), "{error}");
        assert!(Tokenize::parse(&format!("{{{messages}}}")).is_err());
    }
}
