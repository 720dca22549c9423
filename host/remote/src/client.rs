//! HTTP to the endpoints.

use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::ask::message;
use crate::{EndpointError, PromptBody, RemoteError};

/// A computer that does not answer for so long is off.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long a connection is kept without use. vLLM's server closes them after 5 seconds; one that is used just then would cost a retry.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// The longest answer in one piece: a list of models, or an error.
const MOST_BYTES: usize = 1 << 20;

/// An error's message, as far as it is told.
const MOST_MESSAGE: usize = 500;

type Outgoing = Either<Full<Bytes>, PromptBody>;

/// What speaks to all endpoints, and keeps their connections.
#[derive(Debug)]
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Outgoing>,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// `tls` where an endpoint is reached by it.
    pub(crate) fn new(key: Option<&str>, tls: bool) -> Result<Self, RemoteError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let authorization = match key {
            None => None,
            Some(key) => {
                let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| RemoteError::Key)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIME)
                .build(connector),
            authorization,
        })
    }

    /// A GET, and all of its answer.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, EndpointError> {
        let response = self.send(Method::GET, url, Either::Left(Full::default())).await?;
        whole(response).await
    }

    /// A POST of JSON, and the beginning of its answer, which is not an error.
    pub(crate) async fn post(&self, url: &str, body: Outgoing) -> Result<Response<Incoming>, EndpointError> {
        self.send(Method::POST, url, body).await
    }

    async fn send(&self, method: Method, url: &str, body: Outgoing) -> Result<Response<Incoming>, EndpointError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(body)
            .map_err(|error| EndpointError::Connect(error.to_string()))?;
        let response = self.http.request(request).await.map_err(|error| {
            let told = causes(&error);
            if error.is_connect() {
                EndpointError::Connect(told)
            } else {
                EndpointError::Broken(told)
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = whole(response).await.unwrap_or_default();
        let value: Value = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        let message: String = message(&value).chars().take(MOST_MESSAGE).collect();
        let code = status.as_u16();
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                EndpointError::Busy { status: code, message }
            }
            _ => EndpointError::Status { status: code, message },
        })
    }
}

/// All of an answer that is short.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Bytes, EndpointError> {
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    Ok(body
        .map_err(|error| EndpointError::Broken(error.to_string()))?
        .to_bytes())
}

/// An error and its causes, which hyper does not tell with it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The system's certificates, where they are needed.
fn tls_config(tls: bool) -> Result<ClientConfig, RemoteError> {
    let mut roots = RootCertStore::empty();
    if tls {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found
                .errors
                .first()
                .map_or_else(|| "there are none".to_owned(), ToString::to_string);
            return Err(RemoteError::Certificates(format!("the system's certificates: {why}")));
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| RemoteError::Certificates(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
