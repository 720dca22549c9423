//! Chat templates: how a model wants a conversation written.
//!
//! A template is a Jinja program inside the model's own file, written for Hugging Face's `apply_chat_template`; the
//! environment here offers what that one does. What differs is safety: a prompt is made of [`PromptPiece`]s, so that
//! what a user wrote never becomes a special token, however much it looks like one.

mod functions;

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use self::functions::{Refusal, raise_exception, strftime_now, to_json};
use crate::gguf::{Gguf, GgufError, Optional};
use crate::tokenizer::{Encoding, MAX_TEXT_BYTES, Tokenizer, TokenizerError, read_json, token_name};

/// The largest template accepted. The longest published ones, with tool calling, come to some 20 KB.
pub const MAX_TEMPLATE_BYTES: usize = 256 << 10;

/// Jinja instructions that one rendering may take. A long conversation takes some thousands; the bound ends a template
/// that loops without end.
pub const MAX_TEMPLATE_STEPS: u64 = 2_000_000;

/// For a model without a template: the contents in order, with an empty line between them, and nothing else. That is
/// how a base model, which has never seen turns, is prompted.
const PLAIN: &str =
    "{% for message in messages %}{{ message.content }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}";

/// Why a conversation cannot be written for a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The GGUF file holds a template that is no string.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    /// A file of the folder cannot be read, or text not encoded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// The template is longer than [`MAX_TEMPLATE_BYTES`].
    #[error("the chat template has {bytes} bytes, at most {limit} are accepted")]
    TemplateTooLarge { bytes: usize, limit: usize },

    /// The template does not compile; nothing can be written for this model.
    #[error("the model's chat template is not valid Jinja, line {line}: {reason}")]
    Syntax { line: usize, reason: String },

    /// The template called `raise_exception`.
    #[error("the model's chat template refuses this conversation: {message}")]
    Refused { message: String },

    /// The template compiles, but not what it does with this conversation; or it takes more than
    /// [`MAX_TEMPLATE_STEPS`].
    #[error("the model's chat template failed in line {line}: {reason}")]
    Render { line: usize, reason: String },

    /// A content has no one place in the prompt.
    #[error(
        "the model's chat template writes the content of the {role} message {found} times instead of once: the \
         prompt cannot be split around it"
    )]
    ContentNotOnce { role: Role, found: usize },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// A run of a prompt, by where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptPiece {
    /// Written by the template; names of special tokens in it are those tokens ([`Tokenizer::encode_template`]).
    Template(String),
    /// Written by a person or a task; everything in it is text ([`Tokenizer::encode`]).
    Content(String),
}

/// What a model wants around the content of one user message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Before the content: the system message, and the opening of the user's turn.
    pub before: Vec<PromptPiece>,
    /// After the content: the end of the user's turn, and the opening of the assistant's.
    pub after: Vec<PromptPiece>,
}

/// A model's chat template, compiled.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special: SpecialNames,
    plain: bool,
}

/// The names of special tokens that a template may refer to, as `bos_token` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialNames {
    /// `bos_token`: begins a sequence.
    pub bos: Option<String>,
    /// `eos_token`: ends a sequence or a turn.
    pub eos: Option<String>,
    /// `unk_token`: stands for what the vocabulary cannot write.
    pub unknown: Option<String>,
    /// `pad_token`: fills a batch.
    pub padding: Option<String>,
}

