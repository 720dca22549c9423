//! Bodies of requests: read within limits of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt;

use crate::error::ApiError;

/// How much of a body beyond the limit is read and thrown away. A server that answers and closes while the client still
/// sends resets the connection, and the client never sees the answer.
const DISCARDED_BYTES: usize = 64 << 20;

/// Longest time for an archive to arrive: some megabytes over a slow line.
const ARCHIVE_TIME: Duration = Duration::from_secs(300);

/// Longest time for a body to arrive: a client that needs longer for a few megabytes is gone, or holds a connection on
/// purpose.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The body as text that is JSON: what a task is given was at least that.
pub(crate) async fn json_text(body: Body, limit: usize) -> Result<String, ApiError> {
    let body = within(BODY_TIME, body, limit, "send less code").await?;
    let bad = |message| ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message);
    serde_json::from_slice::<serde::de::IgnoredAny>(&body)
        .map_err(|error| bad(format!("the body is not JSON: {error}")))?;
    String::from_utf8(body).map_err(|error| bad(format!("the body is not UTF-8: {error}")))
}

/// The body as it is.
pub(crate) async fn archive(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    within(ARCHIVE_TIME, body, limit, "no archive is that long").await
}

async fn within(time: Duration, body: Body, limit: usize, advice: &str) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(time, read(body, limit, advice))
        .await
        .map_err(|_| {
            let message = format!("the body did not arrive within {time:?}");
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
        })?
}

async fn read(body: Body, limit: usize, advice: &str) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let unreadable = |error| ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", format!("{error}"));
        let chunk = chunk.map_err(unreadable)?;
        total += chunk.len();
        if total <= limit {
            bytes.extend_from_slice(&chunk);
        } else if total > limit + DISCARDED_BYTES {
            break;
        }
    }
    if total > limit {
        let message = format!("the body is longer than the limit of {limit} bytes: {advice}");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    Ok(bytes)
}

/// The body as a value of this form.
pub(crate) async fn json_form<T: serde::de::DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    let text = json_text(body, limit).await?;
    serde_json::from_str(&text)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", format!("the body: {error}")))
}
