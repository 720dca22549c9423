//! The tasks that come with the project, as committed in `adapters/`: from a request to an answer through the sandbox.

use std::path::Path;
use std::sync::Arc;

use crate::guest::{ENGINE, OneNode};
use serde_json::{Value, json};
use transducer_tasks::{Blame, Segment, Severity, Task};

fn load(adapter: &str) -> Task {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../adapters")
        .join(adapter)
        .join("task.wasm");
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ENGINE
        .compile(&wasm)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A request and a reply through a task: the code in the prompt, the answer's text, data and diagnostics.
fn answer(task: &Task, request: &Value, reply: &str) -> (String, String, Value, Vec<String>) {
    let prepared = task.prepare(&request.to_string(), Arc::new(OneNode)).expect("a prompt");
    let code = prepared.segments.iter().find_map(|segment| match segment {
        Segment::Code(code) => Some(code.source.clone()),
        Segment::Text(_) => None,
    });
    let answer = task.finish(&prepared.state, reply).expect("an answer");
    let codes = answer
        .diagnostics
        .into_iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    (code.expect("code in the prompt"), answer.text, answer.data, codes)
}

#[test]
fn every_task_describes_itself_and_takes_its_own_examples() {
    for (adapter, name, languages) in [
        ("summarize-java", "summarize", "java python"),
        ("assert-java", "assert", "java"),
        ("translate-java-csharp", "translate", "java"),
    ] {
        let task = load(adapter);
        let info = task.info();
        assert_eq!(
            (info.name.as_str(), info.languages.join(" ").as_str()),
            (name, languages)
        );
        assert_eq!(info.request_schema["required"], json!(["code"]), "{adapter}");
        assert_eq!(info.answer_schema["type"], "object", "{adapter}");
        assert!(!info.examples.is_empty(), "{adapter}");
        for example in &info.examples {
            let prepared = task
                .prepare(&example.request.to_string(), Arc::new(OneNode))
                .expect(&example.title);
            let code = example.request["code"].as_str().expect("code");
            assert!(
                prepared.user_text().contains(code),
                "{adapter}: {}",
                prepared.user_text()
            );
            let answer = task.finish(&prepared.state, &example.answer).expect(&example.title);
            assert_eq!(
                (answer.text, answer.diagnostics),
                (example.answer.clone(), vec![]),
                "{adapter}"
            );
        }
    }
}

#[test]
fn a_summary_is_one_sentence() {
    let request = json!({"code": "int size() { return n; }"});
    let (code, text, data, codes) = answer(&load("summarize-java"), &request, "```\nReturns the size. Fast.\n```");
    assert_eq!(code, "int size() { return n; }");
    assert_eq!((text.as_str(), codes.len()), ("Returns the size.", 0));
    assert_eq!(data, json!({"summary": "Returns the size."}));
}

#[test]
fn an_assertion_is_one_statement() {
    let request =
        json!({"code": "void testSize() {\n  <AssertPlaceHolder>\n}", "focal_method": "int size() { return n; }"});
    let task = load("assert-java");
    let (code, text, data, codes) = answer(&task, &request, "assertEquals(1, s.size());\nassertTrue(x);");
    assert_eq!(
        code,
        "void testSize() {\n  <AssertPlaceHolder>\n}\n// focal method\nint size() { return n; }"
    );
    assert_eq!(
        (text.as_str(), &codes[..]),
        ("assertEquals(1, s.size());", &["more-text".to_owned()][..])
    );
    assert_eq!(data, json!({"assertion": "assertEquals(1, s.size());"}));
    let prepared = task.prepare(&request.to_string(), Arc::new(OneNode)).expect("a prompt");
    let none = task.finish(&prepared.state, "I do not know.").expect("an answer");
    assert_eq!(
        (none.diagnostics[0].severity, none.data),
        (Severity::Error, json!({"assertion": null}))
    );
}

#[test]
fn a_translation_has_as_many_declarations_as_its_source() {
    let request = json!({"code": "int f() { return 1; } int g() { return 2; }"});
    let reply = "int F() { return 1; } int G() { return 2; } int H() { }";
    let (_, text, data, codes) = answer(&load("translate-java-csharp"), &request, reply);
    assert_eq!(
        (text.as_str(), &codes[..]),
        (
            "int F() { return 1; } int G() { return 2; }",
            &["more-text".to_owned()][..]
        )
    );
    assert_eq!(data["language"], "csharp");
}

#[test]
fn a_bad_request_is_the_users_business() {
    for adapter in ["summarize-java", "assert-java", "translate-java-csharp"] {
        let task = load(adapter);
        for request in [
            "",
            "{}",
            "[]",
            r#"{"code": ""}"#,
            r#"{"code": 3}"#,
            r#"{"code": "x", "extra": 1}"#,
        ] {
            let error = task.prepare(request, Arc::new(OneNode)).expect_err(request);
            assert_eq!(error.blame(), Blame::Request, "{adapter}: {request}: {error}");
            assert!(error.to_string().len() > 20, "it says what to change: {error}");
        }
    }
}