/// The name under which the one template of an environment is kept.
const NAME: &str = "chat";

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`ChatError::Syntax`] and [`ChatError::TemplateTooLarge`].
    pub fn new(source: &str, special: SpecialNames) -> Result<Self, ChatError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(ChatError::TemplateTooLarge {
                bytes: source.len(),
                limit: MAX_TEMPLATE_BYTES,
            });
        }
        let unusable = |error: minijinja::Error| ChatError::Syntax {
            line: error.line().unwrap_or(0),
            reason: describe(&error),
        };
        let mut environment = Environment::new();
        // As Hugging Face sets up Jinja.
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(unusable)?,
        );
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(MAX_TEMPLATE_STEPS));
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(unusable)?;
        Ok(Self {
            environment,
            source: source.to_owned(),
            special,
            plain: false,
        })
    }

    /// For a model that has no template: the contents of the messages, in order, separated by an empty line; no
    /// special tokens.
    pub fn plain() -> Self {
        let template = Self::new(PLAIN, SpecialNames::default()).expect("the plain template is valid Jinja");
        Self {
            plain: true,
            ..template
        }
    }

    /// The template inside a GGUF file, or the plain one when there is none.
    ///
    /// # Errors
    /// As [`ChatTemplate::new`], and when an entry has the wrong type.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, ChatError> {
        let Some(source) = gguf.str("tokenizer.chat_template").optional()? else {
            return Ok(Self::plain());
        };
        let tokens = gguf.strings("tokenizer.ggml.tokens")?;
        let name = |key: &str| -> Result<Option<String>, GgufError> {
            Ok(gguf
                .u32(key)
                .optional()?
                .and_then(|id| tokens.get(id as usize))
                .cloned())
        };
        let special = SpecialNames {
            bos: name("tokenizer.ggml.bos_token_id")?,
            eos: name("tokenizer.ggml.eos_token_id")?,
            unknown: name("tokenizer.ggml.unknown_token_id")?,
            padding: name("tokenizer.ggml.padding_token_id")?,
        };
        Self::new(source, special)
    }

    /// The template of a Hugging Face folder (`chat_template.jinja`, else `chat_template` of
    /// `tokenizer_config.json`), or the plain one when there is none.
    ///
    /// # Errors
    /// As [`ChatTemplate::new`], and when a file cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self, ChatError> {
        let config = read_json(folder.join("tokenizer_config.json"))?;
        let path = folder.join("chat_template.jinja");
        let source = match std::fs::read_to_string(&path) {
            Ok(source) => Some(source),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => in_config(&config["chat_template"]),
            Err(source) => return Err(TokenizerError::Read { path, source }.into()),
        };
        let name = |key: &str| token_name(&config[key]).map(str::to_owned);
        match source {
            None => Ok(Self::plain()),
            Some(source) => Self::new(
                &source,
                SpecialNames {
                    bos: name("bos_token"),
                    eos: name("eos_token"),
                    unknown: name("unk_token"),
                    padding: name("pad_token"),
                },
            ),
        }
    }

    /// Whether this is the fall-back for a model without a template.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The template's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The whole prompt as text, exactly as Hugging Face's `apply_chat_template(tokenize=False)` writes it. For
    /// reading and for parity: a prompt for the model is made of [`ChatTemplate::pieces`].
    ///
    /// # Errors
    /// [`ChatError::Refused`] when the template rejects the conversation, [`ChatError::Render`] when it fails.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, ChatError> {
        let messages = messages.iter().map(|message| (message.role, message.content.as_str()));
        self.render_contents(messages, add_generation_prompt)
    }

    fn render_contents<'a>(
        &self,
        messages: impl Iterator<Item = (Role, &'a str)>,
        add_generation_prompt: bool,
    ) -> Result<String, ChatError> {
        let messages: Vec<Value> = messages
            .map(|(role, content)| context! { role => role.to_string(), content => content })
            .collect();
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template
            .render(context! {
                messages => messages,
                add_generation_prompt => add_generation_prompt,
                tools => (),
                documents => (),
                ..self.special.defined(),
            })
            .map_err(failed)
    }

    /// The prompt in pieces: what the template writes, and the contents of the messages in their places.
    ///
    /// The template is rendered with a marker for each content. So a template that looks into a content (cuts it, or
    /// decides by it) sees the marker; the contents themselves come out unchanged.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`], and [`ChatError::ContentNotOnce`].
    pub fn pieces(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<PromptPiece>, ChatError> {
        let markers: Vec<String> = (0..messages.len()).map(|index| self.marker(index)).collect();
        let marked = messages
            .iter()
            .zip(&markers)
            .map(|(message, marker)| (message.role, marker.as_str()));
        let rendered = self.render_contents(marked, add_generation_prompt)?;

        let mut places: Vec<(usize, usize)> = Vec::with_capacity(messages.len());
        for (index, (message, marker)) in messages.iter().zip(&markers).enumerate() {
            let mut found = rendered.match_indices(marker.as_str());
            match (found.next(), found.count()) {
                (Some((at, _)), 0) => places.push((at, index)),
                (first, more) => {
                    let found = usize::from(first.is_some()) + more;
                    return Err(ChatError::ContentNotOnce {
                        role: message.role,
                        found,
                    });
                }
            }
        }
        places.sort_unstable();

        let mut pieces = Vec::with_capacity(2 * places.len() + 1);
        let mut read = 0;
        let mut write = |piece: PromptPiece| match &piece {
            PromptPiece::Template(text) | PromptPiece::Content(text) if text.is_empty() => {}
            _ => pieces.push(piece),
        };
        for (at, index) in places {
            write(PromptPiece::Template(rendered[read..at].to_owned()));
            write(PromptPiece::Content(messages[index].content.clone()));
            read = at + markers[index].len();
        }
        write(PromptPiece::Template(rendered[read..].to_owned()));
        Ok(pieces)
    }

    /// What goes before and after the content of a single user message, up to where the assistant's answer begins,
    /// so that the content can be put in as text, as embeddings, or as a mixture of both.
    ///
    /// # Errors
    /// As [`ChatTemplate::pieces`].
    pub fn split(&self, system: Option<&str>) -> Result<Frame, ChatError> {
        // The content is found again by being the only piece with this text: a system message that holds it by
        // accident comes before it.
        let content = self.marker(usize::MAX);
        let mut messages: Vec<Message> = system
            .map(|text| Message::new(Role::System, text))
            .into_iter()
            .collect();
        messages.push(Message::new(Role::User, content.as_str()));
        let mut before = self.pieces(&messages, true)?;
        let place = before
            .iter()
            .rposition(|piece| *piece == PromptPiece::Content(content.clone()))
            .ok_or(ChatError::ContentNotOnce {
                role: Role::User,
                found: 0,
            })?;
        let after = before.split_off(place + 1);
        before.truncate(place);
        Ok(Frame { before, after })
    }

    /// A word that the template's source does not hold, so that finding it means finding the content. Letters and
    /// digits only: nothing for a template to trim or escape.
    fn marker(&self, index: usize) -> String {
        let mut marker = format!("Content{index}Of");
        while self.source.contains(&marker) {
            marker.push('X');
        }
        marker.push_str("TheMessage");
        marker
    }
}

