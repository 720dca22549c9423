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
    slots: Slots,
    /// Whether running requests have to stop.
    cancelled: watch::Sender<bool>,
}

/// Requests that are worked on, by what they ask for.
type Slots = Arc<watch::Sender<BTreeMap<String, usize>>>;

/// One over this is the part of the places that is kept for adapters that have none.
const KEPT_FREE: usize = 8;

/// A request's place, until it is dropped.
pub(crate) struct Slot {
    slots: Slots,
    adapter: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.send_modify(|slots| {
            if let Some(count) = slots.get_mut(&self.adapter) {
                *count -= 1;
                if *count == 0 {
                    slots.remove(&self.adapter);
                }
            }
        });
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

impl Server {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            slots: Arc::default(),
            phase: Mutex::new(Phase::Loading("starting".to_owned())),
            cancelled: watch::Sender::new(false),
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
    }

    /// Tells every running request to stop.
    pub(crate) fn cancel_all(&self) {
        self.cancelled.send_replace(true);
    }

    /// Ready when running requests have to stop.
    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    /// Ready when no request is worked on.
    pub(crate) async fn idle(&self) {
        // The same.
        let _ = self.slots.subscribe().wait_for(BTreeMap::is_empty).await;
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
        let mut busy = 0;
        let is_free = self.slots.send_if_modified(|slots| {
            busy = slots.values().sum();
            let free = limit.saturating_sub(busy);
            let is_free = free > limit / KEPT_FREE || (free > 0 && !slots.contains_key(adapter));
            if is_free {
                *slots.entry(adapter.to_owned()).or_default() += 1;
            }
            is_free
        });
        if !is_free {
            let message = format!(
                "{busy} requests are being worked on; {limit} is the limit, of which the last are for others than {adapter:?}: try again later"
            );
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message).retry_after(1));
        }
        Ok(Slot {
            slots: self.slots.clone(),
            adapter: adapter.to_owned(),
        })
    }

    /// How many requests are worked on, by what they ask for.
    pub(crate) fn in_progress(&self) -> BTreeMap<String, usize> {
        self.slots.borrow().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        // A phase is replaced as a whole, so a panic elsewhere cannot have left it half changed.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
