//! Who asks: a key behind `Authorization: Bearer`, where the server was given keys.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use transducer_access::{Denied, Pass};

use crate::error::ApiError;
use crate::record::Record;
use crate::state::Server;

/// What answers anybody: whether the host is well, and the page, which has to load before somebody can give it a key.
const OPEN: [&str; 4] = ["/", "/health", "/page.css", "/page.js"];

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// None where the server has no keys.
    pass: Option<Pass>,
}

impl Caller {
    /// Whether it may know of an adapter, or of the base model.
    pub(crate) fn sees(&self, name: &str) -> bool {
        self.pass.as_ref().is_none_or(|pass| pass.allows(name))
    }

    /// Whether it may know of all there is.
    pub(crate) fn sees_all(&self) -> bool {
        self.pass.as_ref().is_none_or(|pass| pass.adapters.is_none())
    }

    /// Lets it ask for an adapter, or for the base model.
    pub(crate) fn may_ask(&self, name: &str) -> Result<(), ApiError> {
        match &self.pass {
            Some(pass) if !pass.allows(name) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "adapter_not_allowed",
                format!(
                    "the key {:?} may not ask for {name:?}: GET /v1/models says for what",
                    pass.name
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Lets it change an adapter.
    pub(crate) fn may_change(&self, name: &str, allowed: bool) -> Result<(), ApiError> {
        let is_admin = self.pass.as_ref().is_some_and(|pass| pass.admin);
        if !allowed && !is_admin {
            let message = "adapters are changed with the key of an admin (`transducer-host access new NAME --admin`), or by \
                           anybody who may ask for them if the server was started with --allow-changes";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "changes_not_allowed", message));
        }
        self.may_ask(name)
    }
}

/// Lets in whoever has a key, and says who it is.
pub(crate) async fn guard(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut caller = Caller::default();
    if let Some(gate) = server
        .options
        .keys
        .as_ref()
        .filter(|_| !OPEN.contains(&request.uri().path()))
    {
        let passed = match bearer(request.headers()) {
            None => Err(ApiError::no_key(
                "this server asks for a key: send `Authorization: Bearer KEY`",
                false,
            )),
            Some(secret) => gate.pass(secret).map_err(ApiError::from),
        };
        let pass = passed.inspect_err(|error| server.metrics.count_refused(error.code()))?;
        if let Some(record) = request.extensions().get::<Arc<Record>>() {
            record.facts().key = Some(pass.name.clone());
        }
        caller.pass = Some(pass);
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        match denied {
            Denied::Unknown => Self::no_key(message, true),
            Denied::TooOften { wait, .. } => {
                // Rounded up: a client that comes back at once when told to would be refused again.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let seconds = u32::try_from(seconds.max(1)).unwrap_or(u32::MAX);
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message).retry_after(seconds)
            }
        }
    }
}
