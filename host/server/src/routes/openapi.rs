//! `GET /openapi.json`: what there is to ask and what is answered, as OpenAPI 3.1, with each adapter's own schemas.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use transducer_pipeline::{AdapterInfo, AdapterState, AdapterStatus};

use super::{Content, EVENTS, Parameter, Route, STREAM, table};
use crate::access::Caller;
use crate::error::Envelope;
use crate::state::{Phase, Server};

/// Where the document keeps the schemas of types.
const SCHEMAS: &str = "/components/schemas";

/// It answers while the host loads too; what adapters take is in it once they are there.
pub(crate) async fn get(State(server): State<Arc<Server>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let mut adapters = match server.phase() {
        Phase::Ready(service) => service.adapters(),
        Phase::Loading(_) | Phase::Draining => Vec::new(),
    };
    adapters.retain(|adapter| caller.sees(&adapter.name));
    Json(document(&adapters, server.options.keys.is_some()))
}

fn document(adapters: &[AdapterStatus], has_keys: bool) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut takes = settings.clone().into_generator();
    let mut gives = settings.for_serialize().into_generator();
    let error = gives.subschema_for::<Envelope>();
    let mut paths = Map::new();
    for route in table() {
        let operation = operation(&route, &mut takes, &mut gives, &json!(error));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    for adapter in adapters {
        if let AdapterState::Ready(info) = &adapter.state {
            paths.insert(
                format!("/v1/tasks/{}", adapter.name),
                task(&adapter.name, info, &json!(error)),
            );
        }
    }
    let mut schemas = takes.take_definitions(true);
    schemas.extend(gives.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "transducer-host",
            "summary": "One frozen code LLM, many tasks",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    });
    if has_keys {
        document["security"] = json!([{"key": []}]);
    }
    document
}

fn operation(route: &Route, takes: &mut SchemaGenerator, gives: &mut SchemaGenerator, error: &Value) -> Value {
    let in_path = route
        .path
        .split(['{', '}'])
        .skip(1)
        .step_by(2)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let words = route.path.split(|char: char| !char.is_ascii_alphanumeric());
    let name: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let mut answers = content(&route.gives, gives);
    if let Some(other) = &route.or_gives {
        answers[other.kind] = json!({});
    }
    let mut operation = json!({
        "operationId": format!("{}_{}", route.method, name.join("_")).trim_end_matches('_'),
        "summary": route.summary,
        "parameters": in_path.chain(route.query.iter().map(in_query)).collect::<Vec<_>>(),
        "responses": responses(answers, error),
    });
    if let Some(body) = &route.takes {
        operation["requestBody"] = json!({"required": true, "content": content(body, takes)});
    }
    operation
}

fn in_query((name, kind, about): &Parameter) -> Value {
    json!({"name": name, "in": "query", "description": about, "schema": {"type": kind}})
}

/// One adapter's task, by its own schemas.
fn task(name: &str, info: &AdapterInfo, error: &Value) -> Value {
    let examples = info.examples.iter().map(|example| {
        let value = json!({"summary": example.title, "value": example.request});
        (example.title.clone(), value)
    });
    let body = json!({
        "schema": embedded(&info.request_schema, name, "request"),
        "examples": examples.collect::<Map<_, _>>(),
    });
    let answer = json!({
        "allOf": [
            {"$ref": format!("#{SCHEMAS}/Answer")},
            {"type": "object", "properties": {"data": embedded(&info.answer_schema, name, "answer")}},
        ],
    });
    json!({"post": {
        "operationId": format!("task_{name}"),
        "summary": info.summary,
        "parameters": STREAM.iter().map(in_query).collect::<Vec<_>>(),
        "requestBody": {"required": true, "content": {"application/json": body}},
        "responses": responses(json!({"application/json": {"schema": answer}, EVENTS.kind: {}}), error),
    }})
}

/// A task's own schema. Its references mean places in itself, and not in this document.
fn embedded(schema: &Value, name: &str, what: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.insert("$id".to_owned(), json!(format!("urn:transducer:adapter:{name}:{what}")));
    }
    schema
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    let schema = content.schema.map(|schema| json!({"schema": schema(generator)}));
    json!({content.kind: schema.unwrap_or_else(|| json!({}))})
}

fn responses(content: Value, error: &Value) -> Value {
    json!({
        "200": {"description": "the answer", "content": content},
        "default": {"description": "an error", "content": {"application/json": {"schema": error}}},
    })
}
