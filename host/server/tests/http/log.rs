//! One line a request.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::*;

/// Sends each line of the log on.
#[derive(Clone)]
struct Lines(Sender<Vec<u8>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The line of a request; there are those of other tests too.
fn line_of(lines: &Receiver<Vec<u8>>, id: &str) -> Value {
    loop {
        let line: Value = serde_json::from_slice(&lines.recv_timeout(PATIENCE).unwrap()).unwrap();
        if line["id"] == id {
            return line;
        }
    }
}

#[test]
fn a_request_is_one_line_with_all_that_is_known_of_it() {
    let (sender, lines) = channel();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(Lines(sender))
        .init();
    let server = Running::ready();
    let ask = |path: &str, id: &str| server.ask("POST", path, &format!("x-request-id: {id}\r\n"), "{}");
    for (path, id) in [("/v1/tasks/echo", "whole"), ("/v1/tasks/echo?stream=true", "stream")] {
        let mut stream = server.send(path, b"{}", &format!("x-request-id: {id}\r\n"));
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
        let line = line_of(&lines, id);
        for (field, value) in [
            ("method", json!("POST")),
            ("route", json!("/v1/tasks/{adapter}")),
            ("adapter", json!("echo")),
            ("generation", json!("g1")),
            ("status", json!(200)),
            ("prompt_tokens", json!(3)),
            ("completion_tokens", json!(2)),
            ("queue_ms", json!(0.0)),
        ] {
            assert_eq!(line[field], value, "{field} in {line}");
        }
        let stages = [
            "cpg",
            "prepare",
            "transducer",
            "prefill",
            "first_token",
            "decode",
            "finish",
            "total",
        ];
        for stage in stages {
            assert!(line[format!("{stage}_ms")].is_number(), "{stage} in {line}");
        }
        assert!(line.get("error").is_none() && line.get("key").is_none(), "{line}");
    }

    assert_eq!(ask("/v1/tasks/picky", "failed").0, 400);
    let line = line_of(&lines, "failed");
    assert_eq!(
        (&line["status"], &line["error"]),
        (&json!(400), &json!("request_rejected"))
    );
    assert!(line["reason"].as_str().unwrap().contains("`code` is missing"), "{line}");
    assert_eq!(ask("/v1/nowhere", "nowhere").0, 404);
    let line = line_of(&lines, "nowhere");
    assert_eq!(
        (&line["route"], &line["error"]),
        (&json!("none"), &json!("route_not_found"))
    );

    let connection = server.send("/v1/tasks/slow", b"{}", "x-request-id: gone\r\n");
    server.slow_says("begun");
    drop(connection);
    server.slow_says("cancelled");
    let line = line_of(&lines, "gone");
    assert_eq!((&line["status"], &line["error"]), (&json!(499), &json!("cancelled")));
}
