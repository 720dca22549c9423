//! The routes, over real sockets, with a service that answers without a model.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use transducer_pipeline::{
    AdapterState, AdapterStatus, Answer, Event, Events, FinishReason, GraphForm, GraphRequest, Load, ModelInfo,
    Reloads, Request, RequestError, Service, Timings, Usage,
};
use transducer_server::{Options, ServeError, serve};

/// Long enough for anything here, so that a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

/// Behaves as the name of the adapter says.
struct Scripted {
    model: ModelInfo,
    /// Tells when a `slow` request begins, and how it ends.
    slow: Mutex<Sender<&'static str>>,
    /// A word lets a `slow` request end.
    release: Mutex<Receiver<()>>,
}

impl Service for Scripted {
    fn adapters(&self) -> Vec<AdapterStatus> {
        let state = AdapterState::Broken {
            error: "no weights".to_owned(),
        };
        vec![AdapterStatus {
            name: "echo".to_owned(),
            signer: None,
            state,
            last_error: None,
        }]
    }

    fn reloads(&self) -> Reloads {
        Reloads { loaded: 0, failed: 7 }
    }

    fn load(&self) -> Load {
        Load { queued: 5, running: 3 }
    }

    fn model(&self) -> &ModelInfo {
        &self.model
    }

    fn graph(&self, request: &GraphRequest<'_>) -> Result<String, RequestError> {
        match (request.language, request.form) {
            ("java", GraphForm::Svg) => Ok(format!("<svg>{} {:?}</svg>", request.code, request.edges)),
            ("java", GraphForm::Json) => Ok(json!({"code": request.code}).to_string()),
            (other, _) => Err(RequestError::Rejected(format!("`language`: no front end for {other}"))),
        }
    }

    fn answer(&self, request: &Request<'_>, events: &mut Events<'_>) -> Result<Answer, RequestError> {
        match request.adapter {
            "echo" => {
                let _ = events(Event::Started {
                    generation: "g1".to_owned(),
                    prompt_tokens: 3,
                });
                for piece in ["né", "\nx"] {
                    if events(Event::Text(piece.to_owned())) == ControlFlow::Break(()) {
                        return Err(RequestError::Cancelled);
                    }
                }
                Ok(answer(request.body))
            }
            "slow" => {
                self.slow.lock().unwrap().send("begun").unwrap();
                let release = self.release.lock().unwrap();
                while release.recv_timeout(Duration::from_millis(5)).is_err() {
                    if request.cancel.is_cancelled() {
                        self.slow.lock().unwrap().send("cancelled").unwrap();
                        return Err(RequestError::Cancelled);
                    }
                }
                Ok(answer(request.body))
            }
            "panic" => panic!("on purpose"),
            "busy" => Err(RequestError::Busy { limit: 9 }),
            "picky" => Err(RequestError::Rejected("`code` is missing".to_owned())),
            "long" => Err(RequestError::TooLong {
                prompt: 9000,
                answer: 64,
                context: 8192,
            }),
            "late" => Err(RequestError::Deadline(Duration::from_secs(1))),
            name => Err(RequestError::UnknownAdapter {
                name: name.to_owned(),
                known: vec!["echo".to_owned()],
            }),
        }
    }
}

fn answer(body: &str) -> Answer {
    Answer {
        adapter: "echo".to_owned(),
        generation: "g1".to_owned(),
        text: body.to_owned(),
        data: json!({"echoed": true}),
        diagnostics: Vec::new(),
        finish_reason: if body.contains("long") {
            FinishReason::Length
        } else {
            FinishReason::Stop
        },
        usage: Usage {
            prompt_tokens: 3,
            completion_tokens: 2,
        },
        timings: Timings::default(),
    }
}

/// A server on a free port. Dropping it asks it to stop.
struct Running {
    address: SocketAddr,
    /// Lets the host be loaded.
    load: Option<Sender<Result<(), String>>>,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<std::thread::JoinHandle<Result<(), ServeError>>>,
    /// Hears when the server says that it is ready.
    said_ready: Receiver<()>,
    slow: Receiver<&'static str>,
    release: Sender<()>,
}

