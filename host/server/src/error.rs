//! Errors as clients see them: OpenAI's envelope, with codes that do not change.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use transducer_pipeline::{BundleError, ChangeError, RequestError, StoreError};

use crate::record::Failure;

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
    /// What a client without the right key is told of how to send one (RFC 6750).
    challenge: Option<&'static str>,
}

/// `{"error": {"message", "type", "param", "code"}}`
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct Envelope {
    error: Body,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorBody")]
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
            challenge: None,
        }
    }

    /// Its stable name.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// What the log says of it.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            code: self.code,
            message: self.message.clone(),
        }
    }

    /// A key is missing, or is not known.
    pub(crate) fn no_key(message: impl Into<String>, was_given: bool) -> Self {
        let challenge = if was_given {
            "Bearer realm=\"transducer-host\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"transducer-host\""
        };
        Self {
            challenge: Some(challenge),
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
        }
    }

    /// Tells the client after how many seconds another try makes sense.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The envelope alone, for an error in the middle of a stream.
    pub(crate) fn envelope(self) -> Envelope {
        let r#type = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
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
            // It takes until the host looks at the directory again.
            E::Lost { .. } => new(StatusCode::SERVICE_UNAVAILABLE, "adapter_lost").retry_after(30),
            E::Rejected(_) => new(StatusCode::BAD_REQUEST, "request_rejected"),
            E::LargeGraph { .. } => new(StatusCode::BAD_REQUEST, "graph_too_large"),
            E::TooLong { .. } => new(StatusCode::BAD_REQUEST, "context_length_exceeded"),
            E::Busy { .. } => new(StatusCode::TOO_MANY_REQUESTS, "queue_full").retry_after(1),
            E::Unavailable(_) => new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable").retry_after(5),
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

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        use ChangeError as E;
        let (status, code) = match &error {
            E::Name(_) => (StatusCode::BAD_REQUEST, "invalid_name"),
            E::Unusable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bundle_unusable"),
            E::NotServing { .. } => (StatusCode::CONFLICT, "not_serving"),
            E::Reload(_) | E::Staging(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store_failed"),
            E::Store(error) => of_store(error),
            E::Sent { error, .. } => of_store(error),
        };
        Self::new(status, code, error.to_string())
    }
}

fn of_store(error: &StoreError) -> (StatusCode, &'static str) {
    match error {
        StoreError::OtherGeneration { .. } => (StatusCode::CONFLICT, "generation_mismatch"),
        StoreError::OtherName { .. } => (StatusCode::BAD_REQUEST, "name_mismatch"),
        StoreError::Downgrade { .. } | StoreError::SameVersion { .. } => (StatusCode::CONFLICT, "version_not_newer"),
        StoreError::Occupied { .. } => (StatusCode::CONFLICT, "not_installed_here"),
        StoreError::NotInstalled { .. } => (StatusCode::NOT_FOUND, "adapter_not_found"),
        StoreError::NoEarlier { .. } => (StatusCode::CONFLICT, "no_earlier_version"),
        StoreError::Bundle(BundleError::Refused(_)) | StoreError::Signature(_) => {
            (StatusCode::FORBIDDEN, "bundle_refused")
        }
        StoreError::Bundle(_) | StoreError::Weights { .. } | StoreError::NotPacked { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "bundle_unusable")
        }
        StoreError::Io { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "store_failed"),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after, challenge) = (self.status, self.retry_after, self.challenge);
        let failure = self.failure();
        let mut response = (status, Json(self.envelope())).into_response();
        // For the request's line in the log.
        response.extensions_mut().insert(failure);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
