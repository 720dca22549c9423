//! `GET /v1/models`, `POST /v1/completions`, `POST /v1/chat/completions`: OpenAI's routes, so that its clients can ask.
//!
//! Where `model` names an adapter, the text becomes the `code` of a request to it. Decoding is the task's own business, so that
//! `temperature` and the like are taken and change nothing. Where it names the base model, the frozen LLM writes by itself. A field
//! that asks for another kind of answer than there is (`tools`, `n`) is an error with both.

pub(crate) mod form;
pub(crate) mod wire;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use transducer_pipeline::{AdapterState, DecodingOptions, Event, FinishReason, Message as ChatMessage, Role, Service};

use self::form::{Asked, FormError, Input as Asks, Turn};
use self::wire::{ChatChoice, ChunkChoice, Delta, Frame, Model, ModelList, Said, TextChoice};
use crate::access::Caller;
use crate::body::json_text;
use crate::error::ApiError;
use crate::extract::Path;
use crate::record::Record;
use crate::running::{Input, Message, Plain, Reply, Running, Work};
use crate::state::Server;

/// The base model and each adapter that answers.
pub(crate) async fn models(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ModelList>, ApiError> {
    let data = known(&*server.ready()?, &caller);
    Ok(Json(ModelList { object: "list", data }))
}

/// One of them.
pub(crate) async fn model(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    caller.may_ask(&id)?;
    let found = known(&*server.ready()?, &caller)
        .into_iter()
        .find(|model| model.id == id);
    found.map(Json).ok_or_else(|| unknown(&id))
}

pub(crate) fn unknown(id: &str) -> ApiError {
    let message = format!("no model is named {id:?}: see GET /v1/models");
    ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message)
}

/// What the caller may ask for.
pub(crate) fn known(service: &dyn Service, caller: &Caller) -> Vec<Model> {
    let base = service.model();
    let model = |id: &str, parent: Option<&String>| Model {
        id: id.to_owned(),
        object: "model",
        created: 0,
        owned_by: "transducer-host",
        parent: parent.cloned(),
        max_model_len: base.context,
    };
    let adapters = service.adapters().into_iter();
    let ready = adapters.filter(|adapter| matches!(adapter.state, AdapterState::Ready(_)));
    let mut data = vec![model(&base.name, None)];
    data.extend(ready.map(|adapter| model(&adapter.name, Some(&base.name))));
    data.retain(|model| caller.sees(&model.id));
    data
}

pub(crate) async fn completions(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    body: Body,
) -> Result<Response, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    let asked = Asked::completion(&body).map_err(wrong)?;
    respond(server, caller, record, asked, Style::Completion).await
}

pub(crate) async fn chat(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    body: Body,
) -> Result<Response, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    let asked = Asked::chat(&body).map_err(wrong)?;
    respond(server, caller, record, asked, Style::Chat).await
}

pub(crate) fn wrong(error: FormError) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string())
}

/// Which of the two routes.
#[derive(Clone, Copy)]
enum Style {
    Completion,
    Chat,
}

/// What all parts of an answer say of it.
struct Frames {
    style: Style,
    model: String,
    id: String,
    created: u64,
    include_usage: bool,
}

async fn respond(
    server: Arc<Server>,
    caller: Caller,
    record: Arc<Record>,
    asked: Asked,
    style: Style,
) -> Result<Response, ApiError> {
    caller.may_ask(&asked.model)?;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let prefix = match style {
        Style::Completion => "cmpl",
        Style::Chat => "chatcmpl",
    };
    let frames = Frames {
        style,
        model: asked.model.clone(),
        id: format!("{prefix}-{:x}", created.as_nanos()),
        created: created.as_secs(),
        include_usage: asked.include_usage,
    };
    let (stream, is_base) = (asked.stream, asked.model == server.ready()?.model().name);
    let work = if is_base { plain(asked)? } else { task(asked)? };
    let mut running = Running::start(server, caller, record, work)?;
    if stream {
        running.begin().await?;
        return Ok(frames.stream(running, is_base));
    }
    Ok(frames.whole(&running.end().await?))
}

/// What an adapter is asked.
fn task(asked: Asked) -> Result<Work, ApiError> {
    refuse(asked.unsupported)?;
    Ok(Work::Task {
        body: json!({"code": asked.code}).to_string(),
        adapter: asked.model,
    })
}

/// What the base model is asked.
fn plain(asked: Asked) -> Result<Work, ApiError> {
    let sampling = asked.sampling;
    refuse(asked.unsupported.or(sampling.unsupported))?;
    Ok(Work::Plain(Plain {
        model: asked.model,
        input: read(asked.input, true, true)?,
        most_tokens: sampling.most_tokens,
        decoding: DecodingOptions {
            stop: sampling.stop,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: sampling.seed,
            ..DecodingOptions::default()
        },
    }))
}

/// Refuses a field that would be passed over in silence.
fn refuse(field: Option<&str>) -> Result<(), ApiError> {
    field.map_or(Ok(()), |field| {
        let message = format!("`{field}` asks for what this server does not do: leave it out");
        Err(ApiError::new(StatusCode::BAD_REQUEST, "unsupported_parameter", message))
    })
}

