//! One module a route.

mod adapters;
mod cpg;
mod health;
mod metrics;
mod openai;
mod page;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};

use crate::error::ApiError;
use crate::state::Server;

pub(crate) fn all() -> Router<Arc<Server>> {
    Router::new()
        .route("/", get(page::index))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/health", get(health::get))
        .route("/metrics", get(metrics::get))
        .route("/v1/adapters", get(adapters::list))
        .route("/v1/models", get(openai::models))
        .route("/v1/completions", post(openai::completions))
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/cpg", post(cpg::graph))
        .route("/v1/tasks/{adapter}", post(tasks::answer))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "route_not_found",
        format!("no route {}: see GET /", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}: see GET /", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
