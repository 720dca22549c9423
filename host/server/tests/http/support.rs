//! A service that answers without a model, a server of it, and a client.

use std::collections::BTreeMap;
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
    AdapterInfo, AdapterState, AdapterStatus, Answer, ChangeError, Changed, Completion, Event, Events, Example,
    Expected, FinishReason, GraphForm, GraphRequest, Install, Load, ModelInfo, PlainInput, PlainRequest, Reloads,
    Request, RequestError, Residency, Service, StoreError, Timings, Usage,
};
use transducer_server::{Options, ServeError, serve};

/// Long enough for anything here, so that a test that would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Behaves as the name of the adapter says.
pub(crate) struct Scripted {
    model: ModelInfo,
    /// Tells when a `slow` request begins, and how it ends.
    slow: Mutex<Sender<&'static str>>,
    /// A word lets a `slow` request end.
    release: Mutex<Receiver<()>>,
    installed: Mutex<Vec<String>>,
}

impl Service for Scripted {
    fn adapters(&self) -> Vec<AdapterStatus> {
        let status = |name: &str, state| AdapterStatus {
            name: name.to_owned(),
            signer: None,
            resident: matches!(state, AdapterState::Ready(_)) && name != "evicted",
            state,
            last_error: None,
        };
        let broken = AdapterState::Broken {
            error: "no weights".to_owned(),
        };
        let mut adapters = vec![status("echo", broken)];
        let installed = self.installed.lock().unwrap();
        adapters.extend(installed.iter().map(|name| status(name, AdapterState::Ready(info()))));
        adapters
    }

    fn reloads(&self) -> Reloads {
        Reloads { loaded: 0, failed: 7 }
    }

    fn residency(&self) -> Residency {
        Residency {
            budget_bytes: 2000,
            held_bytes: 1500,
            evicted: 11,
            brought_back: 10,
        }
    }

    fn load(&self) -> Load {
        Load {
            queued: 5,
            running: 3,
            cache_tokens: 300,
            cache_bound: 400,
        }
    }

    fn waiting(&self) -> BTreeMap<String, usize> {
        BTreeMap::from([("evicted".to_owned(), 5), ("made-up".to_owned(), 1)])
    }

    fn model(&self) -> &ModelInfo {
        &self.model
    }

    fn graph(&self, request: &GraphRequest<'_>) -> Result<String, RequestError> {
        match (request.language, request.form) {
            ("java", GraphForm::Svg) => Ok(format!("<svg>{} {:?}</svg>", request.code, request.edges)),
            // More than the buffers between server and client take.
            ("large", GraphForm::Json) => Ok(json!("x".repeat(30 << 20)).to_string()),
            ("java", GraphForm::Json) => Ok(json!({"code": request.code}).to_string()),
            (other, _) => Err(RequestError::Rejected(format!("`language`: no front end for {other}"))),
        }
    }

    /// Says what it was asked, word by word.
    fn complete(&self, request: &PlainRequest<'_>, events: &mut Events<'_>) -> Result<Completion, RequestError> {
        let read = match request.input {
            PlainInput::Prompt { text, .. } => text.to_owned(),
            PlainInput::Chat { messages, .. } => messages
                .iter()
                .map(|message| format!("{}: {}", message.role, message.content))
                .collect::<Vec<_>>()
                .join(" | "),
        };
        let text = format!("{read} ({:?}, {})", request.most_tokens, request.decoding.temperature);
        for word in text.split_inclusive(' ') {
            let _ = events(Event::Text(word.to_owned()));
        }
        Ok(Completion {
            text,
            finish_reason: FinishReason::Length,
            usage: Usage {
                prompt_tokens: 7,
                completion_tokens: 4,
            },
            timings: Timings::default(),
        })
    }

    /// A token a byte, after token 0 where special ones are asked for.
    fn tokenize(&self, input: &PlainInput<'_>) -> Result<Vec<u32>, RequestError> {
        let (text, special) = match *input {
            PlainInput::Prompt { text, special } => (text, special),
            PlainInput::Chat { messages, opened } => (messages[0].content.as_str(), opened),
        };
        Ok(special
            .then_some(0)
            .into_iter()
            .chain(text.bytes().map(u32::from))
            .collect())
    }

