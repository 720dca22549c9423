//! `/v1/adapters`: every bundle of the adapters directory and its state, the policy that lets them in, and changing them.
//!
//! A change may say which generation it is for, by `?expected_generation=` or `If-Match`, and that there is none, by
//! `If-None-Match: *`. It is answered once what was put there serves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transducer_pipeline::{
    AdapterStatus, ChangeError, Changed, Expected, Install, MAX_ARCHIVE_BYTES, PolicyStatus, Service,
};

use crate::access::Caller;
use crate::body::archive;
use crate::error::ApiError;
use crate::extract::{Path, Query};
use crate::record::Record;
use crate::state::Server;

/// The `.minisig` file of an archive, in Base64: it has several lines.
const SIGNATURE: HeaderName = HeaderName::from_static("x-minisign");

/// `GET /v1/adapters`
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdapterList {
    object: &'static str,
    data: Vec<AdapterStatus>,
    policy: PolicyStatus,
}

/// What a change may say in its query.
#[derive(Deserialize)]
pub(crate) struct Change {
    expected_generation: Option<String>,
    #[serde(default)]
    allow_downgrade: bool,
}

/// An adapter that is gone.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Removed {
    name: String,
    deleted: bool,
}

pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AdapterList>, ApiError> {
    let service = server.ready()?;
    let mut data = service.adapters();
    data.retain(|adapter| caller.sees(&adapter.name));
    Ok(Json(AdapterList {
        object: "list",
        data,
        policy: service.policy(),
    }))
}

pub(crate) async fn put(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    Path(name): Path<String>,
    Query(change): Query<Change>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, ApiError> {
    let service = allowed(&server, &caller, &record, &name, &headers)?;
    let expected = expected(&change, &headers)?;
    let signature = signature(&headers)?;
    let limit = usize::try_from(MAX_ARCHIVE_BYTES).unwrap_or(usize::MAX);
    let archive = archive(body, limit).await?;
    let changed = on_a_thread(move || {
        service.install(Install {
            name: &name,
            archive,
            signature: signature.as_deref(),
            expected,
            allow_downgrade: change.allow_downgrade,
        })
    });
    Ok(Json(told(&record, changed.await?)))
}

pub(crate) async fn delete(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    Path(name): Path<String>,
    Query(change): Query<Change>,
    headers: HeaderMap,
) -> Result<Json<Removed>, ApiError> {
    let service = allowed(&server, &caller, &record, &name, &headers)?;
    let expected = expected(&change, &headers)?;
    on_a_thread(move || {
        service.remove(&name, expected.as_ref())?;
        Ok(Json(Removed { name, deleted: true }))
    })
    .await
}

pub(crate) async fn rollback(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Extension(record): Extension<Arc<Record>>,
    Path(name): Path<String>,
    Query(change): Query<Change>,
    headers: HeaderMap,
) -> Result<Json<Changed>, ApiError> {
    let service = allowed(&server, &caller, &record, &name, &headers)?;
    let expected = expected(&change, &headers)?;
    let changed = on_a_thread(move || service.roll_back(&name, expected.as_ref()));
    Ok(Json(told(&record, changed.await?)))
}

/// The host, if the caller may change this adapter of it.
fn allowed(
    server: &Server,
    caller: &Caller,
    record: &Record,
    name: &str,
    headers: &HeaderMap,
) -> Result<Arc<dyn Service>, ApiError> {
    record.facts().adapter = Some(name.to_owned());
    from_here(headers)?;
    caller.may_change(name, server.options.allow_changes)?;
    server.ready()
}

/// A page of another site can make a browser send requests here; it cannot keep the browser from saying where they come from.
fn from_here(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (origin, host) = (text(header::ORIGIN), text(header::HOST));
    let same = |origin: &str| origin.split_once("://").map(|(_, origin)| origin) == host;
    if origin.is_none_or(same) {
        return Ok(());
    }
    let message = "a page of another site may not change adapters";
    Err(ApiError::new(StatusCode::FORBIDDEN, "other_origin", message))
}

fn expected(change: &Change, headers: &HeaderMap) -> Result<Option<Expected>, ApiError> {
    let bad = |message| ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message);
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let matches = text(header::IF_MATCH).map(|tag| tag.trim_matches('"').to_owned());
    match (
        change.expected_generation.clone().or(matches),
        text(header::IF_NONE_MATCH),
    ) {
        (Some(_), Some(_)) => Err(bad("give either the generation that is expected, or If-None-Match")),
        (Some(generation), None) if generation.len() == 64 => Ok(Some(Expected::Generation(generation))),
        (Some(_), None) => Err(bad(
            "the expected generation has 64 hexadecimal digits: GET /v1/adapters has it",
        )),
        (None, Some("*")) => Ok(Some(Expected::Absent)),
        (None, Some(_)) => Err(bad("If-None-Match is `*` here: the adapter shall not be there yet")),
        (None, None) => Ok(None),
    }
}

fn signature(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(SIGNATURE) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(value.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| {
        let message = format!("{SIGNATURE} is the text of the archive's .minisig file in Base64");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    })
}

/// Checking a bundle compiles its task, and the store waits for the disk.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| {
        let message = "the change failed inside the host; its log says more";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(done?)
}

/// Writes down what came of a change.
fn told(record: &Record, changed: Changed) -> Changed {
    record.facts().generation = Some(changed.generation.clone());
    changed
}
