//! Errors as clients see them: OpenAI's envelope, with codes that do not change.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use transducer_pipeline::RequestError;

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
}

/// `{"error": {"message", "type", "param", "code"}}`
#[derive(Serialize)]
pub(crate) struct Envelope {
    error: Body,
}

#[derive(Serialize)]
struct Body {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: &'static str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Its stable name.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Tells the client after how many seconds another try makes sense.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The envelope alone, for an error in the middle of a stream.
    pub(crate) fn envelope(self) -> Envelope {
        let r#type = match self.status.as_u16() {
            404 => "not_found_error",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            503 => "service_unavailable_error",
            _ => "server_error",
        };
        Envelope {
            error: Body {
                message: self.message,
                r#type,
                param: None,
                code: self.code,
            },
        }
    }
}

impl From<RequestError> for ApiError {
    /// The one place where errors of the pipeline become statuses and codes.
    fn from(error: RequestError) -> Self {
        use RequestError as E;
        let message = error.to_string();
        let new = |status, code| Self::new(status, code, message);
        match error {
            E::UnknownAdapter { .. } => new(StatusCode::NOT_FOUND, "adapter_not_found"),
            E::BrokenAdapter { .. } => new(StatusCode::SERVICE_UNAVAILABLE, "adapter_broken"),
            E::Rejected(_) => new(StatusCode::BAD_REQUEST, "request_rejected"),
            E::TooLong { .. } => new(StatusCode::BAD_REQUEST, "context_length_exceeded"),
            E::Busy { .. } => new(StatusCode::TOO_MANY_REQUESTS, "queue_full").retry_after(1),
            E::Deadline(_) => new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            // Nobody reads it: the client is gone, or the host is going.
            E::Cancelled => new(StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
            E::Task { .. } | E::Decoding(_) => new(StatusCode::BAD_GATEWAY, "task_failed"),
            E::Transducer(_) => new(StatusCode::INTERNAL_SERVER_ERROR, "transducer_failed"),
            E::Prompt(_) | E::Embeddings(_) | E::Backbone(_) | E::Engine(_) => {
                new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self.envelope())).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