    fn detokenize(&self, tokens: &[u32]) -> Result<String, RequestError> {
        let byte = |&token| u8::try_from(token).map_err(|_| RequestError::Rejected(format!("token {token} is none")));
        let bytes: Vec<u8> = tokens.iter().map(byte).collect::<Result<_, _>>()?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    fn install(&self, install: Install<'_>) -> Result<Changed, ChangeError> {
        let name = install.name.parse().map_err(ChangeError::Name)?;
        if let Some(expected) = install.expected {
            let found = None;
            return Err(StoreError::OtherGeneration { name, expected, found }.into());
        }
        self.installed.lock().unwrap().push(name.to_string());
        Ok(Changed {
            name: name.to_string(),
            version: String::from_utf8(install.archive).unwrap(),
            before: install.signature.map(str::to_owned),
            generation: "g2".to_owned(),
        })
    }

    fn remove(&self, name: &str, _: Option<&Expected>) -> Result<(), ChangeError> {
        self.installed.lock().unwrap().retain(|installed| installed != name);
        Ok(())
    }

    fn roll_back(&self, name: &str, _: Option<&Expected>) -> Result<Changed, ChangeError> {
        let name = name.parse().map_err(ChangeError::Name)?;
        let version = "1.0.0".parse().unwrap();
        Err(StoreError::NoEarlier { name, version }.into())
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
            "full" => {
                let (generation, prompt_tokens) = ("g1".to_owned(), 3);
                let _ = events(Event::Started {
                    generation,
                    prompt_tokens,
                });
                Err(RequestError::Busy { limit: 9 })
            }
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

/// Of an adapter that answers.
fn info() -> AdapterInfo {
    AdapterInfo {
        version: "1.0.0".to_owned(),
        generation: "g2".to_owned(),
        summary: "Says nothing".to_owned(),
        license: "MIT".to_owned(),
        languages: vec!["java".to_owned()],
        trained: true,
        parameters: 1,
        request_schema: json!({"type": "object", "properties": {"code": {"$ref": "#/$defs/code"}},
                               "$defs": {"code": {"type": "string"}}}),
        answer_schema: json!({"type": "object"}),
        examples: vec![Example {
            title: "a loop".to_owned(),
            request: json!({"code": "f();"}),
        }],
    }
}

pub(crate) fn answer(body: &str) -> Answer {
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
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Lets the host be loaded.
    pub(crate) load: Option<Sender<Result<(), String>>>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: Option<std::thread::JoinHandle<Result<(), ServeError>>>,
    /// Hears when the server says that it is ready.
    pub(crate) said_ready: Receiver<()>,
    pub(crate) slow: Receiver<&'static str>,
    pub(crate) release: Sender<()>,
}

impl Running {
    /// Listening, not yet loaded.
    pub(crate) fn loading(options: Options) -> Self {
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
            installed: Mutex::default(),
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

    pub(crate) fn ready() -> Self {
        Self::ready_with(Options::default())
    }

    pub(crate) fn ready_with(options: Options) -> Self {
        let mut running = Self::loading(options);
        running.finish_loading(Ok(()));
        // No request is too early after this.
        running.said_ready.recv_timeout(PATIENCE).unwrap();
        running
    }

    pub(crate) fn finish_loading(&mut self, result: Result<(), String>) {
        self.load.take().unwrap().send(result).unwrap();
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// How `serve` ended.
    pub(crate) fn end(mut self) -> Result<(), ServeError> {
        self.stop();
        self.ended.take().unwrap().join().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = self.send(path, body, "");
        read_response(&mut stream)
    }

    /// Sends a request and does not read the response.
    pub(crate) fn send(&self, path: &str, body: &[u8], headers: &str) -> TcpStream {
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

    /// A request with this method and these headers, and its response.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        self.exchange(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    pub(crate) fn exchange(&self, request: &str) -> (u16, Value) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_response(&mut stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn slow_says(&self, word: &str) {
        assert_eq!(self.slow.recv_timeout(PATIENCE).unwrap(), word);
    }
}

/// Status and JSON body of a response.
pub(crate) fn read_response(stream: &mut TcpStream) -> (u16, Value) {
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
pub(crate) fn check_error((status, body): (u16, Value), expected_status: u16, code: &str, message: &str) {
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

/// Head and body of a response, for what is not JSON.
pub(crate) fn text(server: &Running, request: &str) -> (String, String) {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) fn get_text(server: &Running, path: &str, accept: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: {accept}\r\n\r\n");
    text(server, &request)
}
