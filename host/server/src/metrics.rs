//! What the server counts, for Prometheus.
//!
//! The Kubernetes Gateway API inference extension chooses among servers by gauges that its model server protocol
//! (proposal 003) describes and leaves for servers to name. They bear the names that they have in vLLM, with this program's prefix:
//!
//! | of the protocol | here |
//! |---|---|
//! | TotalQueuedRequests | `transducer_num_requests_waiting` |
//! | TotalRunningRequests | `transducer_num_requests_running` |
//! | KVCacheUtilization | `transducer_kv_cache_usage_perc`, 0 to 1 as in vLLM |
//! | LoRA adapter metrics | `transducer_lora_requests_info{max_lora, running_lora_adapters, waiting_lora_adapters}`; its value is the time |

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use transducer_pipeline::{AdapterState, Load, Residency, Service};

use crate::running::Reply;

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
    first_token: Histogram,
    waiting: Gauge,
    running: Gauge,
    cache_usage: Gauge<f64, AtomicU64>,
    cache_tokens: Family<State, Gauge>,
    residents: Family<Resident, Gauge>,
    adapter_memory: Family<State, Gauge>,
    evicted: Counter,
    brought_back: Counter,
    lora: Family<Lora, Gauge<f64, AtomicU64>>,
    /// Held while the gauges are set and written down.
    turn: Mutex<()>,
}

/// An adapter that can be asked.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Resident {
    adapter: String,
    generation: String,
}

/// Which adapters have requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Lora {
    max_lora: usize,
    running_lora_adapters: String,
    waiting_lora_adapters: String,
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
            // From five milliseconds, a short prompt's, to forty seconds in a full queue.
            first_token: Histogram::new(exponential_buckets(5e-3, 2.0, 14)),
            waiting: Gauge::default(),
            running: Gauge::default(),
            cache_usage: Gauge::default(),
            cache_tokens: Family::default(),
            residents: Family::default(),
            adapter_memory: Family::default(),
            evicted: Counter::default(),
            brought_back: Counter::default(),
            lora: Family::default(),
            turn: Mutex::default(),
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
        let help = "Time from a request to the first piece of its text";
        registry.register_with_unit("time_to_first_token", help, Unit::Seconds, metrics.first_token.clone());
        let help = "Requests that wait for the LLM";
        registry.register("num_requests_waiting", help, metrics.waiting.clone());
        let help = "Requests that share the LLM's steps";
        registry.register("num_requests_running", help, metrics.running.clone());
        let help = "The part of the KV cache's tokens that running requests may come to need, 0 to 1";
        registry.register("kv_cache_usage_perc", help, metrics.cache_usage.clone());
        let help =
            "Tokens of the KV cache: those that running requests may come to need, and those that there is memory for";
        registry.register("kv_cache_tokens", help, metrics.cache_tokens.clone());
        let help = "1 for each adapter that is in memory, 0 for one that its next request brings back";
        registry.register("adapter_loaded", help, metrics.residents.clone());
        let help = "Memory that adapters hold, and that they may hold";
        registry.register_with_unit("adapter_memory", help, Unit::Bytes, metrics.adapter_memory.clone());
        let help = "Adapters that were put out of memory";
        registry.register("adapters_evicted", help, metrics.evicted.clone());
        let help = "Adapters that were brought back into memory for a request";
        registry.register("adapters_brought_back", help, metrics.brought_back.clone());
        let help = "Adapters with requests; the value is the time, in seconds since 1970";
        registry.register("lora_requests_info", help, metrics.lora.clone());
        metrics
    }

    /// A request ended.
    pub(crate) fn count(&self, adapter: &str, result: Result<&Reply, &'static str>) {
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
        let Ok(reply) = result else { return };
        for (stage, ms) in reply.timings().stages() {
            self.stages.get_or_create(&Stage { stage }).observe(ms / 1e3);
        }
        let usage = reply.usage();
        let counts = [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)];
        for (kind, count) in counts {
            self.tokens.get_or_create(&Kind { kind }).inc_by(count as u64);
        }
    }

    /// A request came too early, too late, or when there was no room; whether its adapter exists was not looked at.
    pub(crate) fn count_refused(&self, code: &'static str) {
        self.count(UNKNOWN, Err(code));
    }

    /// A request has its first piece of text after so many seconds.
    pub(crate) fn observe_first_token(&self, seconds: f64) {
        self.first_token.observe(seconds);
    }

    /// Everything in OpenMetrics' text form; without a service before the host is loaded.
    pub(crate) fn text(
        &self,
        service: Option<&dyn Service>,
        in_progress: &BTreeMap<String, usize>,
    ) -> Result<String, std::fmt::Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_progress.set(in_progress.values().sum::<usize>() as i64);
        if let Some(service) = service {
            let (mut ready, mut stale, mut broken) = (0, 0, 0);
            let waiting = service.waiting();
            let (mut running, mut queued) = (Vec::new(), Vec::new());
            self.residents.clear();
            for adapter in service.adapters() {
                let AdapterState::Ready(info) = adapter.state else {
                    broken += 1;
                    continue;
                };
                match adapter.last_error {
                    Some(_) => stale += 1,
                    None => ready += 1,
                }
                let waiting = waiting.get(&adapter.name).copied().unwrap_or_default();
                let in_progress = in_progress.get(&adapter.name).copied().unwrap_or_default();
                if in_progress > waiting {
                    running.push(adapter.name.clone());
                }
                if waiting > 0 {
                    queued.push(adapter.name.clone());
                }
                let resident = Resident {
                    adapter: adapter.name,
                    generation: info.generation,
                };
                self.residents.get_or_create(&resident).set(adapter.resident.into());
            }
            self.set_lora(ready + stale, &running, &queued);
            for (state, count) in [("ready", ready), ("stale", stale), ("broken", broken)] {
                self.adapters.get_or_create(&State { state }).set(count);
            }
            self.set_load(service.load());
            let reloads = service.reloads();
            self.loaded.inner().store(reloads.loaded, Ordering::Relaxed);
            self.failed.inner().store(reloads.failed, Ordering::Relaxed);
            self.set_residency(service.residency());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn set_residency(&self, residency: Residency) {
        for (state, bytes) in [("used", residency.held_bytes), ("budget", residency.budget_bytes)] {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.adapter_memory.get_or_create(&State { state }).set(bytes);
        }
        self.evicted.inner().store(residency.evicted, Ordering::Relaxed);
        self.brought_back
            .inner()
            .store(residency.brought_back, Ordering::Relaxed);
    }

    fn set_load(&self, load: Load) {
        for (state, count) in [("queued", load.queued), ("running", load.running)] {
            self.llm.get_or_create(&State { state }).set(count as i64);
        }
        self.waiting.set(load.queued as i64);
        self.running.set(load.running as i64);
        for (state, count) in [("used", load.cache_tokens), ("budget", load.cache_bound)] {
            self.cache_tokens.get_or_create(&State { state }).set(count as i64);
        }
        // A request that needs more than there is runs alone.
        let usage = load.cache_tokens as f64 / load.cache_bound.max(1) as f64;
        self.cache_usage.set(usage.min(1.0));
    }

    fn set_lora(&self, loaded: i64, running: &[String], waiting: &[String]) {
        self.lora.clear();
        let labels = Lora {
            max_lora: usize::try_from(loaded).unwrap_or_default(),
            running_lora_adapters: running.join(","),
            waiting_lora_adapters: waiting.join(","),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.lora.get_or_create(&labels).set(now.as_secs_f64());
    }
}
