//! A request that is worked on, by a thread of its own: an adapter's, or one of the base model.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::mpsc;
use transducer_pipeline::{
    Answer, CancelToken, Completion, DecodingOptions, Event, Events, FinishReason, Message as Turn, PlainInput,
    PlainRequest, Request, RequestError, Service, Timings, Usage,
};

use crate::access::Caller;
use crate::error::ApiError;
use crate::record::Record;
use crate::state::Server;

/// Events that may wait for a slow reader before the worker waits for it too.
const EVENTS_AHEAD: usize = 64;

/// How long a stream waits for the first piece of text. What is refused is refused within that; a client need not hear of a long
/// prompt any sooner.
const BEGINNING: Duration = Duration::from_secs(1);

/// What is asked.
pub(crate) enum Work {
    /// An adapter, in the form of its task.
    Task { adapter: String, body: String },
    /// The base model.
    Plain(Plain),
}

/// A request to the base model.
pub(crate) struct Plain {
    pub(crate) model: String,
    pub(crate) input: Input,
    pub(crate) most_tokens: Option<usize>,
    pub(crate) decoding: DecodingOptions,
}

/// What the base model reads.
pub(crate) enum Input {
    Prompt { text: String, special: bool },
    Chat { messages: Vec<Turn>, opened: bool },
}

impl Input {
    pub(crate) fn borrowed(&self) -> PlainInput<'_> {
        match self {
            Self::Prompt { text, special } => PlainInput::Prompt {
                text,
                special: *special,
            },
            Self::Chat { messages, opened } => PlainInput::Chat {
                messages,
                opened: *opened,
            },
        }
    }
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    Task(Answer),
    Plain(Completion),
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Task(answer) => &answer.text,
            Self::Plain(completion) => &completion.text,
        }
    }

    pub(crate) fn finish_reason(&self) -> FinishReason {
        match self {
            Self::Task(answer) => answer.finish_reason,
            Self::Plain(completion) => completion.finish_reason,
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        match self {
            Self::Task(answer) => answer.usage,
            Self::Plain(completion) => completion.usage,
        }
    }

    pub(crate) fn timings(&self) -> &Timings {
        match self {
            Self::Task(answer) => &answer.timings,
            Self::Plain(completion) => &completion.timings,
        }
    }

    /// Which bundle answered; none for the base model.
    pub(crate) fn generation(&self) -> Option<&str> {
        match self {
            Self::Task(answer) => Some(&answer.generation),
            Self::Plain(_) => None,
        }
    }
}

/// What the worker has to say.
pub(crate) enum Message {
    Event(Event),
    Done(Result<Reply, ApiError>),
}

/// A request that is worked on. Dropping it, as happens when the client goes away, cancels the work.
pub(crate) struct Running {
    server: Arc<Server>,
    messages: mpsc::Receiver<Message>,
    /// Messages that came before the stream began.
    ahead: VecDeque<Message>,
    cancel: CancelToken,
}

impl Running {
    pub(crate) fn start(
        server: Arc<Server>,
        caller: Caller,
        record: Arc<Record>,
        work: Work,
    ) -> Result<Self, ApiError> {
        let name = work.name().to_owned();
        record.facts().adapter = Some(name.clone());
        let room = || {
            caller.may_ask(&name)?;
            Ok((server.ready()?, server.slot(&name)?))
        };
        let (service, slot) = room().inspect_err(|error: &ApiError| server.metrics.count_refused(error.code()))?;
        let (sender, messages) = mpsc::channel(EVENTS_AHEAD);
        let cancel = CancelToken::default();
        let running = Self {
            messages,
            ahead: VecDeque::new(),
            cancel: cancel.clone(),
            server,
        };
        let server = running.server.clone();
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let mut events = |event: Event| {
                note(&server, &record, &event);
                match sender.blocking_send(Message::Event(event)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            };
            let result = work.run(&*service, cancel, &server, &mut events);
            let result = result.map_err(|error| within_sight(error, &caller));
            let result = result.map_err(ApiError::from);
            end(&record, &result);
            server.metrics.count(&name, result.as_ref().map_err(ApiError::code));
            drop(record);
            // Who has the answer can send the next request.
            drop(slot);
            // Nobody may be there to read it.
            let _ = sender.blocking_send(Message::Done(result));
        });
        Ok(running)
    }

    /// Waits a little for the work to begin, so that what is refused is answered with its own status: a stream's is 200, and a
    /// client would not try again.
    pub(crate) async fn begin(&mut self) -> Result<(), ApiError> {
        let first = async {
            loop {
                let message = self.hear().await;
                let is_first = !matches!(message, Message::Event(Event::Started { .. }));
                match message {
                    Message::Done(Err(error)) => return Err(error),
                    message => self.ahead.push_back(message),
                }
                if is_first {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(BEGINNING, first).await.unwrap_or(Ok(()))
    }

    /// The next message. The worker's last one is [`Message::Done`], also when it panics.
    pub(crate) async fn next(&mut self) -> Message {
        match self.ahead.pop_front() {
            Some(message) => message,
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Message {
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

    /// What comes of it, once it does.
    pub(crate) async fn end(mut self) -> Result<Reply, ApiError> {
        loop {
            if let Message::Done(result) = self.next().await {
                return result;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Work {
    fn name(&self) -> &str {
        match self {
            Self::Task { adapter, .. } => adapter,
            Self::Plain(plain) => &plain.model,
        }
    }

    fn run(
        &self,
        service: &dyn Service,
        cancel: CancelToken,
        server: &Server,
        events: &mut Events<'_>,
    ) -> Result<Reply, RequestError> {
        let time_limit = Some(server.options.time_limit);
        match self {
            Self::Task { adapter, body } => {
                let request = Request {
                    adapter,
                    body,
                    cancel,
                    time_limit,
                };
                service.answer(&request, events).map(Reply::Task)
            }
            Self::Plain(plain) => {
                let request = PlainRequest {
                    input: plain.input.borrowed(),
                    most_tokens: plain.most_tokens,
                    decoding: plain.decoding.clone(),
                    cancel,
                    time_limit,
                };
                service.complete(&request, events).map(Reply::Plain)
            }
        }
    }
}

/// Writes down what an event tells.
fn note(server: &Server, record: &Record, event: &Event) {
    let mut facts = record.facts();
    match event {
        Event::Started { generation, .. } => facts.generation = Some(generation.clone()),
        Event::Text(_) if facts.first_token_ms.is_none() => {
            let since = record.begun().elapsed().as_secs_f64();
            facts.first_token_ms = Some(since * 1e3);
            server.metrics.observe_first_token(since);
        }
        Event::Text(_) => {}
    }
}

/// Writes down how a request ended.
fn end(record: &Record, result: &Result<Reply, ApiError>) {
    let mut facts = record.facts();
    match result {
        Ok(reply) => {
            facts.usage = Some(reply.usage());
            facts.timings = Some(*reply.timings());
        }
        Err(error) => facts.failure = Some(error.failure()),
    }
}

/// A list of what there is names only what the caller may know of.
fn within_sight(error: RequestError, caller: &Caller) -> RequestError {
    match error {
        RequestError::UnknownAdapter { name, mut known } => {
            known.retain(|known| caller.sees(known));
            RequestError::UnknownAdapter { name, known }
        }
        error => error,
    }
}
