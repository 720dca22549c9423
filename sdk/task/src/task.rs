//! What a task implements, and what it says.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Prepared;
use crate::bindings::transducer::task::types;

/// A task. Export it with [`export!`](crate::export).
///
/// The functions are pure: each call runs in a fresh instance, and only [`State`](Task::State) goes from `prepare` to
/// `finish` and `score`.
pub trait Task {
    /// The request, read from JSON. Refuse unknown fields (`#[serde(deny_unknown_fields)]`): a user's typo is then an
    /// error instead of a default.
    type Request: DeserializeOwned;
    /// What `finish` has to know of the request. `()` where that is nothing.
    type State: Serialize + DeserializeOwned;
    /// The answer for programs, written as JSON.
    type Data: Serialize;

    /// Says what the task is. The host calls it once.
    fn describe() -> TaskInfo;

    /// Turns a request into a prompt.
    ///
    /// # Errors
    /// [`Error::invalid_request`] with what the user has to change.
    fn prepare(request: Self::Request) -> Result<Prepared<Self::State>, Error>;

    /// Turns what the LLM wrote into an answer. `generated` begins after [`Prepared::reply_start`].
    ///
    /// # Errors
    /// Where there can be no answer. A reply of no use is better an answer with a diagnostic.
    fn finish(state: Self::State, generated: &str) -> Result<Answer<Self::Data>, Error>;

    /// The task's own metrics, which an evaluation shows beside those that it has for any text. The host calls it once.
    fn metrics() -> Vec<Metric> {
        Vec::new()
    }

    /// What an answer is worth: a number from 0, the worst, to 1, the best, for each of [`metrics`](Task::metrics), in their
    /// order. An evaluation calls it, a request never.
    ///
    /// # Errors
    /// Where nothing can be said. It ends the evaluation: a bad answer has a low score instead.
    fn score(_state: Self::State, _judged: &Judged) -> Result<Vec<f64>, Error> {
        Err(Error::internal("the task has metrics and does not implement `score`"))
    }
}

/// A metric of the task's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub(crate) name: String,
    pub(crate) summary: String,
}

impl Metric {
    /// `name`: lower-case letters, digits and underscores, a letter first, at most 32. `summary`: one line on what it counts.
    pub fn new(name: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
        }
    }
}

/// An answer, and what a person wrote in the LLM's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// [`Answer::text`].
    pub answer: String,
    /// What the person wrote.
    pub reference: String,
    pub(crate) data: String,
    pub(crate) codes: Vec<String>,
}

impl Judged {
    /// [`Answer::data`], read back.
    ///
    /// # Errors
    /// Where it is of another type.
    pub fn data<Data: DeserializeOwned>(&self) -> Result<Data, Error> {
        serde_json::from_str(&self.data)
            .map_err(|error| Error::Internal(format!("cannot read the answer's data: {error}")))
    }

    /// The codes of the answer's remarks, in order.
    pub fn codes(&self) -> &[String] {
        &self.codes
    }
}

/// What a task says about itself.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) languages: Vec<String>,
    pub(crate) request_schema: String,
    pub(crate) answer_schema: String,
    pub(crate) examples: Vec<(String, String, String)>,
}

impl TaskInfo {
    /// `name`: lower-case letters, digits and dashes. `summary`: one line. `languages`: of the code it accepts.
    pub fn new<const N: usize>(name: &str, summary: &str, languages: [&str; N]) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
            languages: languages.map(str::to_owned).to_vec(),
            request_schema: "{}".to_owned(),
            answer_schema: "{}".to_owned(),
            examples: Vec::new(),
        }
    }

    /// The JSON Schema of requests.
    #[must_use]
    pub fn request_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.request_schema);
        self
    }

    /// The JSON Schema of [`Task::Data`].
    #[must_use]
    pub fn answer_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.answer_schema);
        self
    }

    /// A request to try (JSON), and what a good answer says.
    #[must_use]
    pub fn example(mut self, title: &str, request: &str, answer: &str) -> Self {
        self.examples
            .push((title.to_owned(), request.to_owned(), answer.to_owned()));
        self
    }
}

/// What the user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<Data> {
    /// For people.
    pub text: String,
    /// For programs.
    pub data: Data,
    pub(crate) diagnostics: Vec<types::Diagnostic>,
}

impl<Data> Answer<Data> {
    /// An answer with nothing to remark.
    pub fn new(text: impl Into<String>, data: Data) -> Self {
        Self {
            text: text.into(),
            data,
            diagnostics: Vec::new(),
        }
    }

    /// Good to know. `code` is a stable name in lower case with dashes.
    #[must_use]
    pub fn note(self, code: &str, message: impl Into<String>) -> Self {
        self.remark(types::Severity::Note, code, message)
    }

    /// The answer was repaired or may be wrong.
    #[must_use]
    pub fn warning(self, code: &str, message: impl Into<String>) -> Self {
        self.remark(types::Severity::Warning, code, message)
    }

    /// There is no usable answer.
    #[must_use]
    pub fn error(self, code: &str, message: impl Into<String>) -> Self {
        self.remark(types::Severity::Error, code, message)
    }

    /// The codes of all remarks, in order.
    pub fn codes(&self) -> Vec<&str> {
        self.diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code.as_str())
            .collect()
    }

    fn remark(mut self, severity: types::Severity, code: &str, message: impl Into<String>) -> Self {
        self.diagnostics.push(types::Diagnostic {
            severity,
            code: code.to_owned(),
            message: message.into(),
        });
        self
    }
}

impl PartialEq for types::Diagnostic {
    fn eq(&self, other: &Self) -> bool {
        (self.severity, &self.code, &self.message) == (other.severity, &other.code, &other.message)
    }
}

impl Eq for types::Diagnostic {}

/// Why a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request is at fault.
    InvalidRequest(String),
    /// The task is at fault.
    Internal(String),
}

impl Error {
    /// The request is at fault: say what was found, and what the user should give.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::InvalidRequest(message.into())
    }

    /// The task is at fault: a message for its author.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidRequest(message) => write!(f, "invalid request: {message}"),
            Error::Internal(message) => write!(f, "internal error: {message}"),
        }
    }
}

impl std::error::Error for Error {}
