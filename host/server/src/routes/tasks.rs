//! `POST /v1/tasks/{adapter}`: one request, in the form of the adapter's own task.
//!
//! The answer is a JSON object; with `Accept: text/event-stream` or `?stream=true` it is a stream of server-sent
//! events: `started`, then `text` for each piece of generated text, then `answer` (or `error`), then `[DONE]`. What is refused
//! before there is text is answered without a stream, with its own status.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use serde::Deserialize;
use transducer_pipeline::Event;

use crate::access::Caller;
use crate::body::json_text;
use crate::error::ApiError;
use crate::extract::{Path, Query};
use crate::record::Record;
use crate::running::{Message, Reply, Running, Work};
use crate::state::Server;

#[derive(Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    stream: bool,
}

pub(crate) async fn answer(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    Path(adapter): Path<String>,
    Query(form): Query<Form>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.may_ask(&adapter)?;
    let body = json_text(body, server.options.max_body_bytes).await?;
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/event-stream"));
    let wants_stream = form.stream || headers.get(header::ACCEPT).is_some_and(accepts);
    let mut running = Running::start(server, caller, record, Work::Task { adapter, body })?;
    if wants_stream {
        running.begin().await?;
        return Ok(events(running));
    }
    Ok(Json(running.end().await?).into_response())
}

fn events(running: Running) -> Response {
    /// What comes next in the stream.
    enum Next {
        Message(Running),
        Done,
        End,
    }
    let events = stream::unfold(Next::Message(running), async |next| match next {
        Next::Message(mut running) => match running.next().await {
            Message::Event(event) => Some((progress(&event), Next::Message(running))),
            Message::Done(result) => Some((last(result), Next::Done)),
        },
        Next::Done => Some((Ok(sse::Event::default().data("[DONE]")), Next::End)),
        Next::End => None,
    });
    Sse::new(Box::pin(events))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn progress(event: &Event) -> Result<sse::Event, Infallible> {
    Ok(match event {
        Event::Started {
            generation,
            prompt_tokens,
        } => json(
            "started",
            &serde_json::json!({"generation": generation, "prompt_tokens": prompt_tokens}),
        ),
        Event::Text(text) => json("text", &serde_json::json!({"text": text})),
    })
}

fn last(result: Result<Reply, ApiError>) -> Result<sse::Event, Infallible> {
    Ok(match result {
        Ok(reply) => json("answer", &reply),
        Err(error) => json("error", &error.envelope()),
    })
}

fn json(name: &str, data: &impl serde::Serialize) -> sse::Event {
    // These are structs and maps with text keys, which always have a JSON form.
    let event = sse::Event::default().event(name);
    event
        .json_data(data)
        .unwrap_or_else(|error| sse::Event::default().event("error").data(error.to_string()))
}
