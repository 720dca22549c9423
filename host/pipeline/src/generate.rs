//! The engine as the pipeline uses it: prompt embeddings in, text out, on the caller's thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tch::Tensor;
use transducer_backbone::{Backbone, Embedder};
use transducer_engine::{
    Completion, Decoding, DecodingError, DecodingOptions, Engine, EngineError, EngineOptions, Event as EngineEvent,
    LocalEngine, OfflineRequest, PromptEmbeddings, Request, Sink, SubmitError, Ticket,
};
use transducer_remote::{EndpointStatus, RemoteEngine, RemoteError, RemoteOptions};

use crate::{CancelToken, Event, Events, FinishReason, Load, RequestError};

/// How often those who wait for many answers look whether to stop: soon enough for a person, rare enough to cost nothing.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How long a request may take, and until when that is.
#[derive(Clone, Copy)]
pub(crate) struct TimeLimit {
    pub(crate) limit: Duration,
    pub(crate) until: Instant,
}

impl TimeLimit {
    /// None where that is further away than clocks go.
    pub(crate) fn since(begun: Instant, limit: Duration) -> Option<Self> {
        let until = begun.checked_add(limit)?;
        Some(Self { limit, until })
    }
}

/// The engine over the frozen LLM.
pub(crate) struct Generator {
    embedder: Arc<Embedder>,
    precision: String,
    engine: Engines,
}

/// Where the forward passes are made.
enum Engines {
    /// In this process.
    Local(LocalEngine),
    /// In servers.
    Remote(RemoteEngine),
}

impl Generator {
    pub(crate) fn local(backbone: Arc<Backbone>, options: &EngineOptions) -> std::io::Result<Self> {
        Ok(Self {
            embedder: backbone.embedder().clone(),
            precision: backbone.precision(),
            engine: Engines::Local(LocalEngine::start(backbone, options)?),
        })
    }

    pub(crate) fn remote(embedder: Arc<Embedder>, options: RemoteOptions) -> Result<Self, RemoteError> {
        Ok(Self {
            engine: Engines::Remote(RemoteEngine::start(embedder.clone(), options)?),
            precision: embedder.precision(),
            embedder,
        })
    }

    pub(crate) fn embedder(&self) -> &Arc<Embedder> {
        &self.embedder
    }

    /// The numbers that it computes with, or sends to servers.
    pub(crate) fn precision(&self) -> &str {
        &self.precision
    }

    fn engine(&self) -> &dyn Engine {
        match &self.engine {
            Engines::Local(engine) => engine,
            Engines::Remote(engine) => engine,
        }
    }

    /// Servers that make the forward passes; none where this process does.
    pub(crate) fn endpoints(&self) -> Vec<EndpointStatus> {
        match &self.engine {
            Engines::Local(_) => Vec::new(),
            Engines::Remote(engine) => engine.endpoints(),
        }
    }

    /// Longest prompt and answer together, in tokens.
    pub(crate) fn context(&self) -> usize {
        let own = self.embedder.config().max_context;
        match &self.engine {
            Engines::Local(_) => own,
            Engines::Remote(engine) => engine.context().unwrap_or(own).min(own),
        }
    }

    /// Which lanes have requests that wait, and how many.
    pub(crate) fn waiting(&self) -> BTreeMap<String, usize> {
        self.engine().waiting().into_iter().collect()
    }

    pub(crate) fn load(&self) -> Load {
        let stats = self.engine().stats();
        Load {
            queued: stats.queued,
            running: stats.running,
            cache_tokens: stats.cache_tokens,
            cache_bound: stats.cache_bound,
        }
    }

