//! What stands in a request's path and behind its `?`. What is wrong with it is told as any other error.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

/// What stands behind `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(found) = found.map_err(|error| invalid("path", &error.body_text()))?;
        Ok(Self(found))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found = axum::extract::Query::from_request_parts(parts, state).await;
        let axum::extract::Query(found) = found.map_err(|error| invalid("query", &error.body_text()))?;
        Ok(Self(found))
    }
}

fn invalid(place: &str, reason: &str) -> ApiError {
    let message = format!("the {place} of the URL: {reason}");
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message)
}
