//! Keys: who may ask what.

use serde_json::{Value, json};
use transducer_access::{Entry, Gate, KeyFile};
use transducer_server::Options;

use crate::support::*;

/// A server with four keys: for all, for `echo` alone, for one request a minute, and an admin's.
fn guarded() -> (Running, [String; 4], tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.toml");
    let mut file = KeyFile::open_or_new(&path).unwrap();
    let mut add = |name: &str, change: &dyn Fn(&mut Entry)| {
        let mut entry = Entry {
            name: name.to_owned(),
            digest: [0; 32],
            adapters: None,
            requests_per_minute: None,
            admin: false,
        };
        change(&mut entry);
        format!("authorization: Bearer {}\r\n", file.add(&entry).unwrap().secret())
    };
    let keys = [
        add("all", &|_| ()),
        add("narrow", &|entry| entry.adapters = Some(["echo".to_owned()].into())),
        add("slow", &|entry| entry.requests_per_minute = 1.try_into().ok()),
        add("admin", &|entry| entry.admin = true),
    ];
    let server = Running::ready_with(Options {
        keys: Some(Gate::open(&path).unwrap().into()),
        ..Options::default()
    });
    (server, keys, dir)
}

/// Every path of the index, as a client would ask it.
fn routes(server: &Running) -> Vec<(String, String)> {
    let (_, index) = get_text(server, "/", "application/json");
    let index: Value = serde_json::from_str(&index).unwrap();
    let routes = index["routes"].as_array().unwrap().iter();
    let routes: Vec<_> = routes
        .map(|route| route.as_str().unwrap().split_once(' ').unwrap())
        .map(|(method, path)| (method.to_owned(), path.replace(['{', '}'], "")))
        .collect();
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

#[test]
fn without_a_key_nothing_is_answered_but_health_and_the_page() {
    let (server, [all, ..], _dir) = guarded();
    for (method, path) in routes(&server) {
        let is_open = ["/", "/health", "/page.css", "/page.js"].contains(&path.as_str());
        for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic eDp5\r\n"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n{headers}\r\n{{}}"
            );
            let (head, body) = text(&server, &request);
            assert_eq!(head.starts_with("http/1.1 200"), is_open, "{method} {path}: {head}");
            if !is_open {
                assert!(head.starts_with("http/1.1 401"), "{method} {path}: {head}");
                assert!(head.contains("www-authenticate: bearer realm="), "{head}");
                assert!(body.contains(r#""code":"invalid_api_key""#), "{body}");
                assert!(body.contains(r#""type":"authentication_error""#), "{body}");
            }
        }
    }
    check_error(server.get("/nowhere"), 401, "invalid_api_key", "key");
    check_error(
        server.ask("GET", "/nowhere", &all, ""),
        404,
        "route_not_found",
        "nowhere",
    );
    assert_eq!(
        server.ask("GET", "/v1/models", &all.replace("Bearer", "bearer"), "").0,
        200
    );
}

#[test]
fn a_key_for_some_adapters_sees_no_others() {
    let (server, [all, narrow, ..], _dir) = guarded();
    let ask = |path: &str, body: &Value| server.ask("POST", path, &narrow, &body.to_string());
    assert_eq!(ask("/v1/tasks/echo", &json!({})).0, 200);
    assert_eq!(ask("/v1/completions", &json!({"model": "echo", "prompt": "a"})).0, 200);
    for (path, body) in [
        ("/v1/tasks/picky", json!({})),
        ("/v1/tasks/nobody?stream=true", json!({})),
        (
            "/v1/completions",
            json!({"model": "tiny", "prompt": "a", "stream": true}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "picky", "messages": [{"role": "user", "content": "a"}]}),
        ),
        ("/tokenize", json!({"model": "tiny", "prompt": "a"})),
    ] {
        check_error(ask(path, &body), 403, "adapter_not_allowed", "\"narrow\"");
    }
    let get = |path: &str, key: &str| server.ask("GET", path, key, "");
    assert_eq!(get("/v1/models", &narrow).1["data"], json!([]));
    assert_eq!(get("/v1/models", &all).1["data"][0]["id"], "tiny");
    assert_eq!(get("/v1/adapters", &narrow).1["data"][0]["name"], "echo");
    check_error(get("/v1/models/tiny", &narrow), 403, "adapter_not_allowed", "tiny");
    check_error(get("/metrics", &narrow), 403, "metrics_not_allowed", "every adapter");
}

#[test]
fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let (server, [all, _, slow, _], _dir) = guarded();
    assert_eq!(server.ask("GET", "/v1/models", &slow, "").0, 200);
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{slow}\r\n");
    let (head, body) = text(&server, &request);
    assert!(head.starts_with("http/1.1 429"), "{head}");
    let after = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    assert!((50..=60).contains(&after.unwrap().parse::<u32>().unwrap()), "{head}");
    assert!(body.contains("rate_limit_exceeded"), "{body}");
    assert_eq!(server.ask("GET", "/v1/models", &all, "").0, 200);
}

#[test]
fn adapters_are_changed_by_admins() {
    let (server, [all, _, _, admin], _dir) = guarded();
    let put = |headers: &str, query: &str| server.ask("PUT", &format!("/v1/adapters/new{query}"), headers, "2.0.0");
    check_error(put(&all, ""), 403, "changes_not_allowed", "--allow-changes");
    let signed = format!("{admin}x-minisign: {}\r\n", "dGV4dA==");
    let (status, changed) = put(&signed, "");
    assert_eq!(
        (status, changed),
        (
            200,
            json!({"name": "new", "version": "2.0.0", "before": "text", "generation": "g2"})
        )
    );
    let names = || {
        server.ask("GET", "/v1/models", &all, "").1["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(names(), 2);
    for (headers, query) in [
        (admin.clone(), format!("?expected_generation={}", "a".repeat(64))),
        (format!("{admin}if-match: \"{}\"\r\n", "a".repeat(64)), String::new()),
        (format!("{admin}if-none-match: *\r\n"), String::new()),
    ] {
        check_error(put(&headers, &query), 409, "generation_mismatch", "not installed");
    }
    check_error(put(&admin, "?expected_generation=abc"), 400, "invalid_request", "64");
    check_error(
        put(&format!("{admin}x-minisign: %\r\n"), ""),
        400,
        "invalid_request",
        "Base64",
    );
    let elsewhere = format!("{admin}origin: https://evil.example\r\n");
    check_error(put(&elsewhere, ""), 403, "other_origin", "another site");
    check_error(
        server.ask("POST", "/v1/adapters/new/rollback", &admin, ""),
        409,
        "no_earlier_version",
        "before 1.0.0",
    );
    check_error(
        server.ask("DELETE", "/v1/adapters/new", &all, ""),
        403,
        "changes_not_allowed",
        "admin",
    );
    let (status, removed) = server.ask("DELETE", "/v1/adapters/new", &admin, "");
    assert_eq!((status, removed), (200, json!({"name": "new", "deleted": true})));
    assert_eq!(names(), 1);
}

#[test]
fn without_keys_a_server_has_to_be_told_that_it_may_be_changed() {
    let server = Running::ready();
    check_error(
        server.ask("PUT", "/v1/adapters/new", "", "1.0.0"),
        403,
        "changes_not_allowed",
        "--allow-changes",
    );
    let server = Running::ready_with(Options {
        allow_changes: true,
        ..Options::default()
    });
    assert_eq!(server.ask("PUT", "/v1/adapters/new", "", "1.0.0").0, 200);
    check_error(
        server.ask("PUT", "/v1/adapters/N%20N", "", "1"),
        400,
        "invalid_name",
        "name",
    );
}
