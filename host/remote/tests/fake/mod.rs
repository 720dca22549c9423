//! A server that fails as servers do. It has no model: its answers count, so that a piece that is lost or comes twice shows.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use transducer_remote::Address;

/// The first token of every answer; each next one is one more.
pub(crate) const FIRST: u32 = 60;

/// Tokens of every answer, before its end token.
pub(crate) const LENGTH: usize = 12;

/// The tokens that tests ask for at most.
pub(crate) const MOST: usize = 40;

/// What [`LENGTH`] tokens are followed by.
const END: u32 = 2;

/// What a server does with a request for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers.
    Well,
    /// Answers, with so long between two tokens.
    Slow(Duration),
    /// Breaks the connection after so many tokens, and is broken from then on.
    DiesAfter(usize),
    /// Says so often that it is busy, and answers then.
    BusyFor(usize),
    /// Takes the request and says nothing.
    Hangs,
    /// Sends HTML.
    Garbage,
    /// Tells of an error in the middle of the stream.
    GivesUp,
    /// Does not take the request.
    Refuses,
    /// Understands embeddings in another way than tokens.
    OtherModel,
    /// Sends text only.
    NoTokenIds,
    /// Is no server: nothing listens.
    Absent,
}

/// A running server.
pub(crate) struct Fake {
    pub(crate) address: Address,
    seen: Arc<Seen>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    streams: AtomicUsize,
    dropped: AtomicUsize,
    dead: AtomicBool,
}

#[derive(Clone)]
struct Server {
    manner: Manner,
    seen: Arc<Seen>,
}

impl Fake {
    pub(crate) fn start(manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen::default());
        let server = Server {
            manner,
            seen: seen.clone(),
        };
        let router = Router::new()
            .route("/health", get(health))
            .route("/v1/models", get(models))
            .route("/v1/completions", post(completions))
            .with_state(server);
        if manner == Manner::Absent {
            drop(listener);
        } else {
            runtime.spawn(async move { axum::serve(listener, router).await });
        }
        Self {
            address: format!("vllm+http://127.0.0.1:{port}").parse().expect("an address"),
            seen,
            _runtime: runtime,
        }
    }

    /// How many streams it was asked for.
    pub(crate) fn streams(&self) -> usize {
        self.seen.streams.load(Ordering::SeqCst)
    }

    /// How many of them were dropped before their end.
    pub(crate) fn dropped(&self) -> usize {
        self.seen.dropped.load(Ordering::SeqCst)
    }
}

async fn health(State(server): State<Server>) -> StatusCode {
    if server.seen.dead.load(Ordering::SeqCst) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    }
}

async fn models(State(server): State<Server>) -> Response {
    match health(State(server)).await {
        StatusCode::OK => Json(json!({"data": [{"id": "counting", "max_model_len": 100}]})).into_response(),
        broken => broken.into_response(),
    }
}

async fn completions(State(server): State<Server>, Json(request): Json<Value>) -> Response {
    let with_embeddings = request.get("prompt_embeds").is_some();
    if request["stream"] == false {
        let first = u32::from(with_embeddings && server.manner == Manner::OtherModel);
        return match server.manner {
            Manner::NoTokenIds => Json(json!({"choices": [{"text": "1"}]})).into_response(),
            _ => Json(json!({"choices": [{"token_ids": [first, 2, 3]}]})).into_response(),
        };
    }
    let number = server.seen.streams.fetch_add(1, Ordering::SeqCst);
    match server.manner {
        Manner::BusyFor(times) if number < times => {
            (StatusCode::SERVICE_UNAVAILABLE, "the queue is full").into_response()
        }
        Manner::Refuses => {
            let error = json!({"error": {"message": "hidden_size 32 does not match"}});
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
        Manner::Hangs => {
            std::future::pending::<Infallible>().await;
            StatusCode::OK.into_response()
        }
        Manner::Garbage => "<html>\n<body>\n".into_response(),
        _ => stream(server, request["max_tokens"].as_u64().expect("a number") as usize),
    }
}

/// A stream that goes on where the one before ended: after as many tokens as are no longer asked for.
fn stream(server: Server, most: usize) -> Response {
    let stream = Stream {
        place: MOST - most,
        sent: 0,
        ended: false,
        server,
    };
    Body::from_stream(unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((piece, stream))
    }))
    .into_response()
}

struct Stream {
    /// Of the next token in the whole answer.
    place: usize,
    sent: usize,
    ended: bool,
    server: Server,
}

impl Stream {
    async fn next(&mut self) -> Option<Result<String, &'static str>> {
        if self.ended {
            return None;
        }
        match self.server.manner {
            Manner::Slow(pause) => tokio::time::sleep(pause).await,
            Manner::DiesAfter(tokens) if self.sent == tokens => {
                self.server.seen.dead.store(true, Ordering::SeqCst);
                self.ended = true;
                return Some(Err("dead"));
            }
            Manner::GivesUp if self.sent == 3 => {
                self.ended = true;
                return Some(Ok("data: {\"error\": {\"message\": \"out of memory\"}}\n\n".to_owned()));
            }
            _ => {}
        }
        let piece = if self.place == LENGTH {
            self.ended = true;
            json!({"choices": [{"text": "", "token_ids": [END], "finish_reason": "stop", "stop_reason": null}]})
        } else {
            json!({"choices": [{"text": "x", "token_ids": [FIRST + self.place as u32], "finish_reason": null}]})
        };
        self.place += 1;
        self.sent += 1;
        Some(Ok(format!("data: {piece}\n\n")))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            self.server.seen.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}
