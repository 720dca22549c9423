//! The whole way on models of other families: what works for the default model works for them with `--model` alone changed.

use std::path::Path;

use serde_json::json;

use crate::program::{Server, failure, fixture, json, root, stdout};

/// A fixture in a folder of its own, with room for a whole prompt: its tokens are little more than bytes.
fn model(parent: &Path, name: &str) -> String {
    let (from, to) = (root().join("tests/fixtures").join(name), parent.join(name));
    std::fs::create_dir(&to).unwrap();
    for entry in from.read_dir().unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
    let mut config = json(&std::fs::read_to_string(from.join("config.json")).unwrap());
    for key in ["n_positions", "max_position_embeddings", "sliding_window"] {
        if let Some(tokens) = config.get_mut(key) {
            *tokens = 2048.into();
        }
    }
    std::fs::write(to.join("config.json"), config.to_string()).unwrap();
    to.display().to_string()
}

/// `summarize-java` for that model, without weights. The digests of the model are those that the program tells whoever pins others.
fn bundle(parent: &Path, model: &str, family: &str) -> String {
    let (from, to) = (root().join("adapters/summarize-java"), parent.join("summarize-java"));
    std::fs::create_dir_all(&to).unwrap();
    std::fs::copy(from.join("task.wasm"), to.join("task.wasm")).unwrap();
    let manifest = std::fs::read_to_string(from.join("adapter.toml")).unwrap();
    let (before_train, _) = manifest.split_once("[train]").unwrap();
    let mut lines: Vec<String> = before_train
        .lines()
        .filter(|line| !line.starts_with("weights"))
        .map(|line| match line.split(" = ").next() {
            Some("id") => format!("id = \"tiny-{family}\""),
            Some("family") => format!("family = {family:?}"),
            Some("hidden-size") => "hidden-size = 32".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let (dir, data) = (to.display().to_string(), fixture("summaries.jsonl"));
    for key in ["embedding-sha256", "tokenizer-sha256"] {
        std::fs::write(to.join("adapter.toml"), lines.join("\n") + "\n").unwrap();
        let told = failure(&["train", &dir, "--data", &data, "--model", model]);
        let (_, found) = told.split_once("this host's is ").unwrap_or_else(|| panic!("{told}"));
        let line = lines.iter_mut().find(|line| line.starts_with(key)).unwrap();
        *line = format!("{key} = {:?}", &found[..64]);
    }
    std::fs::write(to.join("adapter.toml"), lines.join("\n") + "\n").unwrap();
    dir
}

#[test]
fn a_t5_is_trained_evaluated_asked_packed_and_served() {
    goes_the_whole_way("t5");
}

#[test]
fn a_starcoder2_is_trained_evaluated_asked_packed_and_served() {
    goes_the_whole_way("starcoder2");
}

#[test]
fn a_gemma_is_trained_evaluated_asked_packed_and_served() {
    goes_the_whole_way("gemma");
}

fn goes_the_whole_way(family: &str) {
    let name = format!("tiny-{family}");
    let dir = tempfile::tempdir().unwrap();
    let adapters = dir.path().join("adapters");
    let model = model(dir.path(), &name);
    let (bundle, data) = (bundle(&adapters, &model, family), fixture("summaries.jsonl"));
    let (adapters, cache) = (
        adapters.display().to_string(),
        dir.path().join("cache").display().to_string(),
    );
    let common = ["--model", &model, "--precision", "f32"];

    let train = ["train", &bundle, "--data", &data, "--cache", &cache, "--json"];
    let settings = [
        "--examples",
        "24",
        "--batch",
        "6",
        "--learning-rate",
        "0.02",
        "--set",
        "train.max-prompt-tokens=2000",
        "--set",
        "train.max-answer-tokens=400",
    ];
    let events = stdout(&[&train[..], &settings, &common].concat());
    let losses: Vec<f64> = events
        .lines()
        .map(json)
        .filter(|event| event["event"] == "step")
        .map(|event| event["loss"].as_f64().unwrap())
        .collect();
    assert!(losses.len() == 4 && losses[3] < losses[0] - 0.05, "{losses:?}");

    let eval = |more: &[&str]| {
        let eval = [
            "eval",
            "--adapter",
            &bundle,
            "--data",
            &data,
            "--limit",
            "3",
            "--json",
            "--cache",
            &cache,
        ];
        let out = dir.path().join("out.jsonl").display().to_string();
        let scores = json(&stdout(&[&eval[..], &common, &["--out", &out], more].concat()));
        assert_eq!(scores["rows"], 3);
        let generated = std::fs::read_to_string(&out).unwrap();
        let rows = generated.lines().map(|line| json(line)["generated"].clone());
        rows.collect::<Vec<_>>()
    };
    assert_ne!(eval(&[]), eval(&["--untuned"]), "the weights change nothing");

    let code = fixture("Fraction.java");
    let source = std::fs::read_to_string(&code).unwrap();
    let run = [
        "run",
        "--adapters",
        &adapters,
        "--adapter",
        "summarize-java",
        &code,
        "--json",
    ];
    let answer = json(&stdout(&[&run[..], &common].concat()));
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{answer}");

    let serve = ["--adapters", &adapters, "--weights", "int8"];
    let mut server = Server::start(&[&serve[..], &common].concat());
    server.wait_until(|line| line.contains("weights stay as they are"));
    server.wait_for("ready on ");
    let (status, served) = server.post("/v1/tasks/summarize-java", &json!({"code": source}));
    assert_eq!((status, &served["text"]), (200, &answer["text"]), "{served}");
    // The frozen model by itself: as many tokens as were asked for, or fewer.
    let (status, plain) = server.post(
        "/v1/completions",
        &json!({"model": name, "prompt": "int max(int a, int b) {", "max_tokens": 8}),
    );
    assert_eq!(status, 200, "{plain}");
    let usage = &plain["usage"];
    // Framed by the start and the end of a text.
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 3, "{plain}");
    assert!(
        (1..=8).contains(&usage["completion_tokens"].as_u64().unwrap()),
        "{plain}"
    );

    let archive = dir.path().join("summarize.tadapter").display().to_string();
    stdout(&["pack", &bundle, "--out", &archive]);
    assert!(stdout(&["inspect", &archive]).contains(&name));
}
