//! One module a route, and the table of them all: the router, the index and the OpenAPI document are made of it.

mod adapters;
mod cpg;
mod health;
mod metrics;
mod openai;
mod openapi;
mod page;
mod tasks;
mod tokenize;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use transducer_pipeline::{Answer, Changed};

use self::openai::form::{ChatForm, CompletionForm, TokenizeForm};
use self::openai::wire::{ChatChoice, Frame, Model, ModelList, TextChoice};
use crate::error::ApiError;
use crate::state::Server;

/// One method of one path, and what is said about it.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    handler: MethodRouter<Arc<Server>>,
    /// What may stand behind `?`.
    query: &'static [Parameter],
    takes: Option<Content>,
    gives: Content,
    /// In what other form it answers, where it is asked to.
    or_gives: Option<Content>,
}

/// Name, JSON type, and what it does.
type Parameter = (&'static str, &'static str, &'static str);

/// The body of a request or an answer.
struct Content {
    kind: &'static str,
    /// None where it is no JSON.
    schema: Option<fn(&mut SchemaGenerator) -> Schema>,
}

const HTML: Content = Content {
    kind: "text/html",
    schema: None,
};
const STYLE: Content = Content {
    kind: "text/css",
    schema: None,
};
const SCRIPT: Content = Content {
    kind: "text/javascript",
    schema: None,
};
const METRICS: Content = Content {
    kind: metrics::KIND,
    schema: None,
};
const EVENTS: Content = Content {
    kind: "text/event-stream",
    schema: None,
};
const PICTURE: Content = Content {
    kind: "image/svg+xml",
    schema: None,
};
const BYTES: Content = Content {
    kind: "application/octet-stream",
    schema: None,
};

fn json<T: JsonSchema>() -> Content {
    Content {
        kind: "application/json",
        schema: Some(|generator| generator.subschema_for::<T>()),
    }
}

impl Route {
    fn new(
        method: &'static str,
        path: &'static str,
        summary: &'static str,
        handler: MethodRouter<Arc<Server>>,
        gives: Content,
    ) -> Self {
        Self {
            method,
            path,
            summary,
            handler,
            query: &[],
            takes: None,
            gives,
            or_gives: None,
        }
    }

    fn takes(mut self, takes: Content) -> Self {
        self.takes = Some(takes);
        self
    }

    fn or_gives(mut self, gives: Content) -> Self {
        self.or_gives = Some(gives);
        self
    }

    fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }
}

const CHANGE: &[Parameter] = &[(
    "expected_generation",
    "string",
    "the generation that the change is for; another one there is an error (409)",
)];
const INSTALL: &[Parameter] = &[
    CHANGE[0],
    (
        "allow_downgrade",
        "boolean",
        "replace a later version, or the same version with other contents",
    ),
];
const STREAM: &[Parameter] = &[("stream", "boolean", "answer in server-sent events")];
const FORMAT: &[Parameter] = &[("format", "string", "`json` or `svg`")];

#[rustfmt::skip] // A table.
fn table() -> Vec<Route> {
    let any = json::<serde_json::Value>;
    vec![
        Route::new("get", "/", "A page to try the adapters", get(page::index), HTML),
        Route::new("get", "/page.css", "Its style", get(page::style), STYLE),
        Route::new("get", "/page.js", "Its script", get(page::script), SCRIPT),
        Route::new("get", "/health", "200 once requests are taken, 503 while loading and draining", get(health::get), any()),
        Route::new("get", "/metrics", "Counts and times, for Prometheus", get(metrics::get), METRICS),
        Route::new("get", "/openapi.json", "This document", get(openapi::get), any()),
        Route::new("get", "/v1/adapters", "Every bundle and its state", get(adapters::list), json::<adapters::AdapterList>()),
        Route::new("put", "/v1/adapters/{adapter}", "Install a .tadapter file; its .minisig file goes into `X-Minisign`, in Base64", put(adapters::put), json::<Changed>())
            .takes(BYTES).query(INSTALL),
        Route::new("delete", "/v1/adapters/{adapter}", "Remove an adapter that was installed", delete(adapters::delete), json::<adapters::Removed>())
            .query(CHANGE),
        Route::new("post", "/v1/adapters/{adapter}/rollback", "Put the version before back", post(adapters::rollback), json::<Changed>())
            .query(CHANGE),
        Route::new("post", "/v1/tasks/{adapter}", "Ask an adapter in the form of its task", post(tasks::answer), json::<Answer>())
            .or_gives(EVENTS).takes(any()).query(STREAM),
        Route::new("post", "/v1/cpg", "The graph of a piece of code, as JSON or as a picture", post(cpg::graph), any())
            .or_gives(PICTURE).takes(json::<cpg::Code>()).query(FORMAT),
        Route::new("get", "/v1/models", "The base model and the adapters that can be asked", get(openai::models), json::<ModelList>()),
        Route::new("get", "/v1/models/{model}", "One of them", get(openai::model), json::<Model>()),
        Route::new("post", "/v1/completions", "OpenAI's completions, by an adapter or the base model", post(openai::completions), json::<Frame<TextChoice>>())
            .or_gives(EVENTS).takes(json::<CompletionForm>()),
        Route::new("post", "/v1/chat/completions", "OpenAI's chat, with an adapter or the base model", post(openai::chat), json::<Frame<ChatChoice>>())
            .or_gives(EVENTS).takes(json::<ChatForm>()),
        Route::new("post", "/tokenize", "The tokens of a text or of a conversation", post(tokenize::tokenize), json::<tokenize::Tokens>())
            .takes(json::<TokenizeForm>()),
        Route::new("post", "/detokenize", "The text of tokens", post(tokenize::detokenize), json::<tokenize::Text>())
            .takes(json::<tokenize::Detokenize>()),
    ]
}

pub(crate) fn all() -> Router<Arc<Server>> {
    let router = table()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler));
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "route_not_found",
        format!("no route {}: see GET /", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}: see GET /", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
