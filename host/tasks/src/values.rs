//! What comes out of a task, checked: behind this door nothing is checked again.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use wasmtime::component::ResourceTable;

use crate::bindings::types;
use crate::bindings::v1_1::scorer;
use crate::limits::{MAX_BEAMS, MAX_METRIC_NAME, MAX_METRICS, MAX_STOP_BYTES, MAX_STOP_STRINGS, TaskLimits};
use crate::{Call, ParsedCode, TaskError};

/// What a task is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskInfo {
    /// Lower-case letters, digits and dashes: `summarize`.
    pub name: String,
    /// One line: what the task does.
    pub summary: String,
    /// Languages of code that it accepts: `java`, `python`. At least one.
    pub languages: Vec<String>,
    /// JSON Schema of its requests: an object.
    pub request_schema: Value,
    /// JSON Schema of [`Answer::data`]: an object.
    pub answer_schema: Value,
    /// Requests to try.
    pub examples: Vec<Example>,
    /// Its own metrics, in the order of [`Task::score`](crate::Task::score). None where it has none, or was built for a
    /// world without.
    pub metrics: Vec<Metric>,
}

/// A metric of a task's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Lower-case letters, digits and underscores, a letter first. Once in a task.
    pub name: String,
    /// One line: what it counts.
    pub summary: String,
}

/// A request to try.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// The request.
    pub request: Value,
    /// What a good answer says.
    pub answer: String,
}

/// A prompt, how to decode the reply, and what `finish` has to know.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The system turn; `None` leaves the choice to the chat template.
    pub system: Option<String>,
    /// The user's turn: the segments one after the other, with nothing between. At least one, not all empty.
    pub segments: Vec<Segment>,
    /// How the assistant's reply begins. The LLM goes on from here.
    pub reply_start: Option<String>,
    /// How to decode.
    pub decoding: Decoding,
    /// For [`Task::finish`](crate::Task::finish), unread.
    pub state: Vec<u8>,
}

/// A piece of the prompt.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Text as it stands.
    Text(String),
    /// Code with its graph: what a transducer enriches.
    Code(Arc<ParsedCode>),
}

impl Segment {
    /// Its text in the prompt.
    pub fn text(&self) -> &str {
        match self {
            Segment::Text(text) => text,
            Segment::Code(code) => &code.source,
        }
    }
}

/// How the LLM picks tokens. All numbers are finite and in range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decoding {
    /// The reply is cut after so many tokens. From 1 to [`TaskLimits::new_tokens`].
    pub max_new_tokens: u32,
    /// The reply ends before the first of these. None is empty.
    pub stop: Vec<String>,
    /// 0 is greedy. Not negative.
    pub temperature: f32,
    /// How many of the likeliest tokens are considered; 0 is all.
    pub top_k: u32,
    /// Only the likeliest tokens that together have this probability are considered. Above 0, at most 1.
    pub top_p: f32,
    /// Beams of a beam search; 1 is none. With more, the temperature is 0.
    pub beams: u32,
}

/// What the user gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// For people.
    pub text: String,
    /// For programs: by the task's own schema.
    pub data: Value,
    /// Remarks on this answer.
    pub diagnostics: Vec<Diagnostic>,
}

/// A remark on an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for programs: `no-assertion`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// The answer was repaired or may be wrong.
    Warning,
    /// There is no usable answer.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

fn invalid(call: Call, message: impl Into<String>) -> TaskError {
    TaskError::InvalidOutput {
        call,
        message: message.into(),
    }
}

fn check_size(call: Call, what: &'static str, found: usize, limit: usize) -> Result<(), TaskError> {
    if found <= limit {
        return Ok(());
    }
    Err(TaskError::OutputTooLarge {
        call,
        what,
        limit,
        found: Some(found),
    })
}

