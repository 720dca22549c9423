//! HTTP: tasks, adapters, graphs, health, and a page to try them. See `host/README.md` for where this stands.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /v1/tasks/{adapter}` | answers a request, whole or as server-sent events |
//! | `POST /v1/completions`, `POST /v1/chat/completions`, `GET /v1/models` | the same for OpenAI's clients, and the base model |
//! | `POST /tokenize`, `POST /detokenize` | the base model's tokens |
//! | `POST /v1/cpg` | the graph of a piece of code, as JSON or as a picture |
//! | `GET /v1/adapters` | every bundle and its state |
//! | `PUT`, `DELETE /v1/adapters/{adapter}`, `POST …/rollback` | changes them |
//! | `GET /openapi.json` | all of this for programs |
//! | `GET /metrics` | counts and times, for Prometheus |
//! | `GET /health` | 200 once requests are taken, 503 while loading and draining |
//! | `GET /` | a page to try the adapters; as JSON, the routes |
//!
//! [`serve`] listens at once and loads the host beside it, so that whoever waits for the host can ask how far it is.
//! On shutdown new requests are refused, running ones get [`Options::drain_limit`] to finish, and what still runs
//! then is cancelled. Clients that do not send or read to the end hold it up for a few seconds more, and no longer.

mod access;
mod body;
mod connections;
mod error;
mod extract;
mod metrics;
mod patience;
mod record;
mod routes;
mod running;
mod state;
mod tls;

pub use tls::{Tls, TlsError};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, Request};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use transducer_access::Gate;
use transducer_pipeline::Service;

use crate::state::Server;

/// Settings of the server, each with a default that fits one host with a small model.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest body of a request. A source file of a megabyte is far beyond any model's context; the rest is room for
    /// JSON's escapes.
    pub max_body_bytes: usize,
    /// Most requests that are worked on or wait at once. Each holds a thread and its prompt's embeddings.
    pub max_requests: usize,
    /// Longest time for an answer.
    pub time_limit: Duration,
    /// How long running requests may go on after the host was asked to stop. Service managers kill after 30 seconds or
    /// so (Kubernetes) up to 90 (systemd).
    pub drain_limit: Duration,
    /// Longest time for the head of a request to arrive, and for a connection to wait for the next request: a client that
    /// needs longer is gone, or holds a connection on purpose. Load balancers keep theirs for a minute, and want to be the ones to close.
    pub head_limit: Duration,
    /// Longest time that a client may take nothing of what it is sent.
    pub send_limit: Duration,
    /// Who may ask; none for everybody who can reach the server.
    pub keys: Option<Arc<Gate>>,
    /// Whether everybody who may ask may change adapters too, and not only keys of admins.
    pub allow_changes: bool,
    /// The certificate to answer with; none for plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_body_bytes: 4 << 20,
            max_requests: 64,
            time_limit: Duration::from_secs(300),
            drain_limit: Duration::from_secs(20),
            head_limit: Duration::from_secs(75),
            send_limit: Duration::from_secs(60),
            keys: None,
            allow_changes: false,
            tls: None,
        }
    }
}

/// Why the server ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The host could not be loaded.
    #[error("{0}")]
    Load(String),
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listen(#[from] std::io::Error),
}

/// Serves until `shutdown` is ready, then drains.
///
/// `load` makes the host, on a thread of its own; it may say how far it is through the function it is given. `ready` is
/// called as soon as requests are taken, unless the server was asked to stop before.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    load: impl FnOnce(&dyn Fn(&str)) -> Result<Arc<dyn Service>, String> + Send + 'static,
    ready: impl FnOnce(&dyn Service) + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let server = Arc::new(Server::new(options));
    let loading = {
        let server = server.clone();
        tokio::task::spawn_blocking(move || {
            let service = load(&|stage| server.set_stage(stage))?;
            if server.set_ready(service.clone()) {
                ready(&*service);
            }
            Ok::<_, String>(())
        })
    };
    let serving = connections::serve(listener, router(server.clone()), server, shutdown);
    let mut serving = tokio::spawn(serving);
    let loaded = tokio::select! {
        // The host may be asked to stop while it loads; the thread that loads cannot be interrupted and goes with the process.
        ended = &mut serving => return ended.map_err(|panic| ServeError::Listen(std::io::Error::other(panic))),
        loaded = loading => loaded.unwrap_or_else(|panic| Err(format!("loading panicked: {panic}"))),
    };
    if let Err(error) = loaded {
        serving.abort();
        return Err(ServeError::Load(error));
    }
    serving
        .await
        .map_err(|panic| ServeError::Listen(std::io::Error::other(panic)))
}

/// Every route, with what all of them have in common.
fn router(server: Arc<Server>) -> Router {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let span = |request: &Request<_>| {
        let id = request
            .extensions()
            .get::<RequestId>()
            .and_then(|id| id.header_value().to_str().ok())
            .unwrap_or("");
        tracing::info_span!("http", method = %request.method(), path = request.uri().path(), id)
    };
    // How a request ended is in its record.
    let trace = TraceLayer::new_for_http().make_span_with(span).on_failure(());
    routes::all()
        .layer(middleware::from_fn_with_state(server.clone(), access::guard))
        .layer(middleware::from_fn(record::keep))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(trace)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .with_state(server)
}