impl Running {
    /// Listening, not yet loaded.
    fn loading(options: Options) -> Self {
        let (load, loaded) = channel();
        let (stop, stopped) = oneshot::channel();
        let (slow_sender, slow) = channel();
        let (release, released) = channel();
        let (bound, address) = channel();
        let (ready, said_ready) = channel();
        let model = ModelInfo {
            name: "tiny".to_owned(),
            family: "llama".to_owned(),
            hidden_size: 8,
            context: 64,
            embedding_sha256: "a".repeat(64),
            tokenizer_sha256: "b".repeat(64),
            precision: "f32".to_owned(),
            device: "cpu".to_owned(),
        };
        let service = Scripted {
            model,
            slow: Mutex::new(slow_sender),
            release: Mutex::new(released),
        };
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let load = move |stage: &dyn Fn(&str)| {
                    stage("reading the model");
                    loaded.recv().unwrap()?;
                    Ok(Arc::new(service) as Arc<dyn Service>)
                };
                let shutdown = async {
                    let _ = stopped.await;
                };
                let ready = move |_: &dyn Service| ready.send(()).unwrap();
                serve(listener, options, load, ready, shutdown).await
            })
        });
        let address = address.recv_timeout(PATIENCE).unwrap();
        Self {
            address,
            load: Some(load),
            stop: Some(stop),
            ended: Some(ended),
            said_ready,
            slow,
            release,
        }
    }

    fn ready() -> Self {
        Self::ready_with(Options::default())
    }

    fn ready_with(options: Options) -> Self {
        let mut running = Self::loading(options);
        running.finish_loading(Ok(()));
        // No request is too early after this.
        running.said_ready.recv_timeout(PATIENCE).unwrap();
        running
    }

    fn finish_loading(&mut self, result: Result<(), String>) {
        self.load.take().unwrap().send(result).unwrap();
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// How `serve` ended.
    fn end(mut self) -> Result<(), ServeError> {
        self.stop();
        self.ended.take().unwrap().join().unwrap()
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = self.send(path, body, "");
        read_response(&mut stream)
    }

    /// Sends a request and does not read the response.
    fn send(&self, path: &str, body: &[u8], headers: &str) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a long body may close before it is all sent.
        let _ = stream.write_all(body);
        stream
    }

    fn exchange(&self, request: &str) -> (u16, Value) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_response(&mut stream)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn slow_says(&self, word: &str) {
        assert_eq!(self.slow.recv_timeout(PATIENCE).unwrap(), word);
    }
}

/// Status and JSON body of a response.
fn read_response(stream: &mut TcpStream) -> (u16, Value) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {line:?}"))
        .parse()
        .unwrap();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[track_caller]
fn check_error((status, body): (u16, Value), expected_status: u16, code: &str, message: &str) {
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (expected_status, Some(code)),
        "{body}"
    );
    assert!(body["error"]["message"].as_str().unwrap().contains(message), "{body}");
    assert!(
        body["error"]["type"].is_string() && body["error"].get("param").is_some(),
        "{body}"
    );
}

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
        json!([{"name": "echo", "state": "broken", "signer": null, "error": "no weights"}])
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

    let lines = events("/v1/tasks/nobody?stream=true", "");
    assert_eq!(lines[0], "event: error");
    assert!(lines[1].contains("adapter_not_found"), "{lines:?}");
    assert_eq!(lines[2..], ["data: [DONE]"]);
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

/// Head and body of a response, for what is not JSON.
fn text(server: &Running, request: &str) -> (String, String) {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn get_text(server: &Running, path: &str, accept: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: {accept}\r\n\r\n");
    text(server, &request)
}

#[test]
fn the_page_is_whole_and_asks_nobody_else() {
    let server = Running::ready();
    let parts = [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ];
    let mut page = String::new();
    for (path, kind) in parts {
        let (head, body) = get_text(&server, path, "text/html,*/*;q=0.8");
        assert!(head.starts_with("http/1.1 200") && head.contains(kind), "{head}");
        let policy = head
            .lines()
            .find(|line| line.starts_with("content-security-policy: "))
            .unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        // The name of SVG's namespace is no address that anybody asks.
        let addresses = body.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=\"//", "href=\"//", "url(", "@import"] {
            assert!(!addresses.contains(outside), "{path} has {outside}");
        }
        if path == "/" {
            page = body;
        }
    }
    for (path, _) in &parts[1..] {
        assert!(page.contains(&format!("\"{path}\"")), "the page does not use {path}");
    }
    for inline in ["<style", "style=", "onclick", "<script>"] {
        assert!(!page.contains(inline), "the policy forbids {inline}");
    }
    let (_, index) = get_text(&server, "/", "application/json");
    let index: Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["name"], "transducer-host");
}

