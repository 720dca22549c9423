//! `GET /v1/models`, `POST /v1/completions`, `POST /v1/chat/completions`: OpenAI's routes, so that its clients can ask.
//!
//! `model` names an adapter, and the text becomes the `code` of a request to it. Decoding is the task's own business, so that
//! `temperature` and the like are taken and change nothing.

mod form;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use transducer_pipeline::{AdapterState, Answer, FinishReason};

use self::form::{Asked, FormError};
use super::tasks::{Message, Running};
use crate::body::json_text;
use crate::error::ApiError;
use crate::state::Server;

/// The base model and each adapter that answers.
pub(crate) async fn models(State(server): State<Arc<Server>>) -> Result<Json<Value>, ApiError> {
    let service = server.ready()?;
    let base = &service.model().name;
    let model = |id: &str, parent: Option<&str>| json!({"id": id, "object": "model", "created": 0, "owned_by": "transducer-host", "parent": parent});
    let adapters = service.adapters();
    let ready = adapters
        .iter()
        .filter(|adapter| matches!(adapter.state, AdapterState::Ready(_)));
    let mut data = vec![model(base, None)];
    data.extend(ready.map(|adapter| model(&adapter.name, Some(base))));
    Ok(Json(json!({"object": "list", "data": data})))
}

pub(crate) async fn completions(State(server): State<Arc<Server>>, body: Body) -> Result<Response, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    respond(server, Asked::completion(&body).map_err(wrong)?, Style::Completion).await
}

pub(crate) async fn chat(State(server): State<Arc<Server>>, body: Body) -> Result<Response, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    respond(server, Asked::chat(&body).map_err(wrong)?, Style::Chat).await
}

fn wrong(error: FormError) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string())
}

/// Which of the two routes.
#[derive(Clone, Copy)]
enum Style {
    Completion,
    Chat,
}

/// What all parts of an answer say of it.
struct Reply {
    style: Style,
    model: String,
    id: String,
    created: u64,
    include_usage: bool,
}

async fn respond(server: Arc<Server>, asked: Asked, style: Style) -> Result<Response, ApiError> {
    if asked.model == server.ready()?.model().name {
        let message = "the base model is asked through adapters only: `model` names one, see GET /v1/models";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "base_model", message));
    }
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let prefix = match style {
        Style::Completion => "cmpl",
        Style::Chat => "chatcmpl",
    };
    let reply = Reply {
        style,
        model: asked.model.clone(),
        id: format!("{prefix}-{:x}", created.as_nanos()),
        created: created.as_secs(),
        include_usage: asked.include_usage,
    };
    let running = Running::start(server, asked.model, json!({"code": asked.code}).to_string())?;
    if asked.stream {
        return Ok(reply.stream(running));
    }
    Ok(Json(reply.whole(&finished(running).await?)).into_response())
}

impl Reply {
    fn frame(&self, object: &str, choices: Value) -> Value {
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices})
    }

    fn whole(&self, answer: &Answer) -> Value {
        let (text, finish) = (&answer.text, answer.finish_reason);
        let mut whole = match self.style {
            Style::Completion => self.frame(
                "text_completion",
                json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]),
            ),
            Style::Chat => {
                let message = json!({"role": "assistant", "content": text});
                self.frame(
                    "chat.completion",
                    json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}]),
                )
            }
        };
        whole["usage"] = usage(answer);
        whole["system_fingerprint"] = json!(answer.generation);
        whole
    }

    /// A part of the text, or with a reason the end of it.
    fn part(&self, text: &str, finish: Option<FinishReason>) -> Value {
        match self.style {
            Style::Completion => self.frame(
                "text_completion",
                json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]),
            ),
            Style::Chat => {
                let delta = if finish.is_some() {
                    json!({})
                } else {
                    json!({"role": "assistant", "content": text})
                };
                self.frame(
                    "chat.completion.chunk",
                    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
                )
            }
        }
    }

    /// The text comes in one part, at its end. What a task makes of the whole may begin otherwise than what the model wrote,
    /// and a client puts the parts together: it shall have the same answer as without a stream. The pieces as the model
    /// writes them are what `/v1/tasks/{adapter}` streams.
    fn stream(self, running: Running) -> Response {
        let events = stream::once(async move {
            let mut values = match finished(running).await {
                Ok(answer) => self.parts(&answer),
                Err(error) => vec![json!(error.envelope())],
            };
            let events = values
                .drain(..)
                .map(|value| sse::Event::default().data(value.to_string()));
            let events: Vec<_> = events.chain([sse::Event::default().data("[DONE]")]).collect();
            stream::iter(events.into_iter().map(Ok::<_, Infallible>))
        });
        Sse::new(Box::pin(events.flatten()))
            .keep_alive(KeepAlive::default())
            .into_response()
    }

    fn parts(&self, answer: &Answer) -> Vec<Value> {
        let mut parts = vec![self.part(&answer.text, None), self.part("", Some(answer.finish_reason))];
        if self.include_usage {
            let mut counts = self.part("", None);
            counts["choices"] = json!([]);
            counts["usage"] = usage(answer);
            parts.push(counts);
        }
        parts
    }
}

async fn finished(mut running: Running) -> Result<Answer, ApiError> {
    loop {
        if let Message::Done(result) = running.next().await {
            return result;
        }
    }
}

fn usage(answer: &Answer) -> Value {
    let (prompt, completion) = (answer.usage.prompt_tokens, answer.usage.completion_tokens);
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}
