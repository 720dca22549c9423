//! `GET /metrics`: what the server counts, for Prometheus. It answers while the host loads and drains too.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::Caller;
use crate::error::ApiError;
use crate::state::{Phase, Server};

/// The content type of what it answers.
pub(super) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn get(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    if !caller.sees_all() {
        let message = "the metrics name every adapter, and this key may not know of all";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "metrics_not_allowed", message));
    }
    let service = match server.phase() {
        Phase::Ready(service) => Some(service),
        Phase::Loading(_) | Phase::Draining => None,
    };
    let text = server
        .metrics
        .text(service.as_deref(), &server.in_progress())
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}
