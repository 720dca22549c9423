//! Connections that clients hold, and the end of the server.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use transducer_server::Options;

use crate::support::*;

#[test]
fn a_host_that_drains_says_so() {
    let mut server = Running::ready();
    let mut running = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    server.stop();
    let since = Instant::now();
    let mut health = server.get("/health");
    // It takes a moment until the word is heard.
    while health.0 == 200 && since.elapsed() < PATIENCE {
        health = server.get("/health");
    }
    assert_eq!(health, (503, json!({"status": "draining"})));
    check_error(server.post("/v1/tasks/echo", b"{}"), 503, "draining", "shutting down");
    server.release.send(()).unwrap();
    assert_eq!(read_response(&mut running).0, 200);
    let address = server.address;
    server.end().unwrap();
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn clients_that_send_or_read_no_further_do_not_hold_up_the_end() {
    let mut server = Running::ready_with(Options {
        drain_limit: Duration::from_millis(50),
        head_limit: Duration::from_secs(60),
        ..Options::default()
    });
    let mut half_a_head = server.connect();
    half_a_head.write_all(b"GET /health HTTP/1.1\r\nhost:").unwrap();
    let mut half_a_body = server.connect();
    let head = "POST /v1/tasks/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    half_a_body.write_all(head.as_bytes()).unwrap();
    let mut unread = server.send("/v1/cpg", br#"{"language": "large", "code": ""}"#, "");
    unread.read_exact(&mut [0]).unwrap();
    // They are taken in the order in which they come.
    assert_eq!(server.get("/health").0, 200);
    let since = Instant::now();
    server.stop();
    server.end().unwrap();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    drop((half_a_head, half_a_body, unread));
}

#[test]
fn a_connection_is_not_waited_for_without_end() {
    let server = Running::ready_with(Options {
        head_limit: Duration::from_millis(100),
        ..Options::default()
    });
    for sent in [
        "",
        "GET /health HTTP/1.1\r\nhost:",
        "GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        assert_eq!(answer.contains("200 OK"), sent.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[test]
fn what_is_refused_is_no_stream() {
    let server = Running::ready();
    let ask = |model: &str| json!({"model": model, "stream": true, "prompt": "a"}).to_string();
    for (adapter, status, code) in [
        ("nobody", 404, "adapter_not_found"),
        ("picky", 400, "request_rejected"),
        ("long", 400, "context_length_exceeded"),
        ("full", 429, "queue_full"),
        ("panic", 500, "internal"),
    ] {
        let path = format!("/v1/tasks/{adapter}?stream=true");
        check_error(server.post(&path, b"{}"), status, code, "");
        check_error(
            server.post("/v1/completions", ask(adapter).as_bytes()),
            status,
            code,
            "",
        );
    }
    let mut head = String::new();
    let mut stream = server.send("/v1/tasks/full?stream=true", b"{}", "");
    stream.read_to_string(&mut head).unwrap();
    assert!(head.to_ascii_lowercase().contains("retry-after: 1"), "{head}");
}

#[test]
fn a_stream_that_has_nothing_to_say_yet_begins_all_the_same() {
    let server = Running::ready();
    let body = json!({"model": "slow", "stream": true, "prompt": "a"}).to_string();
    for (path, body) in [("/v1/tasks/slow?stream=true", "{}"), ("/v1/completions", body.as_str())] {
        let mut stream = BufReader::new(server.send(path, body.as_bytes(), ""));
        server.slow_says("begun");
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        server.release.send(()).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("[DONE]"), "{rest}");
    }
}

#[test]
fn an_answer_that_is_not_read_does_not_keep_its_place() {
    let server = Running::ready_with(Options {
        max_requests: 1,
        send_limit: Duration::from_millis(100),
        ..Options::default()
    });
    let mut unread = server.send("/v1/cpg", br#"{"language": "large", "code": ""}"#, "");
    unread.read_exact(&mut [0]).unwrap();
    let since = Instant::now();
    while server.post("/v1/tasks/echo", b"{}").0 == 429 {
        assert!(since.elapsed() < PATIENCE);
    }
}

#[test]
fn a_graph_keeps_its_place_until_it_is_sent() {
    let server = Running::ready_with(Options {
        max_requests: 1,
        ..Options::default()
    });
    let mut graph = server.send("/v1/cpg", br#"{"language": "large", "code": ""}"#, "");
    let mut first = [0];
    graph.read_exact(&mut first).unwrap();
    check_error(server.post("/v1/tasks/echo", b"{}"), 429, "too_many_requests", "limit");
    let mut rest = String::new();
    graph.read_to_string(&mut rest).unwrap();
    let (head, body) = rest.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(serde_json::from_str::<Value>(body).is_ok());
    assert_eq!(server.post("/v1/tasks/echo", b"{}").0, 200);
}
