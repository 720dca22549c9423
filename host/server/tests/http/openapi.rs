//! The document of all routes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use transducer_server::Options;

use crate::support::*;

#[test]
fn every_route_and_every_adapter_is_in_the_document() {
    let server = Running::ready_with(Options {
        allow_changes: true,
        ..Options::default()
    });
    server.ask("PUT", "/v1/adapters/new", "", "1.0.0");
    let (status, document) = server.get("/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let paths = document["paths"].as_object().unwrap();
    let mut operations = BTreeSet::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            operations.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["responses"]["200"].is_object(), "{path}");
        }
    }
    let (_, index) = get_text(&server, "/", "application/json");
    let index: Value = serde_json::from_str(&index).unwrap();
    let mut routes: BTreeSet<_> = index["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route.as_str().unwrap().to_owned())
        .collect();
    routes.insert("POST /v1/tasks/new".to_owned());
    assert_eq!(operations, routes);

    // No two operations have one name, and whatever is referred to is there.
    let ids: Vec<_> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].to_string())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let text = document.to_string();
    let references: BTreeSet<_> = text
        .split("\"$ref\":\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(references.len() > 5, "{references:?}");
    for reference in references.iter().filter(|reference| !reference.starts_with("/$defs")) {
        assert!(document.pointer(reference).is_some(), "nothing at {reference}");
    }

    for (method, path, kind) in [
        ("post", "/v1/chat/completions", "text/event-stream"),
        ("post", "/v1/tasks/new", "text/event-stream"),
        ("post", "/v1/cpg", "image/svg+xml"),
        ("post", "/v1/cpg", "application/json"),
        ("get", "/page.js", "text/javascript"),
    ] {
        let answer = &document["paths"][path][method]["responses"]["200"]["content"];
        assert!(answer[kind].is_object(), "{path}: {answer}");
    }
    let (head, _) = get_text(&server, "/metrics", "*/*");
    let kinds = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"].as_object();
    let kind = kinds.and_then(|kinds| kinds.keys().next()).unwrap();
    assert!(head.contains(&format!("content-type: {kind}")), "{head}");

    let task = &document["paths"]["/v1/tasks/new"]["post"];
    let body = &task["requestBody"]["content"]["application/json"];
    assert_eq!(body["schema"]["$defs"]["code"]["type"], "string");
    // Its own references are looked up in itself.
    assert_eq!(body["schema"]["$id"], "urn:transducer:adapter:new:request");
    assert_eq!(body["examples"]["a loop"]["value"], json!({"code": "f();"}));
    let chat = &document["components"]["schemas"]["ChatForm"];
    assert_eq!(chat["properties"]["messages"]["type"], "array");
    assert_eq!(chat["properties"]["max_tokens"]["type"], json!(["integer", "null"]));
}
