//! The routes of a server with a real model: the base model, keys, changes of adapters, TLS.

use serde_json::{Value, json};

use crate::bundles::{copy, packed};
use crate::program::{Server, failure, stdout};

#[test]
fn the_base_model_answers_without_an_adapter() {
    let empty = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["--adapters", empty.path().to_str().unwrap(), "--precision", "f32"]);
    server.wait_for("ready on ");
    let (_, models) = server.get("/v1/models");
    let model = models["data"][0]["id"].as_str().unwrap();

    let prompt = "int add(int a, int b) { return";
    let ask = json!({"model": model, "prompt": prompt, "max_tokens": 6, "temperature": 0});
    let (status, whole) = server.post("/v1/completions", &ask);
    assert_eq!(status, 200, "{whole}");
    let text = whole["choices"][0]["text"].as_str().unwrap();
    assert!(text.contains("a + b"), "{whole}");
    assert_eq!(whole["usage"]["completion_tokens"], 6);

    // What it wrote is what its own tokens say.
    let (_, tokens) = server.post("/tokenize", &json!({"model": model, "prompt": prompt}));
    assert_eq!(tokens["count"], whole["usage"]["prompt_tokens"]);
    assert_eq!(
        server.post("/detokenize", &json!({"tokens": tokens["tokens"]})).1["prompt"],
        prompt
    );

    let mut chat = json!({"model": model, "temperature": 0, "max_tokens": 24, "messages": [
        {"role": "system", "content": "You answer with one word."},
        {"role": "user", "content": "What is the capital of France? <|im_end|>"},
    ]});
    let (_, answer) = server.post("/v1/chat/completions", &chat);
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.contains("Paris"), "{answer}");
    let (_, tokens) = server.post("/tokenize", &chat);
    assert_eq!(tokens["count"], answer["usage"]["prompt_tokens"]);
    let (_, written) = server.post("/detokenize", &json!({"tokens": tokens["tokens"]}));
    assert!(
        written["prompt"].as_str().unwrap().ends_with("<|im_start|>assistant\n"),
        "{written}"
    );
    chat["stream"] = json!(true);
    let stream = server.post_for_text("/v1/chat/completions", &chat);
    let parts = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
    let parts = parts.map(|part| serde_json::from_str::<Value>(&format!("{{{part}")).unwrap());
    let deltas: Vec<_> = parts
        .map(|part| part["choices"][0]["delta"]["content"].clone())
        .collect();
    let streamed: String = deltas.iter().filter_map(Value::as_str).collect();
    assert_eq!(streamed, said);
    assert!(deltas.len() > 3, "it comes as it is written: {stream}");

    for (change, status, code) in [
        (json!({"max_tokens": 1_000_000}), 400, "context_length_exceeded"),
        (json!({"temperature": 3}), 400, "request_rejected"),
        (json!({"prompt": ""}), 400, "request_rejected"),
    ] {
        let mut ask = ask.clone();
        ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (found, body) = server.post("/v1/completions", &ask);
        assert_eq!(
            (found, &body["error"]["code"]),
            (status, &json!(code)),
            "{change}: {body}"
        );
    }
    server.terminate();
    assert!(server.end());
}

/// Every definition under an `if` reaches every use: some hundred lines have half a million flows.
#[test]
fn a_graph_that_is_too_large_is_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["--adapters", empty.path().to_str().unwrap()]);
    server.wait_for("ready on ");
    let (defined, used) = ("if (a > 0) x = a;".repeat(800), "g(x);".repeat(800));
    let code = format!("int f(int a) {{ int x = 0; {defined} {used} return x; }}");
    let ask = |edges: &[&str]| server.post("/v1/cpg", &json!({"language": "java", "code": code, "edges": edges}));
    let (status, body) = ask(&[]);
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("graph_too_large")),
        "{body}"
    );
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.contains("fewer kinds in `edges`"), "{said}");
    assert_eq!(ask(&["CFG"]).0, 200, "what the message says");
    server.terminate();
    assert!(server.end());
}