impl Tokenizer {
    /// Encodes a prompt of pieces as if it were one text, except that special tokens come from template pieces alone.
    ///
    /// Text is cut into tokens across the borders of pieces (a line end of the template and the space with which a
    /// content begins may be one token), as in the conversations that the model was trained on. Offsets are bytes into
    /// all the pieces' texts put together.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_pieces(&self, pieces: &[PromptPiece]) -> Result<Encoding, TokenizerError> {
        let mut run = Run {
            tokenizer: self,
            text: String::new(),
            start: 0,
            encoding: Encoding::default(),
        };
        for piece in pieces {
            match piece {
                PromptPiece::Content(text) => run.text.push_str(text),
                PromptPiece::Template(text) => {
                    let found = self.encode_template(text)?;
                    let mut read = 0;
                    for (id, (start, end)) in found.ids.into_iter().zip(found.offsets) {
                        if self.is_special(id) {
                            run.text.push_str(&text[read..start as usize]);
                            read = end as usize;
                            run.special(id, end - start)?;
                        }
                    }
                    run.text.push_str(&text[read..]);
                }
            }
        }
        run.flush()?;
        Ok(run.encoding)
    }
}

/// Text between two special tokens, collected from pieces until it can be encoded.
struct Run<'a> {
    tokenizer: &'a Tokenizer,
    text: String,
    /// Where the text begins in the whole prompt.
    start: u32,
    encoding: Encoding,
}

impl Run<'_> {
    fn flush(&mut self) -> Result<(), TokenizerError> {
        let bytes = self.start as usize + self.text.len();
        if bytes > MAX_TEXT_BYTES {
            return Err(TokenizerError::TextTooLong {
                bytes,
                limit: MAX_TEXT_BYTES,
            });
        }
        let found = self.tokenizer.encode(&self.text)?;
        self.encoding.ids.extend(found.ids);
        self.encoding.offsets.extend(
            found
                .offsets
                .iter()
                .map(|(from, to)| (self.start + from, self.start + to)),
        );
        // Fits: the sum is below MAX_TEXT_BYTES.
        self.start += self.text.len() as u32;
        self.text.clear();
        Ok(())
    }

    fn special(&mut self, id: u32, bytes: u32) -> Result<(), TokenizerError> {
        self.flush()?;
        self.encoding.ids.push(id);
        self.encoding.offsets.push((self.start, self.start + bytes));
        self.start += bytes;
        Ok(())
    }
}

impl SpecialNames {
    /// The names that exist: a template asks `if bos_token is defined`.
    fn defined(&self) -> Value {
        let Self {
            bos,
            eos,
            unknown,
            padding,
        } = self;
        let named = [
            ("bos_token", bos),
            ("eos_token", eos),
            ("unk_token", unknown),
            ("pad_token", padding),
        ];
        Value::from_pairs(
            named
                .into_iter()
                .filter_map(|(key, name)| Some((key, name.as_deref()?))),
        )
    }
}

/// `chat_template` of `tokenizer_config.json`: one template, or a list of named ones of which `default` is meant.
fn in_config(value: &serde_json::Value) -> Option<String> {
    let named = || value.as_array()?.iter().find(|entry| entry["name"] == "default")?["template"].as_str();
    value.as_str().or_else(named).map(str::to_owned)
}

fn failed(error: minijinja::Error) -> ChatError {
    // The exception of the template's own comes wrapped in the places it passed through.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(refusal) = current.downcast_ref::<Refusal>() {
            return ChatError::Refused {
                message: refusal.0.clone(),
            };
        }
        cause = current.source();
    }
    ChatError::Render {
        line: error.line().unwrap_or(0),
        reason: describe(&error),
    }
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;
