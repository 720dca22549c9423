//! `POST /tokenize` and `POST /detokenize`, in the form of vLLM's server.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transducer_pipeline::{RequestError, Service};

use super::openai::form::Tokenize;
use super::openai::{known, read, unknown, wrong};
use crate::access::Caller;
use crate::body::{json_form, json_text};
use crate::error::ApiError;
use crate::state::Server;

/// The tokens of a text.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Tokens {
    count: usize,
    /// Longest prompt and answer together.
    max_model_len: usize,
    tokens: Vec<u32>,
}

/// Tokens whose text is asked for.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Detokenize {
    model: Option<String>,
    tokens: Vec<u32>,
}

/// The text of tokens.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Text {
    prompt: String,
}

pub(crate) async fn tokenize(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Tokens>, ApiError> {
    let body = json_text(body, server.options.max_body_bytes).await?;
    let asked = Tokenize::parse(&body).map_err(wrong)?;
    let input = read(asked.input, asked.special, asked.opened)?;
    let tokens = on_a_thread(&server, &caller, asked.model, move |service| {
        service.tokenize(&input.borrowed())
    })
    .await?;
    Ok(Json(Tokens {
        count: tokens.len(),
        max_model_len: server.ready()?.model().context,
        tokens,
    }))
}

pub(crate) async fn detokenize(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Text>, ApiError> {
    let Detokenize { model, tokens } = json_form(body, server.options.max_body_bytes).await?;
    let prompt = on_a_thread(&server, &caller, model, move |service| service.detokenize(&tokens)).await?;
    Ok(Json(Text { prompt }))
}

/// A megabyte of text takes a while.
async fn on_a_thread<T: Send + 'static>(
    server: &Server,
    caller: &Caller,
    model: Option<String>,
    work: impl FnOnce(&dyn Service) -> Result<T, RequestError> + Send + 'static,
) -> Result<T, ApiError> {
    let service = server.ready()?;
    // All of them have the base model's tokens.
    if let Some(model) = model {
        caller.may_ask(&model)?;
        if !known(&*service, caller).iter().any(|known| known.id == model) {
            return Err(unknown(&model));
        }
    }
    let slot = server.slot("tokenize")?;
    let done = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work(&*service)
    });
    let done = done.await.map_err(|_| {
        let message = "the request failed inside the host; its log says more";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(done?)
}
