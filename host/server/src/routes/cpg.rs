//! `POST /v1/cpg`: the code property graph of a piece of code, `{"language", "code", "edges"?}`.
//!
//! The answer is JSON; with `Accept: image/svg+xml` or `?format=svg` it is a picture. It is the largest that the server gives, so that
//! a request keeps its place until the answer is sent.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use transducer_pipeline::{GraphForm, GraphRequest, RequestError};

use crate::body::json_form;
use crate::error::ApiError;
use crate::extract::Query;
use crate::state::{Server, Slot};

/// How much of an answer is handed to the connection at once: it asks for more once that is nearly sent.
const PIECE: usize = 64 << 10;

#[derive(Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Svg,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// `java`, `python`, or another that the host has a front end for.
    language: String,
    code: String,
    /// Kinds of edges, such as `CFG`; all by default.
    #[serde(default)]
    edges: Vec<String>,
}

pub(crate) async fn graph(
    State(server): State<Arc<Server>>,
    Query(query): Query<Form>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let code: Code = json_form(body, server.options.max_body_bytes).await?;
    let service = server.ready()?;
    let slot = server.slot("cpg")?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let wants_picture = accept.is_some_and(|accept| accept.contains("image/svg+xml"));
    let (form, content_type) = match query.format {
        Some(Format::Svg) => (GraphForm::Svg, "image/svg+xml"),
        None if wants_picture => (GraphForm::Svg, "image/svg+xml"),
        _ => (GraphForm::Json, "application/json"),
    };
    let drawn = tokio::task::spawn_blocking(move || {
        let drawn = service.graph(&GraphRequest {
            language: &code.language,
            code: &code.code,
            edges: &code.edges,
            form,
        })?;
        Ok::<_, RequestError>((drawn, slot))
    });
    let (drawn, slot) = drawn.await.map_err(|_| {
        let message = "the request failed inside the host; its log says more";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })??;
    // The picture is made of other people's code: whoever opens it by itself runs nothing that it might say.
    let harmless = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        ),
    ];
    let length = [(header::CONTENT_LENGTH, HeaderValue::from(drawn.len()))];
    Ok((harmless, length, held(drawn, slot)).into_response())
}

/// A body whose request keeps its place until it is sent, or its client goes away.
fn held(text: String, slot: Slot) -> Body {
    let pieces = (Bytes::from(text), slot);
    Body::from_stream(stream::unfold(pieces, async |(mut rest, slot)| {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (rest, slot)))
    }))
}
