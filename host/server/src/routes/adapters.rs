//! `GET /v1/adapters`: every bundle of the adapters directory and its state, and the policy that lets them in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::Server;

pub(crate) async fn list(State(server): State<Arc<Server>>) -> Result<Json<Value>, ApiError> {
    let service = server.ready()?;
    let list = json!({"object": "list", "data": service.adapters(), "policy": service.policy()});
    Ok(Json(list))
}
