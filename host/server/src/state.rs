//! What the routes share: how far the host is, how many requests run, and the word to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::watch;
use transducer_pipeline::Service;

use crate::Options;
use crate::error::ApiError;
use crate::metrics::Metrics;

/// Shared by all routes.
pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    phase: Mutex<Phase>,
    /// Requests that are worked on, by what they ask for.
    slots: Arc<Mutex<BTreeMap<String, usize>>>,
    /// How far the end is.
    end: watch::Sender<End>,
}

/// One over this is the part of the places that is kept for adapters that have none.
const KEPT_FREE: usize = 8;

/// A request's place, until it is dropped.
pub(crate) struct Slot {
    slots: Arc<Mutex<BTreeMap<String, usize>>>,
    adapter: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = slots.get_mut(&self.adapter) {
            *count -= 1;
            if *count == 0 {
                slots.remove(&self.adapter);
            }
        }
    }
}

/// How far the host is.
#[derive(Clone)]
pub(crate) enum Phase {
    /// It loads; the text says what.
    Loading(String),
    /// It answers.
    Ready(Arc<dyn Service>),
    /// It was asked to stop, and takes no more requests.
    Draining,
}

/// How far the end is.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum End {
    NotYet,
    Draining,
    CancelAll,
}

impl Server {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            slots: Arc::default(),
            phase: Mutex::new(Phase::Loading("starting".to_owned())),
            end: watch::Sender::new(End::NotYet),
            metrics: Metrics::new(),
            options,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().clone()
    }

    pub(crate) fn set_stage(&self, stage: &str) {
        let mut phase = self.lock();
        if let Phase::Loading(text) = &mut *phase {
            stage.clone_into(text);
        }
    }

    /// From now on requests are taken; false when the end came first.
    pub(crate) fn set_ready(&self, service: Arc<dyn Service>) -> bool {
        let mut phase = self.lock();
        let loading = matches!(*phase, Phase::Loading(_));
        if loading {
            *phase = Phase::Ready(service);
        }
        loading
    }

    pub(crate) fn set_draining(&self) {
        *self.lock() = Phase::Draining;
        self.end.send_replace(End::Draining);
    }

    /// Ready when the host was asked to stop.
    pub(crate) async fn drained(&self) {
        self.wait_for(End::Draining).await;
    }

    /// Tells every running request to stop.
    pub(crate) fn cancel_all(&self) {
        self.end.send_replace(End::CancelAll);
    }

    /// Ready when running requests have to stop.
    pub(crate) async fn cancelled(&self) {
        self.wait_for(End::CancelAll).await;
    }

    async fn wait_for(&self, end: End) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.end.subscribe().wait_for(|now| *now >= end).await;
    }

    /// The host, or why it takes no requests now.
    pub(crate) fn ready(&self) -> Result<Arc<dyn Service>, ApiError> {
        let unavailable = |code, message| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(2);
        match self.phase() {
            Phase::Ready(service) => Ok(service),
            Phase::Loading(stage) => Err(unavailable("loading", format!("the host is still loading ({stage})"))),
            Phase::Draining => Err(unavailable("draining", "the host is shutting down".to_owned())),
        }
    }

    /// Room for one more request for an adapter. The last places are for those that have none, so that one that is asked a lot does
    /// not keep the others out.
    pub(crate) fn slot(&self, adapter: &str) -> Result<Slot, ApiError> {
        let limit = self.options.max_requests;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let free = limit.saturating_sub(slots.values().sum());
        if free == 0 || (free <= limit / KEPT_FREE && slots.contains_key(adapter)) {
            let busy = limit - free;
            let message = format!(
                "{busy} requests are being worked on; {limit} is the limit, of which the last are for others than {adapter:?}: try again later"
            );
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message).retry_after(1));
        }
        *slots.entry(adapter.to_owned()).or_default() += 1;
        Ok(Slot {
            slots: self.slots.clone(),
            adapter: adapter.to_owned(),
        })
    }

    /// How many requests are worked on, by what they ask for.
    pub(crate) fn in_progress(&self) -> BTreeMap<String, usize> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        // A phase is replaced as a whole, so a panic elsewhere cannot have left it half changed.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