/// What the base model reads.
pub(crate) fn read(input: Asks, special: bool, opened: bool) -> Result<Input, ApiError> {
    let turn = |Turn { role, text }: Turn| {
        let role = match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                let message = format!("`messages` has the role {role:?}: there are system, user and assistant");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message));
            }
        };
        Ok(ChatMessage::new(role, text))
    };
    Ok(match input {
        Asks::Prompt(text) => Input::Prompt { text, special },
        Asks::Chat(turns) => Input::Chat {
            messages: turns.into_iter().map(turn).collect::<Result<_, _>>()?,
            opened,
        },
    })
}

impl Frames {
    fn frame<C>(&self, object: &'static str, choices: impl IntoIterator<Item = C>) -> Frame<C> {
        Frame {
            id: self.id.clone(),
            object,
            created: self.created,
            model: self.model.clone(),
            choices: choices.into_iter().collect(),
            usage: None,
            system_fingerprint: None,
        }
    }

    fn whole(&self, reply: &Reply) -> Response {
        let (text, finish) = (reply.text().to_owned(), Some(reply.finish_reason()));
        match self.style {
            Style::Completion => self.sealed("text_completion", text_choice(text, finish), reply),
            Style::Chat => {
                let choice = ChatChoice {
                    index: 0,
                    message: Said {
                        role: "assistant",
                        content: text,
                    },
                    logprobs: None,
                    finish_reason: finish,
                };
                self.sealed("chat.completion", choice, reply)
            }
        }
    }

    fn sealed<C: Serialize>(&self, object: &'static str, choice: C, reply: &Reply) -> Response {
        let frame = Frame {
            usage: Some(reply.usage().into()),
            system_fingerprint: reply.generation().map(str::to_owned),
            ..self.frame(object, [choice])
        };
        Json(frame).into_response()
    }

    /// The text of the base model comes as it is written. An adapter's comes in one part, at its end: what a task makes of the whole
    /// may begin otherwise than what the model wrote, and a client puts the parts together; it shall have the same answer as without a
    /// stream. The pieces as the model writes them are what `/v1/tasks/{adapter}` streams.
    fn stream(self, running: Running, as_written: bool) -> Response {
        struct State {
            frames: Frames,
            running: Option<Running>,
            as_written: bool,
            /// Whether a part of the text was sent.
            begun: bool,
            ready: VecDeque<String>,
        }
        let state = State {
            frames: self,
            running: Some(running),
            as_written,
            begun: false,
            ready: VecDeque::new(),
        };
        let events = stream::unfold(state, async |mut state| {
            loop {
                if let Some(data) = state.ready.pop_front() {
                    return Some((Ok::<_, Infallible>(sse::Event::default().data(data)), state));
                }
                match state.running.as_mut()?.next().await {
                    Message::Event(Event::Text(text)) if state.as_written => {
                        state.ready.push_back(state.frames.part(text, !state.begun));
                        state.begun = true;
                    }
                    Message::Event(_) => {}
                    Message::Done(result) => {
                        state.running = None;
                        match result {
                            Ok(reply) => {
                                if !state.begun {
                                    let text = if state.as_written { "" } else { reply.text() };
                                    state.ready.push_back(state.frames.part(text.to_owned(), true));
                                }
                                state.ready.extend(state.frames.ends(&reply));
                            }
                            Err(error) => state.ready.push_back(json!(error.envelope()).to_string()),
                        }
                        state.ready.push_back("[DONE]".to_owned());
                    }
                }
            }
        });
        Sse::new(Box::pin(events))
            .keep_alive(KeepAlive::default())
            .into_response()
    }

    /// A part of the text.
    fn part(&self, text: String, is_first: bool) -> String {
        let delta = Delta {
            role: is_first.then_some("assistant"),
            content: Some(text),
        };
        match self.style {
            Style::Completion => self.text_part([text_choice(delta.content.unwrap_or_default(), None)], None),
            Style::Chat => self.chat_part([chunk_choice(delta, None)], None),
        }
    }

    /// What comes after the last part of the text.
    fn ends(&self, reply: &Reply) -> Vec<String> {
        let finish = Some(reply.finish_reason());
        let mut ends = vec![match self.style {
            Style::Completion => self.text_part([text_choice(String::new(), finish)], None),
            Style::Chat => self.chat_part([chunk_choice(Delta::default(), finish)], None),
        }];
        if self.include_usage {
            ends.push(match self.style {
                Style::Completion => self.text_part([], Some(reply)),
                Style::Chat => self.chat_part([], Some(reply)),
            });
        }
        ends
    }

    fn text_part(&self, choices: impl IntoIterator<Item = TextChoice>, counts: Option<&Reply>) -> String {
        let frame = Frame {
            usage: counts.map(|reply| reply.usage().into()),
            ..self.frame("text_completion", choices)
        };
        json!(frame).to_string()
    }

    fn chat_part(&self, choices: impl IntoIterator<Item = ChunkChoice>, counts: Option<&Reply>) -> String {
        let frame = Frame {
            usage: counts.map(|reply| reply.usage().into()),
            ..self.frame("chat.completion.chunk", choices)
        };
        json!(frame).to_string()
    }
}

fn text_choice(text: String, finish_reason: Option<FinishReason>) -> TextChoice {
    TextChoice {
        index: 0,
        text,
        logprobs: None,
        finish_reason,
    }
}

fn chunk_choice(delta: Delta, finish_reason: Option<FinishReason>) -> ChunkChoice {
    ChunkChoice {
        index: 0,
        delta,
        logprobs: None,
        finish_reason,
    }
}
