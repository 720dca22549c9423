//! Loading, answering, errors, limits and the end.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use transducer_server::Options;

use crate::support::*;

#[test]
fn while_it_loads_it_says_how_far_it_is() {
    let mut server = Running::loading(Options::default());
    let (status, body) = server.get("/health");
    assert_eq!((status, &body["status"]), (503, &json!("loading")));
    check_error(server.post("/v1/tasks/echo", b"{}"), 503, "loading", "still loading");
    check_error(server.get("/v1/adapters"), 503, "loading", "still loading");
    server.finish_loading(Ok(()));
    server.end().unwrap();
}

#[test]
fn a_host_that_cannot_be_loaded_ends_the_server() {
    let mut server = Running::loading(Options::default());
    server.finish_loading(Err("the model x.gguf: truncated".to_owned()));
    let ended = server.ended.take().unwrap().join().unwrap();
    assert_eq!(ended.unwrap_err().to_string(), "the model x.gguf: truncated");
}

#[test]
fn it_lists_adapters_and_answers() {
    let server = Running::ready();
    let (status, body) = server.get("/v1/adapters");
    assert_eq!(status, 200);
    assert_eq!(
        body["data"],
        json!([{"name": "echo", "state": "broken", "signer": null, "error": "no weights", "resident": false}])
    );
    let (status, body) = server.post("/v1/tasks/echo", br#"{"code": "int f() {}"}"#);
    assert_eq!(status, 200);
    assert_eq!(body["text"], r#"{"code": "int f() {}"}"#);
    assert_eq!(
        (&body["generation"], &body["usage"]["completion_tokens"]),
        (&json!("g1"), &json!(2))
    );
    assert_eq!(server.get("/health").1["model"]["hidden_size"], 8);
}

#[test]
fn errors_have_statuses_and_codes() {
    let server = Running::ready();
    check_error(
        server.post("/v1/tasks/nobody", b"{}"),
        404,
        "adapter_not_found",
        "there are: echo",
    );
    check_error(
        server.post("/v1/tasks/picky", b"{}"),
        400,
        "request_rejected",
        "`code` is missing",
    );
    check_error(
        server.post("/v1/tasks/long", b"{}"),
        400,
        "context_length_exceeded",
        "9000 tokens",
    );
    check_error(server.post("/v1/tasks/busy", b"{}"), 429, "queue_full", "try again");
    check_error(
        server.post("/v1/tasks/late", b"{}"),
        504,
        "deadline_exceeded",
        "within 1s",
    );
    check_error(
        server.post("/v1/tasks/echo", b"{\"code\": "),
        400,
        "invalid_json",
        "not JSON",
    );
    check_error(
        server.post("/v1/tasks/echo", b"{\"code\": \"\xff\"}"),
        400,
        "invalid_json",
        "UTF-8",
    );
    check_error(
        server.post("/v1/tasks/echo", &[b'['; 100_000]),
        400,
        "invalid_json",
        "EOF",
    );
    check_error(
        server.post("/v1/task/echo", b"{}"),
        404,
        "route_not_found",
        "/v1/task/echo",
    );
    check_error(server.get("/v1/tasks/echo"), 405, "method_not_allowed", "GET");
    for (path, said) in [
        ("/v1/tasks/echo?stream=maybe", "stream"),
        ("/v1/cpg?format=png", "png"),
        ("/v1/tasks/%ff", "UTF-8"),
    ] {
        check_error(server.post(path, b"{}"), 400, "invalid_request", said);
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let server = Running::ready_with(Options {
        max_body_bytes: 1000,
        ..Options::default()
    });
    let body = format!("\"{}\"", "x".repeat(999));
    check_error(
        server.post("/v1/tasks/echo", body.as_bytes()),
        413,
        "body_too_large",
        "1000 bytes",
    );
    // Far beyond the limit, so that it does not fit the buffers between client and server.
    check_error(
        server.post("/v1/tasks/echo", &vec![b' '; 20 << 20]),
        413,
        "body_too_large",
        "1000 bytes",
    );
    assert_eq!(server.post("/v1/tasks/echo", b"{}").0, 200);
}

#[test]
fn a_panic_fails_its_own_request_only() {
    let server = Running::ready();
    check_error(
        server.post("/v1/tasks/panic", b"{}"),
        500,
        "internal",
        "inside the host",
    );
    assert_eq!(server.post("/v1/tasks/echo", b"{}").0, 200);
}

#[test]
fn a_stream_has_every_event_and_ends_in_done() {
    let server = Running::ready();
    let events = |path: &str, headers: &str| {
        let mut text = String::new();
        server.send(path, b"[1]", headers).read_to_string(&mut text).unwrap();
        // Without the lengths of the chunks: no line of an event is a hexadecimal number.
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("text/event-stream"), "{head}");
        let lines = body.lines().filter(|line| line.contains(": "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = events("/v1/tasks/echo?stream=true", "");
    assert_eq!(lines, events("/v1/tasks/echo", "accept: text/event-stream\r\n"));
    assert_eq!(lines[0], "event: started");
    assert_eq!(lines[1], r#"data: {"generation":"g1","prompt_tokens":3}"#);
    assert_eq!(
        lines[2..6],
        [
            "event: text",
            r#"data: {"text":"né"}"#,
            "event: text",
            r#"data: {"text":"\nx"}"#
        ]
    );
    assert_eq!(lines[6], "event: answer");
    let answer: Value = serde_json::from_str(lines[7].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(answer["text"], "[1]");
    assert_eq!(lines[8..], ["data: [DONE]"]);
}

#[test]
fn a_client_that_goes_away_cancels_its_request() {
    let server = Running::ready();
    for path in ["/v1/tasks/slow", "/v1/tasks/slow?stream=true"] {
        let connection = server.send(path, b"{}", "");
        server.slow_says("begun");
        drop(connection);
        server.slow_says("cancelled");
    }
}

#[test]
fn beyond_the_limit_requests_are_told_to_come_again() {
    let server = Running::ready_with(Options {
        max_requests: 1,
        ..Options::default()
    });
    let mut first = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    check_error(server.post("/v1/tasks/echo", b"{}"), 429, "too_many_requests", "limit");
    server.release.send(()).unwrap();
    assert_eq!(read_response(&mut first).0, 200);
}

#[test]
fn the_last_places_are_for_adapters_that_have_none() {
    let server = Running::ready_with(Options {
        max_requests: 8,
        ..Options::default()
    });
    let mut running: Vec<_> = (0..7).map(|_| server.send("/v1/tasks/slow", b"{}", "")).collect();
    for _ in 0..7 {
        server.slow_says("begun");
    }
    check_error(
        server.post("/v1/tasks/slow", b"{}"),
        429,
        "too_many_requests",
        "7 requests",
    );
    assert_eq!(server.post("/v1/tasks/echo", b"{}").0, 200);
    for _ in 0..7 {
        server.release.send(()).unwrap();
    }
    for stream in &mut running {
        assert_eq!(read_response(stream).0, 200);
    }
}

#[test]
fn a_shutdown_lets_running_requests_finish() {
    let mut server = Running::ready();
    let mut running = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    server.stop();
    server.release.send(()).unwrap();
    assert_eq!(read_response(&mut running).0, 200);
    server.end().unwrap();
}

#[test]
fn a_shutdown_cancels_what_runs_beyond_the_drain_limit() {
    let mut server = Running::ready_with(Options {
        drain_limit: Duration::from_millis(50),
        ..Options::default()
    });
    let mut running = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    server.stop();
    server.slow_says("cancelled");
    check_error(read_response(&mut running), 503, "cancelled", "cancelled");
    server.end().unwrap();
}
