//! `POST /v1/tasks/{adapter}`: one request, in the form of the adapter's own task.
//!
//! The answer is a JSON object; with `Accept: text/event-stream` or `?stream=true` it is a stream of server-sent
//! events: `started`, then `text` for each piece of generated text, then `answer` (or `error`), then `[DONE]`.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use transducer_pipeline::{Answer, Cancel, Event, Request, RequestError};

use crate::body::json_text;
use crate::error::ApiError;
use crate::state::Server;

/// Events that may wait for a slow reader before the worker waits for it too.
const EVENTS_AHEAD: usize = 64;

#[derive(Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    stream: bool,
}

pub(crate) async fn answer(
    State(server): State<Arc<Server>>,
    Path(adapter): Path<String>,
    Query(form): Query<Form>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/event-stream"));
    let wants_stream = form.stream || headers.get(header::ACCEPT).is_some_and(accepts);
    let mut running = Running::start(server, adapter, body)?;
    if wants_stream {
        return Ok(running.into_events());
    }
    loop {
        if let Message::Done(result) = running.next().await {
            return Ok(Json(result?).into_response());
        }
    }
}

/// What the worker has to say.
pub(crate) enum Message {
    Event(Event),
    Done(Result<Answer, ApiError>),
}

/// A request that is worked on. Dropping it, as happens when the client goes away, cancels the work.
pub(crate) struct Running {
    server: Arc<Server>,
    messages: mpsc::Receiver<Message>,
    cancel: Cancel,
}

impl Running {
    pub(crate) fn start(server: Arc<Server>, adapter: String, body: String) -> Result<Self, ApiError> {
        let room = || Ok((server.ready()?, server.slot()?));
        let (service, slot) = room().inspect_err(|error: &ApiError| server.metrics.count_refused(error.code()))?;
        let (sender, messages) = mpsc::channel(EVENTS_AHEAD);
        let cancel = Cancel::default();
        let running = Self {
            messages,
            cancel: cancel.clone(),
            server,
        };
        let time_limit = Some(running.server.options.time_limit);
        let server = running.server.clone();
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let request = Request {
                adapter: &adapter,
                body: &body,
                cancel,
                time_limit,
            };
            let result = service.answer(
                &request,
                &mut |event| match sender.blocking_send(Message::Event(event)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                },
            );
            log(&adapter, &result);
            let result = result.map_err(ApiError::from);
            server.metrics.count(&adapter, result.as_ref().map_err(ApiError::code));
            // Who has the answer can send the next request.
            drop(slot);
            // Nobody may be there to read it.
            let _ = sender.blocking_send(Message::Done(result));
        });
        Ok(running)
    }

    /// The next message. The worker's last one is [`Message::Done`], also when it panics.
    pub(crate) async fn next(&mut self) -> Message {
        let message = tokio::select! {
            message = self.messages.recv() => message,
            () = self.server.cancelled(), if !self.cancel.is_cancelled() => {
                self.cancel.cancel();
                self.messages.recv().await
            }
        };
        message.unwrap_or_else(|| {
            let message = "the request failed inside the host; its log says more";
            Message::Done(Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                message,
            )))
        })
    }

    fn into_events(self) -> Response {
        /// What comes next in the stream.
        enum Next {
            Message(Running),
            Done,
            End,
        }
        let events = stream::unfold(Next::Message(self), async |next| match next {
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
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
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

fn last(result: Result<Answer, ApiError>) -> Result<sse::Event, Infallible> {
    Ok(match result {
        Ok(answer) => json("answer", &answer),
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

/// One line a request, beside the span with its id.
fn log(adapter: &str, result: &Result<Answer, RequestError>) {
    match result {
        Ok(answer) => tracing::info!(
            adapter,
            generation = %answer.generation,
            prompt_tokens = answer.usage.prompt_tokens,
            completion_tokens = answer.usage.completion_tokens,
            total_ms = answer.timings.total_ms,
            "answered"
        ),
        Err(RequestError::Cancelled) => tracing::info!(adapter, "cancelled"),
        Err(error) => tracing::warn!(adapter, %error, "failed"),
    }
}