impl TaskInfo {
    pub(crate) fn validated(info: types::TaskInfo) -> Result<Self, TaskError> {
        let invalid = |message: String| Err(invalid(Call::Describe, message));
        let name = &info.name;
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return invalid(format!(
                "the name is {name:?}; expected 1 to 64 lower-case letters, digits and dashes"
            ));
        }
        if info.summary.is_empty() || info.summary.contains('\n') {
            return invalid(format!("the summary is {:?}; expected one line", info.summary));
        }
        if info.languages.is_empty() || info.languages.iter().any(String::is_empty) {
            return invalid(format!(
                "the languages are {:?}; expected one name or more",
                info.languages
            ));
        }
        let examples = info.examples.into_iter().map(|example| {
            let what = format!("the request of example {:?}", example.title);
            Ok(Example {
                request: json(Call::Describe, &what, &example.request)?,
                title: example.title,
                answer: example.answer,
            })
        });
        Ok(Self {
            name: info.name,
            summary: info.summary,
            languages: info.languages,
            request_schema: schema("the request schema", &info.request_schema)?,
            answer_schema: schema("the answer schema", &info.answer_schema)?,
            examples: examples.collect::<Result<_, _>>()?,
            metrics: Vec::new(),
        })
    }
}

/// The metrics of a task.
pub(crate) fn metrics(metrics: Vec<scorer::Metric>) -> Result<Vec<Metric>, TaskError> {
    const CALL: Call = Call::Metrics;
    check_size(CALL, "the number of metrics", metrics.len(), MAX_METRICS)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let mut checked: Vec<Metric> = Vec::with_capacity(metrics.len());
    for scorer::Metric { name, summary } in metrics {
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        if !begins || name.len() > MAX_METRIC_NAME || !name.bytes().all(allowed) {
            return Err(invalid(
                CALL,
                format!(
                    "a metric is named {name:?}; expected 1 to {MAX_METRIC_NAME} lower-case letters, digits and underscores, a \
                     letter first"
                ),
            ));
        }
        if checked.iter().any(|other| other.name == name) {
            return Err(invalid(CALL, format!("two metrics are named {name:?}")));
        }
        if summary.is_empty() || summary.contains('\n') {
            let message = format!("the summary of the metric {name:?} is {summary:?}; expected one line");
            return Err(invalid(CALL, message));
        }
        checked.push(Metric { name, summary });
    }
    Ok(checked)
}

/// A score for each metric.
pub(crate) fn checked_scores(scores: Vec<f64>, metrics: &[Metric]) -> Result<Vec<f64>, TaskError> {
    if scores.len() != metrics.len() {
        let message = format!("there are {} scores for {} metrics", scores.len(), metrics.len());
        return Err(invalid(Call::Score, message));
    }
    let wrong = |(score, _): &(&f64, &Metric)| !(0.0..=1.0).contains(*score);
    match scores.iter().zip(metrics).find(wrong) {
        None => Ok(scores),
        Some((score, metric)) => Err(invalid(
            Call::Score,
            format!("{:?} is {score}; expected a number from 0 to 1", metric.name),
        )),
    }
}

fn json(call: Call, what: &str, text: &str) -> Result<Value, TaskError> {
    serde_json::from_str(text).map_err(|error| invalid(call, format!("{what} is not JSON: {error}")))
}

fn schema(what: &str, text: &str) -> Result<Value, TaskError> {
    let value = json(Call::Describe, what, text)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(invalid(Call::Describe, format!("{what} must be an object")))
}

impl Prepared {
    /// Takes the code segments out of `graphs`.
    pub(crate) fn validated(
        prepared: types::Prepared,
        graphs: &mut ResourceTable,
        limits: &TaskLimits,
    ) -> Result<Self, TaskError> {
        const CALL: Call = Call::Prepare;
        check_size(CALL, "the number of segments", prepared.segments.len(), limits.segments)?;
        check_size(CALL, "the state, in bytes,", prepared.state.len(), limits.state_bytes)?;
        let mut segments = Vec::with_capacity(prepared.segments.len());
        for segment in prepared.segments {
            segments.push(match segment {
                types::Segment::Text(text) => Segment::Text(text),
                types::Segment::Code(graph) => match graphs.delete(graph) {
                    Ok(graph) => Segment::Code(graph.0),
                    Err(error) => return Err(invalid(CALL, format!("a code segment holds no graph: {error}"))),
                },
            });
        }
        let around = [&prepared.system, &prepared.reply_start];
        let around: usize = around.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
        let user: usize = segments.iter().map(|segment| segment.text().len()).sum();
        check_size(CALL, "the prompt, in bytes,", around + user, limits.output_bytes)?;
        if user == 0 {
            return Err(invalid(CALL, "the prompt is empty: there is no segment with text"));
        }
        Ok(Self {
            system: prepared.system,
            segments,
            reply_start: prepared.reply_start,
            decoding: Decoding::validated(prepared.decoding, limits)?,
            state: prepared.state,
        })
    }

