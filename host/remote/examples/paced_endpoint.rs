//! A stand-in for a server with a GPU, where there is none: so many requests at a time, so long for each token. It reads prompts and
//! does not look into them.
//!
//! `paced_endpoint PORT SLOTS MILLISECONDS_A_TOKEN TOKENS`; prints the port that it listens on.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fields before the embeddings: as much as is looked at.
const FIELDS: usize = 512;

#[derive(Clone)]
struct Pace {
    slots: Arc<Semaphore>,
    token: Duration,
    tokens: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut number = || {
        numbers
            .next()
            .ok_or("four numbers are wanted: PORT SLOTS MILLISECONDS TOKENS")
    };
    let port = u16::try_from(number()??)?;
    let pace = Pace {
        slots: Arc::new(Semaphore::new(usize::try_from(number()??)?)),
        token: Duration::from_millis(number()??),
        tokens: usize::try_from(number()??)?,
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", listener.local_addr()?.port());
    let router = Router::new()
        .route("/health", get(|| async {}))
        .route("/v1/models", get(|| async { r#"{"data": [{"id": "paced"}]}"# }))
        .route("/v1/completions", post(completions))
        .layer(DefaultBodyLimit::disable())
        .with_state(pace);
    Ok(axum::serve(listener, router).await?)
}

async fn completions(State(pace): State<Pace>, body: Bytes) -> Response {
    let fields = &body[..body.len().min(FIELDS)];
    if fields.windows(14).any(|part| part == b"\"stream\":false") {
        return r#"{"choices": [{"token_ids": [1, 2, 3]}]}"#.into_response();
    }
    drop(body);
    let slot = pace.slots.clone().acquire_owned().await.ok();
    let stream = unfold((pace, slot, 0), |(pace, slot, place)| async move {
        if place > pace.tokens {
            return None;
        }
        tokio::time::sleep(pace.token).await;
        let piece = if place == pace.tokens {
            r#"{"choices":[{"index":0,"text":"","finish_reason":"stop","stop_reason":null,"token_ids":[2]}]}"#
        } else {
            r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"paced","choices":[{"index":0,"text":" a","token_ids":[65]}]}"#
        };
        let piece: Result<String, std::convert::Infallible> = Ok(format!("data: {piece}\n\n"));
        // The slot is free when the stream is.
        let state: (Pace, Option<OwnedSemaphorePermit>, usize) = (pace, slot, place + 1);
        Some((piece, state))
    });
    Body::from_stream(stream).into_response()
}
