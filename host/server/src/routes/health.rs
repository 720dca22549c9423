//! `GET /health`: 200 once requests are taken; 503 while the host loads and while it drains.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::state::{Phase, Server};

pub(crate) async fn get(State(server): State<Arc<Server>>) -> (StatusCode, Json<Value>) {
    match server.phase() {
        Phase::Ready(service) => (
            StatusCode::OK,
            Json(json!({"status": "ready", "model": service.model()})),
        ),
        Phase::Loading(stage) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "loading", "stage": stage})),
        ),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"}))),
    }
}