#[test]
fn a_graph_is_json_or_a_picture() {
    let server = Running::ready();
    let body = br#"{"language": "java", "code": "f();", "edges": ["CFG"]}"#;
    assert_eq!(server.post("/v1/cpg", body), (200, json!({"code": "f();"})));
    for (path, headers) in [("/v1/cpg?format=svg", ""), ("/v1/cpg", "accept: image/svg+xml\r\n")] {
        let mut response = String::new();
        server.send(path, body, headers).read_to_string(&mut response).unwrap();
        assert!(response.contains("content-type: image/svg+xml"), "{response}");
        assert!(response.ends_with("<svg>f(); [\"CFG\"]</svg>"), "{response}");
    }
    let ask = |body: &str| server.post("/v1/cpg", body.as_bytes());
    check_error(
        ask(r#"{"language": "c", "code": ""}"#),
        400,
        "request_rejected",
        "no front end for c",
    );
    check_error(ask(r#"{"language": "java"}"#), 400, "invalid_request", "code");
    check_error(
        ask(r#"{"language": "java", "code": "", "x": 1}"#),
        400,
        "invalid_request",
        "x",
    );
}

#[test]
fn clients_of_openai_ask_adapters_as_models() {
    let server = Running::ready();
    let (_, models) = server.get("/v1/models");
    // The mock's one adapter is broken and cannot be asked for.
    assert_eq!(models["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["parent"]),
        (&json!("tiny"), &Value::Null)
    );

    let post = |path: &str, body: &Value| server.post(path, body.to_string().as_bytes());
    let (status, body) = post(
        "/v1/completions",
        &json!({"model": "echo", "prompt": "f();", "temperature": 0}),
    );
    assert_eq!(
        (status, &body["choices"][0]["text"]),
        (200, &json!(r#"{"code":"f();"}"#)),
        "{body}"
    );
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let (_, cut) = post("/v1/completions", &json!({"model": "echo", "prompt": "long();"}));
    assert_eq!(cut["choices"][0]["finish_reason"], "length", "{cut}");

    let mut chat = json!({"model": "echo", "messages": [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": null},
        {"role": "user", "content": [{"type": "text", "text": "Say what it does:\n```java\nf();\n```"}]},
    ]});
    let (_, body) = post("/v1/chat/completions", &chat);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(
        body["choices"][0]["message"],
        json!({"role": "assistant", "content": r#"{"code":"f();"}"#})
    );

    chat["stream"] = json!(true);
    chat["stream_options"] = json!({"include_usage": true});
    let stream = |chat: &Value| {
        let mut text = String::new();
        let body = chat.to_string();
        server
            .send("/v1/chat/completions", body.as_bytes(), "")
            .read_to_string(&mut text)
            .unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = stream(&chat);
    assert_eq!(lines.last().unwrap(), "[DONE]");
    let parts: Vec<Value> = lines[..lines.len() - 1]
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text: String = parts
        .iter()
        .filter_map(|part| part["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, r#"{"code":"f();"}"#, "the same answer as without a stream");
    assert_eq!(parts[parts.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(parts[parts.len() - 1]["usage"]["total_tokens"], 5);
    let mut cut = chat.clone();
    cut["messages"] = json!([{"role": "user", "content": "long();"}]);
    assert!(
        stream(&cut)
            .iter()
            .any(|line| line.contains(r#""finish_reason":"length""#))
    );

    chat["model"] = json!("nobody");
    let lines = stream(&chat);
    assert!(
        lines[0].contains("adapter_not_found") && lines[1] == "[DONE]",
        "{lines:?}"
    );
    chat["stream"] = json!(false);
    check_error(post("/v1/chat/completions", &chat), 404, "adapter_not_found", "echo");
    chat["model"] = json!("tiny");
    check_error(post("/v1/chat/completions", &chat), 400, "base_model", "adapters");
    chat["messages"] = json!([]);
    check_error(post("/v1/chat/completions", &chat), 400, "invalid_request", "messages");
    check_error(
        post("/v1/completions", &json!({"model": "echo"})),
        400,
        "invalid_request",
        "prompt",
    );
}

#[test]
fn metrics_count_what_happened() {
    let server = Running::ready();
    for name in ["echo", "echo", "picky", "made-up-1", "made-up-2"] {
        server.post(&format!("/v1/tasks/{name}"), b"{}");
    }
    let _running = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    let (head, metrics) = get_text(&server, "/metrics", "*/*");
    assert!(head.contains("openmetrics-text"), "{head}");
    for line in [
        r#"transducer_requests_total{adapter="echo",outcome="ok"} 2"#,
        r#"transducer_requests_total{adapter="picky",outcome="request_rejected"} 1"#,
        r#"transducer_requests_total{adapter="unknown",outcome="adapter_not_found"} 2"#,
        r#"transducer_stage_seconds_count{stage="decode"} 2"#,
        r#"transducer_tokens_total{kind="prompt"} 6"#,
        "transducer_requests_in_progress 1",
        r#"transducer_llm_requests{state="queued"} 5"#,
        r#"transducer_llm_requests{state="running"} 3"#,
        r#"transducer_adapters{state="broken"} 1"#,
        "transducer_bundles_failed_total 7",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
    assert!(!metrics.contains("made-up"), "clients cannot grow the table");
}

#[test]
fn metrics_are_there_while_the_host_loads() {
    let mut server = Running::loading(Options::default());
    server.post("/v1/tasks/echo", b"{}");
    let (head, metrics) = get_text(&server, "/metrics", "*/*");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        metrics.contains(r#"transducer_requests_total{adapter="unknown",outcome="loading"} 1"#),
        "{metrics}"
    );
    server.finish_loading(Ok(()));
}
