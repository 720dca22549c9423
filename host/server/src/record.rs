//! One log line a request: who asked what of whom, how it ended, and where the time went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::request_id::RequestId;
use transducer_pipeline::{Timings, Usage};

/// What stands for the status where the client went away before there was one, as in nginx' logs.
const CLIENT_GONE: u16 = 499;

/// What is known of a request. The line is written when the last of those who know something of it lets go: of a stream, that is when
/// its last word was written.
pub(crate) struct Record {
    begun: Instant,
    facts: Mutex<Facts>,
}

#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) method: String,
    /// With the names of its parameters: what a client makes up is not in it.
    pub(crate) route: String,
    /// Who asked, where keys are in force.
    pub(crate) key: Option<String>,
    /// The adapter, or the base model.
    pub(crate) adapter: Option<String>,
    pub(crate) generation: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) failure: Option<Failure>,
    pub(crate) usage: Option<Usage>,
    /// From the request to the first piece of text.
    pub(crate) first_token_ms: Option<f64>,
    pub(crate) timings: Option<Timings>,
}

/// What went wrong.
#[derive(Clone)]
pub(crate) struct Failure {
    /// The error's stable name.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Record {
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        // Each fact is whole by itself.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }
}

/// Hands the request its record on.
pub(crate) async fn keep(mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>();
    let facts = Facts {
        id: id.to_owned(),
        method: request.method().to_string(),
        route: path.map_or("none", MatchedPath::as_str).to_owned(),
        ..Facts::default()
    };
    let record = Arc::new(Record {
        begun: Instant::now(),
        facts: Mutex::new(facts),
    });
    request.extensions_mut().insert(record.clone());
    let response = next.run(request).await;
    let mut facts = record.facts();
    facts.status = Some(response.status().as_u16());
    if let Some(failure) = response.extensions().get::<Failure>() {
        facts.failure = Some(failure.clone());
    }
    drop(facts);
    response
}

impl Drop for Record {
    fn drop(&mut self) {
        let total_ms = self.begun.elapsed().as_secs_f64() * 1e3;
        let facts = self.facts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let status = facts.status.unwrap_or(CLIENT_GONE);
        // Probes come every few seconds, and nobody reads that all is well, or that it loads or drains, which other lines say.
        let is_probe = matches!(
            (facts.route.as_str(), status),
            ("/health", 200 | 503) | ("/metrics", 200)
        );
        let (usage, failure) = (facts.usage, facts.failure.as_ref());
        let of = |stage: fn(&Timings) -> f64| facts.timings.as_ref().map(stage);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    parent: None,
                    id = facts.id,
                    method = facts.method,
                    route = facts.route,
                    key = facts.key.as_deref(),
                    adapter = facts.adapter.as_deref(),
                    generation = facts.generation.as_deref(),
                    status,
                    error = failure.map(|failure| failure.code),
                    reason = failure.map(|failure| failure.message.as_str()),
                    prompt_tokens = usage.map(|usage| usage.prompt_tokens),
                    completion_tokens = usage.map(|usage| usage.completion_tokens),
                    prepare_ms = of(|timings| timings.prepare_ms),
                    cpg_ms = of(|timings| timings.cpg_ms),
                    embed_ms = of(|timings| timings.embed_ms),
                    transducer_ms = of(|timings| timings.transducer_ms),
                    queue_ms = of(|timings| timings.queue_ms),
                    prefill_ms = of(|timings| timings.prefill_ms),
                    first_token_ms = facts.first_token_ms,
                    decode_ms = of(|timings| timings.decode_ms),
                    finish_ms = of(|timings| timings.finish_ms),
                    total_ms,
                    "request"
                )
            };
        }
        if is_probe {
            line!(debug);
        } else if status >= 500 {
            line!(warn);
        } else {
            line!(info);
        }
    }
}