    /// The user's turn as text.
    pub fn user_text(&self) -> String {
        self.segments.iter().map(Segment::text).collect()
    }
}

impl Decoding {
    fn validated(decoding: types::Decoding, limits: &TaskLimits) -> Result<Self, TaskError> {
        let types::Decoding {
            max_new_tokens,
            stop,
            temperature,
            top_k,
            top_p,
            beams,
        } = decoding;
        let wrong = |what: String| Err(invalid(Call::Prepare, format!("decoding: {what}")));
        if !(1..=limits.new_tokens).contains(&max_new_tokens) {
            return wrong(format!(
                "max-new-tokens is {max_new_tokens}; allowed are 1 to {}",
                limits.new_tokens
            ));
        }
        if stop.len() > MAX_STOP_STRINGS {
            return wrong(format!(
                "there are {} stop strings; allowed are {MAX_STOP_STRINGS}",
                stop.len()
            ));
        }
        if let Some(text) = stop.iter().find(|text| text.is_empty() || text.len() > MAX_STOP_BYTES) {
            return wrong(format!(
                "a stop string has {} bytes; allowed are 1 to {MAX_STOP_BYTES}",
                text.len()
            ));
        }
        if !temperature.is_finite() || temperature < 0.0 {
            return wrong(format!("temperature is {temperature}; expected a number from 0"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return wrong(format!("top-p is {top_p}; expected a number above 0, at most 1"));
        }
        if !(1..=MAX_BEAMS).contains(&beams) {
            return wrong(format!("beams is {beams}; allowed are 1 to {MAX_BEAMS}"));
        }
        if beams > 1 && temperature != 0.0 {
            return wrong(format!(
                "a beam search ({beams} beams) needs temperature 0, found {temperature}"
            ));
        }
        Ok(Self {
            max_new_tokens,
            stop,
            temperature,
            top_k,
            top_p,
            beams,
        })
    }
}

impl Answer {
    pub(crate) fn validated(answer: types::Answer, limits: &TaskLimits) -> Result<Self, TaskError> {
        const CALL: Call = Call::Finish;
        check_size(
            CALL,
            "the answer, in bytes,",
            answer.text.len() + answer.data.len(),
            limits.output_bytes,
        )?;
        check_size(
            CALL,
            "the number of diagnostics",
            answer.diagnostics.len(),
            limits.diagnostics,
        )?;
        let diagnostics = answer.diagnostics.into_iter().map(|diagnostic| Diagnostic {
            severity: match diagnostic.severity {
                types::Severity::Note => Severity::Note,
                types::Severity::Warning => Severity::Warning,
                types::Severity::Error => Severity::Error,
            },
            code: diagnostic.code,
            message: diagnostic.message,
        });
        Ok(Self {
            data: json(CALL, "`data`", &answer.data)?,
            text: answer.text,
            diagnostics: diagnostics.collect(),
        })
    }
}

impl From<&Answer> for types::Answer {
    fn from(answer: &Answer) -> Self {
        let diagnostics = answer.diagnostics.iter().map(|diagnostic| types::Diagnostic {
            severity: match diagnostic.severity {
                Severity::Note => types::Severity::Note,
                Severity::Warning => types::Severity::Warning,
                Severity::Error => types::Severity::Error,
            },
            code: diagnostic.code.clone(),
            message: diagnostic.message.clone(),
        });
        Self {
            text: answer.text.clone(),
            data: answer.data.to_string(),
            diagnostics: diagnostics.collect(),
        }
    }
}
