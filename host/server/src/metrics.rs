//! What the server counts, for Prometheus.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use transducer_pipeline::{AdapterState, Answer, Service};

/// Stands for every adapter that there is not: what clients make up shall not grow the table.
const UNKNOWN: &str = "unknown";

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    stages: Family<Stage, Histogram>,
    tokens: Family<Kind, Counter>,
    in_progress: Gauge,
    llm: Family<State, Gauge>,
    adapters: Family<State, Gauge>,
    loaded: Counter,
    failed: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    adapter: String,
    /// `ok`, or the code of the error.
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // From a tenth of a millisecond, which a small graph takes, to a minute and a half of decoding.
        let buckets = || Histogram::new(exponential_buckets(1e-4, 4.0, 11));
        let mut metrics = Self {
            registry: Registry::with_prefix("transducer"),
            requests: Family::default(),
            stages: Family::new_with_constructor(buckets),
            tokens: Family::default(),
            in_progress: Gauge::default(),
            llm: Family::default(),
            adapters: Family::default(),
            loaded: Counter::default(),
            failed: Counter::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests by adapter and outcome", metrics.requests.clone());
        let help = "Time in each stage of answered requests";
        registry.register_with_unit("stage", help, Unit::Seconds, metrics.stages.clone());
        registry.register("tokens", "Tokens of answered requests", metrics.tokens.clone());
        let help = "Requests that are worked on or wait for the LLM";
        registry.register("requests_in_progress", help, metrics.in_progress.clone());
        let help = "Requests that wait for the LLM, and those that share its steps";
        registry.register("llm_requests", help, metrics.llm.clone());
        let help = "Bundles by state; those that are stale answer with an older generation than the broken one on disk";
        registry.register("adapters", help, metrics.adapters.clone());
        registry.register("bundles_loaded", "Bundles that began to serve", metrics.loaded.clone());
        registry.register(
            "bundles_failed",
            "Bundles that could not be used",
            metrics.failed.clone(),
        );
        metrics
    }

    /// A request ended.
    pub(crate) fn count(&self, adapter: &str, result: Result<&Answer, &'static str>) {
        let (adapter, outcome) = match result {
            Ok(_) => (adapter, "ok"),
            Err("adapter_not_found") => (UNKNOWN, "adapter_not_found"),
            Err(code) => (adapter, code),
        };
        let labels = Outcome {
            adapter: adapter.to_owned(),
            outcome,
        };
        self.requests.get_or_create(&labels).inc();
        let Ok(answer) = result else { return };
        for (stage, ms) in answer.timings.stages() {
            self.stages.get_or_create(&Stage { stage }).observe(ms / 1e3);
        }
        let counts = [
            ("prompt", answer.usage.prompt_tokens),
            ("completion", answer.usage.completion_tokens),
        ];
        for (kind, count) in counts {
            self.tokens.get_or_create(&Kind { kind }).inc_by(count as u64);
        }
    }

    /// A request came too early, too late, or when there was no room; whether its adapter exists was not looked at.
    pub(crate) fn count_refused(&self, code: &'static str) {
        self.count(UNKNOWN, Err(code));
    }

    /// Everything in OpenMetrics' text form; without a service before the host is loaded.
    pub(crate) fn text(&self, service: Option<&dyn Service>, in_progress: usize) -> Result<String, std::fmt::Error> {
        self.in_progress.set(in_progress as i64);
        if let Some(service) = service {
            let (mut ready, mut stale, mut broken) = (0, 0, 0);
            for adapter in service.adapters() {
                match adapter.state {
                    AdapterState::Ready(_) if adapter.last_error.is_some() => stale += 1,
                    AdapterState::Ready(_) => ready += 1,
                    AdapterState::Broken { .. } => broken += 1,
                }
            }
            for (state, count) in [("ready", ready), ("stale", stale), ("broken", broken)] {
                self.adapters.get_or_create(&State { state }).set(count);
            }
            let load = service.load();
            for (state, count) in [("queued", load.queued), ("running", load.running)] {
                self.llm.get_or_create(&State { state }).set(count as i64);
            }
            let reloads = service.reloads();
            self.loaded.inner().store(reloads.loaded, Ordering::Relaxed);
            self.failed.inner().store(reloads.failed, Ordering::Relaxed);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
