//! `GET /`: a page to try the adapters, out of the program itself. It fetches nothing from elsewhere.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};

const PAGE: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");

/// Only what this server itself sends; pictures of graphs are made in the page (`blob:`). Text that a model wrote could
/// not run even if the page put it in as markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page; the routes as JSON for a client that asks for JSON.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        return Json(serde_json::json!({
            "name": "transducer-host",
            "version": env!("CARGO_PKG_VERSION"),
            "routes": super::table().iter().map(|route| format!("{} {}", route.method.to_uppercase(), route.path)).collect::<Vec<_>>(),
        }))
        .into_response();
    }
    served(PAGE, "text/html; charset=utf-8")
}

pub(crate) async fn style() -> Response {
    served(STYLE, "text/css; charset=utf-8")
}

pub(crate) async fn script() -> Response {
    served(SCRIPT, "text/javascript; charset=utf-8")
}

fn served(text: &'static str, content_type: &'static str) -> Response {
    const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another version of the program brings another page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