    /// Generates from prompt embeddings `[tokens, hidden]`, and hands pieces of text on as they come. Those who wait in one lane
    /// do not hold up another's.
    pub(crate) fn generate(
        &self,
        lane: &str,
        embeddings: &Tensor,
        decoding: Decoding,
        cancel: &CancelToken,
        time: Option<TimeLimit>,
        events: &mut Events<'_>,
    ) -> Result<Completion, RequestError> {
        // Unbounded, so that a caller who reads slowly does not hold up the engine's thread and with it everybody else; what
        // can pile up is one answer.
        let (sender, receiver) = channel();
        let sink: Sink = Box::new(move |event| match sender.send(event) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        });
        let prompt = PromptEmbeddings::new(embeddings, &self.embedder)?;
        let mut request = Request {
            cancel: cancel.clone(),
            ..Request::new(prompt, decoding, sink).in_lane(lane)
        };
        if let Some(time) = time {
            request = request.with_deadline(time.until);
        }
        self.engine().submit(request).map_err(|refused| match refused {
            SubmitError::QueueFull { bound } => RequestError::Busy { limit: bound },
            _ => RequestError::Engine(EngineError::ShuttingDown),
        })?;
        for event in receiver {
            match event {
                EngineEvent::Text(text) => {
                    if events(Event::Text(text)).is_break() {
                        cancel.cancel();
                    }
                }
                EngineEvent::Done(completion) => return Ok(completion),
                EngineEvent::Failed(error) => return Err(failed(error, time)),
            }
        }
        // The engine was stopped before it said how the request ended.
        Err(RequestError::Engine(EngineError::ShuttingDown))
    }

    /// The answers to prompts that wait side by side, in their order. Those of a prompt that the queue has no room for yet wait here.
    pub(crate) fn generate_all(
        &self,
        requests: Vec<OfflineRequest>,
        stop: &AtomicBool,
    ) -> Result<Vec<Completion>, EngineError> {
        let (sender, receiver) = channel();
        let (mut tickets, count) = (Vec::new(), requests.len());
        let mut completions: Vec<Option<Completion>> = (0..count).map(|_| None).collect();
        let mut ended = 0;
        let mut take = |event: Result<(usize, EngineEvent), RecvTimeoutError>, tickets: &[Ticket]| match event {
            Ok((place, EngineEvent::Done(completion))) => {
                completions[place] = Some(completion);
                Ok(1)
            }
            Ok((_, EngineEvent::Failed(error))) => Err(error),
            Ok((_, EngineEvent::Text(_))) => Ok(0),
            Err(RecvTimeoutError::Timeout) => {
                if stop.load(Ordering::Relaxed) {
                    tickets.iter().for_each(|ticket| ticket.cancel.cancel());
                }
                Ok(0)
            }
            Err(RecvTimeoutError::Disconnected) => Err(EngineError::ShuttingDown),
        };
        let bound = self.engine().stats().queue_bound.max(1);
        for (place, OfflineRequest { prompt, decoding }) in requests.into_iter().enumerate() {
            while place - ended >= bound {
                ended += take(receiver.recv_timeout(CANCEL_POLL), &tickets)?;
            }
            let sender = sender.clone();
            let sink: Sink = Box::new(move |event| match sender.send((place, event)) {
                Ok(()) => std::ops::ControlFlow::Continue(()),
                Err(_) => std::ops::ControlFlow::Break(()),
            });
            let ticket = self.engine().submit(Request::new(prompt, decoding, sink));
            tickets.push(ticket.map_err(|error| EngineError::Unavailable(error.into()))?);
        }
        drop(sender);
        while ended < count {
            ended += take(receiver.recv_timeout(CANCEL_POLL), &tickets)?;
        }
        Ok(completions.into_iter().flatten().collect())
    }
}

/// A task's decoding in the engine's form.
pub(crate) fn engine_decoding(decoding: &transducer_tasks::Decoding) -> Result<Decoding, DecodingError> {
    Decoding::new(DecodingOptions {
        max_new_tokens: decoding.max_new_tokens as usize,
        stop: decoding.stop.clone(),
        temperature: decoding.temperature.into(),
        top_k: decoding.top_k as usize,
        top_p: decoding.top_p.into(),
        beams: decoding.beams as usize,
        seed: None,
    })
}

impl From<transducer_engine::FinishReason> for FinishReason {
    fn from(reason: transducer_engine::FinishReason) -> Self {
        match reason {
            transducer_engine::FinishReason::EndToken | transducer_engine::FinishReason::StopString => Self::Stop,
            transducer_engine::FinishReason::Length => Self::Length,
        }
    }
}

fn failed(error: EngineError, time: Option<TimeLimit>) -> RequestError {
    match (error, time) {
        (EngineError::Cancelled, _) => RequestError::Cancelled,
        (EngineError::Refused(error), _) => RequestError::Rejected(error.to_string()),
        (EngineError::Unavailable(error), _) => RequestError::Unavailable(error.to_string()),
        (EngineError::DeadlineExceeded { .. }, Some(time)) => RequestError::Deadline(time.limit),
        (error, _) => RequestError::Engine(error),
    }
}
