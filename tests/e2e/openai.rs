//! OpenAI's own Python client, unchanged, against a server with keys. Where the package `openai` cannot be imported this test is left
//! out, unless TRANSDUCER_TEST_PYTHON names a Python that has to have it (`pip install -r tests/e2e/requirements.txt`).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{Server, finish, json, root, stdout};

/// A Python that can import `openai`.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("TRANSDUCER_TEST_PYTHON");
    let python = PathBuf::from(named.clone().unwrap_or_else(|| "python3".into()));
    let found = Command::new(&python).args(["-c", "import openai"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(
        named.is_none(),
        "{} cannot import openai: pip install -r tests/e2e/requirements.txt",
        python.display()
    );
    println!("left out: python3 cannot import openai");
    None
}

#[test]
fn openais_own_client_works_unchanged() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.toml").display().to_string();
    let model = PathBuf::from(std::env::var_os("TRANSDUCER_MODEL").unwrap());
    let base = model.file_stem().unwrap().to_str().unwrap();
    let adapter = "summarize-java";
    let key = stdout(&[
        "access",
        "new",
        "ci",
        "--keys",
        &keys,
        "--adapter",
        adapter,
        "--adapter",
        base,
    ]);
    let mut server = Server::start(&["--keys", &keys, "--precision", "f32"]);
    server.wait_for("ready on ");
    let script = root().join("tests/e2e/openai_client.py");
    let got = client(&python, &script, &server.url, key.trim(), &[base, adapter]);

    assert_eq!(
        got["models"],
        serde_json::json!([base, adapter]),
        "no others for this key"
    );
    let text = |name: &str| {
        got[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in {got}"))
            .to_owned()
    };
    assert!(!text("chat").is_empty());
    for same in ["chat_streamed", "completion"] {
        assert_eq!(text(same), text("chat"), "{same}");
    }
    assert_eq!((&got["chat_usage"], &got["chat_finish"]), (&0.into(), &"stop".into()));
    assert!(got["chat_streamed_usage"].as_u64().unwrap() > 0);
    assert_eq!(text("base_chat"), text("base_chat_streamed"));
    assert_eq!(text("base_completion"), text("base_completion_streamed"));
    assert!(!text("base_chat").is_empty() && !text("base_completion").is_empty());
    assert!(got["base_parts"].as_u64().unwrap() > 4, "it comes in pieces: {got}");
    assert_eq!(got["unknown"], "adapter_not_allowed");
    assert_eq!(got["bad"], "unsupported_parameter");
    assert_eq!(got["no_key"], "invalid_api_key");
    server.terminate();
    assert!(server.end());
}

fn client(python: &Path, script: &Path, url: &str, key: &str, args: &[&str]) -> Value {
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(args)
        .env("OPENAI_BASE_URL", format!("{url}/v1"))
        .env("OPENAI_API_KEY", key);
    let finished = finish(&mut command);
    assert!(finished.success, "{}", finished.stderr);
    json(&finished.stdout)
}
