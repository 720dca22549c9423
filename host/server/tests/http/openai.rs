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
    check_error(post("/v1/chat/completions", &chat), 404, "adapter_not_found", "echo");
    chat["stream"] = json!(false);
    check_error(post("/v1/chat/completions", &chat), 404, "adapter_not_found", "echo");
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
fn an_adapter_refuses_what_would_be_another_kind_of_answer() {
    let server = Running::ready();
    let post = |body: Value| server.post("/v1/completions", body.to_string().as_bytes());
    let own =
        json!({"model": "echo", "prompt": "a", "max_tokens": 1, "stop": ["a"], "logit_bias": {"1": 1}, "tools": []});
    assert_eq!(post(own).0, 200, "writing is the task's own business");
    for (field, value) in [("n", json!(2)), ("logprobs", json!(1)), ("tools", json!([{}]))] {
        let mut body = json!({"model": "echo", "prompt": "a"});
        body[field] = value;
        check_error(post(body), 400, "unsupported_parameter", field);
    }
    check_error(
        post(json!({"model": "tiny", "prompt": "a", "logit_bias": {"1": 1}})),
        400,
        "unsupported_parameter",
        "logit_bias",
    );
    let ids = json!({"model": "tiny", "prompt": [1, 2, 3]});
    check_error(post(ids), 400, "invalid_request", "3 token ids");
}

#[test]
fn the_base_model_answers_by_itself() {
    let server = Running::ready();
    let post = |path: &str, body: &Value| server.post(path, body.to_string().as_bytes());
    let (_, body) = post(
        "/v1/completions",
        &json!({"model": "tiny", "prompt": "f();", "temperature": 0}),
    );
    assert_eq!(body["choices"][0]["text"], "f(); (Some(16), 0)", "{body}");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["total_tokens"], 11);
    assert!(body.get("system_fingerprint").is_none(), "{body}");

    let mut chat = json!({"model": "tiny", "max_completion_tokens": 9, "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "```\nf();\n```"}]},
    ]});
    let (_, body) = post("/v1/chat/completions", &chat);
    let said = "system: Be brief. | user: ```\nf();\n``` (Some(9), 1)";
    assert_eq!(
        body["choices"][0]["message"],
        json!({"role": "assistant", "content": said})
    );

    // Its text comes as it is written.
    chat["stream"] = json!(true);
    chat["stream_options"] = json!({"include_usage": true});
    let mut text = String::new();
    let body = chat.to_string();
    let mut stream = server.send("/v1/chat/completions", body.as_bytes(), "");
    stream.read_to_string(&mut text).unwrap();
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(lines.last(), Some(&"[DONE]"));
    let parts = lines[..lines.len() - 1].iter();
    let parts: Vec<Value> = parts.map(|line| serde_json::from_str(line).unwrap()).collect();
    let deltas: Vec<_> = parts.iter().map(|part| &part["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": "system: "}));
    assert_eq!(deltas[1], &json!({"content": "Be "}));
    let whole: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!(whole, said);
    assert_eq!(parts[parts.len() - 2]["choices"][0]["finish_reason"], "length");
    assert_eq!(parts[parts.len() - 1]["usage"]["total_tokens"], 11);

    for (body, code, said) in [
        (
            json!({"model": "tiny", "prompt": "a", "n": 2}),
            "unsupported_parameter",
            "`n`",
        ),
        (
            json!({"model": "tiny", "prompt": ["a", "b"]}),
            "invalid_request",
            "list of 2",
        ),
    ] {
        check_error(post("/v1/completions", &body), 400, code, said);
    }
    let tool =
        json!({"model": "tiny", "messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]});
    check_error(post("/v1/chat/completions", &tool), 400, "invalid_request", "\"tool\"");
}

#[test]
fn tokens_are_those_of_the_base_model() {
    let server = Running::ready();
    let post = |path: &str, body: &Value| server.post(path, body.to_string().as_bytes());
    let (status, body) = post("/tokenize", &json!({"model": "tiny", "prompt": "ab"}));
    assert_eq!(
        (status, body),
        (200, json!({"count": 3, "max_model_len": 64, "tokens": [0, 97, 98]}))
    );
    let (_, body) = post("/tokenize", &json!({"prompt": "ab", "add_special_tokens": false}));
    assert_eq!(body["tokens"], json!([97, 98]));
    let chat = json!({"messages": [{"role": "user", "content": "a"}], "add_generation_prompt": false});
    assert_eq!(post("/tokenize", &chat).1["tokens"], json!([97]));
    assert_eq!(
        post("/detokenize", &json!({"tokens": [97, 98]})),
        (200, json!({"prompt": "ab"}))
    );
    check_error(
        post("/detokenize", &json!({"tokens": [300]})),
        400,
        "request_rejected",
        "300",
    );
    check_error(post("/tokenize", &json!({})), 400, "invalid_request", "one of");
    check_error(
        post("/tokenize", &json!({"model": "nobody", "prompt": "a"})),
        404,
        "model_not_found",
        "nobody",
    );
    assert_eq!(server.get("/v1/models/tiny").1["max_model_len"], 64);
    check_error(server.get("/v1/models/nobody"), 404, "model_not_found", "nobody");
}