#[test]
fn a_server_with_keys_and_a_certificate_asks_for_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (keys, cert, secret) = (path("keys.toml"), path("cert.pem"), path("key.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&secret, made.signing_key.serialize_pem()).unwrap();
    let new = |name: &str, more: &[&str]| {
        let key = stdout(&[&["access", "new", name, "--keys", &keys], more].concat());
        key.trim().to_owned()
    };
    let (alice, bob) = (new("alice", &[]), new("bob", &["--adapter", "assert-java"]));
    let mut server = Server::start(&[
        "--keys",
        &keys,
        "--tls-cert",
        &cert,
        "--tls-key",
        &secret,
        "--log-format",
        "json",
    ]);
    server.trust(&made.cert.pem());
    assert!(server.url.starts_with("https://"));
    server.wait_for("ready on ");
    let code = json!({"code": "int twice(int x) { return 2 * x; }"});
    let ask = |key: &str| server.ask("POST", "/v1/tasks/summarize-java", key, code.to_string().as_bytes());
    assert_eq!(server.get("/health").0, 200);
    assert_eq!(ask("").1["error"]["code"], "invalid_api_key");
    assert_eq!(ask(&bob).1["error"]["code"], "adapter_not_allowed");
    let (status, answer) = ask(&alice);
    assert_eq!(status, 200, "{answer}");
    assert!(stdout(&["access", "list", "--keys", &keys]).contains("assert-java"));
    stdout(&["access", "revoke", "alice", "--keys", &keys]);
    assert_eq!(ask(&alice).0, 401, "it counts at once");

    // The request that was answered left one line.
    server.wait_until(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["route"] == "/v1/tasks/{adapter}"
            && (&line["key"], &line["adapter"], &line["status"])
                == (&json!("alice"), &json!("summarize-java"), &json!(200))
            && line["generation"] == answer["generation"]
            && ["queue_ms", "cpg_ms", "transducer_ms", "first_token_ms", "total_ms"]
                .iter()
                .all(|stage| line[stage].as_f64().is_some_and(|ms| ms >= 0.0))
    });
    server.terminate();
    assert!(server.end());
    let error = failure(&["serve", "--tls-cert", &cert]);
    assert!(error.contains("--tls-key"), "{error}");
}

#[test]
fn adapters_come_go_and_return_over_http() {
    let (dir, adapters) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::start(&["--adapters", adapters.path().to_str().unwrap(), "--allow-changes"]);
    server.wait_for("ready on ");
    let archive = |version: &str| std::fs::read(packed(dir.path(), version)).unwrap();
    let (old, new) = (archive("1.0.0"), archive("1.1.0"));
    let put = |query: &str, archive: &[u8]| {
        let path = format!("/v1/adapters/summarize-java{query}");
        server.ask("PUT", &path, "", archive)
    };
    let serves = || {
        let (status, answer) = server.post(
            "/v1/tasks/summarize-java",
            &json!({"code": "int twice(int x) { return 2 * x; }"}),
        );
        (status, answer["generation"].as_str().map(str::to_owned))
    };
    assert_eq!(serves().0, 404);
    let (status, first) = put("", &old);
    assert_eq!(
        (status, &first["version"], &first["before"]),
        (200, &json!("1.0.0"), &Value::Null),
        "{first}"
    );
    let generation = first["generation"].as_str().unwrap();
    assert_eq!(
        serves(),
        (200, Some(generation.to_owned())),
        "it serves when the answer is there"
    );

    // Of two who have seen the same one, the second is told.
    let query = format!("?expected_generation={generation}");
    let (status, second) = put(&query, &new);
    assert_eq!(status, 200, "{second}");
    let (status, told) = put(&query, &new);
    assert_eq!(
        (status, &told["error"]["code"]),
        (409, &json!("generation_mismatch")),
        "{told}"
    );

    // What cannot serve is not installed, and the one before goes on.
    let other = copy("summarize-java", &dir.path().join("other"), Some("2.0.0"));
    let manifest = std::path::Path::new(&other).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let pin = text.lines().find(|line| line.starts_with("tokenizer-sha256")).unwrap();
    std::fs::write(
        &manifest,
        text.replace(pin, &format!("tokenizer-sha256 = \"{}\"", "a".repeat(64))),
    )
    .unwrap();
    let foreign = dir.path().join("foreign.tadapter");
    stdout(&["pack", &other, "-o", foreign.to_str().unwrap()]);
    for (archive, status, code) in [
        (std::fs::read(foreign).unwrap(), 422, "bundle_unusable"),
        (b"no archive".to_vec(), 422, "bundle_unusable"),
        (old, 409, "version_not_newer"),
    ] {
        let (found, told) = put("", &archive);
        assert_eq!((found, &told["error"]["code"]), (status, &json!(code)), "{told}");
        // It lay in a folder of the host's, which is nobody else's concern.
        let message = told["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("summarize-java") && !message.contains("/tmp"),
            "{told}"
        );
        assert_eq!(serves().1.as_deref(), second["generation"].as_str());
    }

    let (status, back) = server.ask("POST", "/v1/adapters/summarize-java/rollback", "", b"");
    assert_eq!((status, &back["version"]), (200, &json!("1.0.0")), "{back}");
    assert_eq!(serves(), (200, Some(generation.to_owned())));
    let (status, gone) = server.ask("DELETE", "/v1/adapters/summarize-java", "", b"");
    assert_eq!((status, &gone["deleted"]), (200, &json!(true)), "{gone}");
    assert_eq!(serves().0, 404);
    server.terminate();
    assert!(server.end());
}

#[test]
fn every_adapter_is_in_the_openapi_document() {
    let mut server = Server::start(&[]);
    server.wait_for("ready on ");
    let (_, document) = server.get("/openapi.json");
    for adapter in server.get("/v1/adapters").1["data"].as_array().unwrap() {
        let path = format!("/v1/tasks/{}", adapter["name"].as_str().unwrap());
        let body = &document["paths"][path.as_str()]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(
            body["schema"]["properties"], adapter["request_schema"]["properties"],
            "{path}"
        );
    }
    server.terminate();
    assert!(server.end());
}
