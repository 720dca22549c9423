//! OpenAI's routes.

use std::io::Read;

use serde_json::{Value, json};

use crate::support::*;

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
