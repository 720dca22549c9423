//! Weights made and judged with the program, on the real model.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bundles::recipe;
use crate::program::{failure, finish, fixture, json, program, root, run, stdout};

/// `summarize-java` without weights, in a folder of its name.
fn bundle(parent: &Path) -> String {
    let (from, to) = (root().join("adapters/summarize-java"), parent.join("summarize-java"));
    std::fs::create_dir(&to).unwrap();
    std::fs::copy(from.join("task.wasm"), to.join("task.wasm")).unwrap();
    let manifest = std::fs::read_to_string(from.join("adapter.toml")).unwrap();
    let untrained = recipe(&manifest).lines().filter(|line| !line.starts_with("weights"));
    let untrained: Vec<&str> = untrained.collect();
    std::fs::write(to.join("adapter.toml"), untrained.join("\n")).unwrap();
    to.display().to_string()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_bundle_is_trained_evaluated_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, data) = (bundle(dir.path()), fixture("summaries.jsonl"));
    let file = |name: &str| dir.path().join(name).display().to_string();
    let cache = file("cache");
    let judge = |more: &[&str]| {
        let common = [
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
        let scores: Value = serde_json::from_str(&stdout(&[&common[..], more].concat())).unwrap();
        assert_eq!(scores["rows"], 3);
        assert_eq!(scores["left_out"], serde_json::json!({}));
        scores
    };
    let eval = |more: &[&str]| judge(more)["metrics"].clone();

    // Without weights there is nothing to judge but the frozen LLM.
    let refused = finish(program().args(["eval", "--adapter", &bundle, "--data", &data, "--cache", &cache]));
    assert!(
        !refused.success && refused.stderr.contains("--untuned"),
        "{}",
        refused.stderr
    );
    let untuned = eval(&["--untuned", "--out", &file("untuned.jsonl")]);

    let train = [
        "train", &bundle, "--data", &data, "--valid", &data, "--cache", &cache, "--json",
    ];
    let settings = ["--examples", "12", "--batch", "6", "--learning-rate", "0.01"];
    let events: Vec<Value> = stdout(&[&train[..], &settings].concat())
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let losses: Vec<f64> = events
        .iter()
        .filter(|event| event["event"] == "step")
        .map(|event| event["loss"].as_f64().unwrap())
        .collect();
    assert!(losses.len() == 2 && losses[1] < losses[0], "{losses:?}");
    assert_eq!(events.last().unwrap()["reason"], "finished");
    let manifest = std::fs::read_to_string(Path::new(&bundle).join("adapter.toml")).unwrap();
    assert!(
        manifest.contains("weights = ") && manifest.contains("examples = 12"),
        "{manifest}"
    );

    let tuned = eval(&["--out", &file("tuned.jsonl")]);
    assert_ne!(tuned, untuned);
    let bleu = &tuned["bleu"];
    assert!(
        bleu["low"].as_f64() <= bleu["value"].as_f64() && bleu["value"].as_f64() <= bleu["high"].as_f64(),
        "{bleu}"
    );
    // How likely the references are says no generated text, and training is what raises it; the frozen LLM is asked, too.
    let likely = |more: &[&str]| eval(&[&["--likelihood"], more].concat());
    let (before, after) = (likely(&["--untuned"]), likely(&["--out", &file("likely.jsonl")]));
    assert_eq!(after["bleu"], tuned["bleu"]);
    let value = |scores: &Value| scores["likelihood"]["value"].as_f64().unwrap();
    assert!(0.0 < value(&before) && value(&before) < value(&after) && value(&after) < 100.0);
    let validated = events.iter().filter(|event| event["event"] == "validated");
    let loss = validated
        .map(|event| event["loss"].as_f64().unwrap())
        .fold(f64::INFINITY, f64::min);
    // All rows were validated on.
    let everything = [
        "eval",
        "--adapter",
        &bundle,
        "--data",
        &data,
        "--cache",
        &cache,
        "--likelihood",
    ];
    stdout(&[&everything[..], &["--out", &file("all.jsonl")]].concat());
    let of = |row: &Value| {
        (
            row["likelihood"]["loss"].as_f64().unwrap(),
            row["likelihood"]["tokens"].as_f64().unwrap(),
        )
    };
    let all = lines(&dir.path().join("all.jsonl"));
    let (sum, tokens) = all.iter().map(of).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
    assert!(
        (sum / tokens - loss).abs() < 0.02 * loss,
        "{} beside {loss}",
        sum / tokens
    );
    // What another program generated is judged by the same scorer, and so is what it finds likely.
    assert_eq!(eval(&["--predictions", &file("likely.jsonl")]), after);
    assert_eq!(
        eval(&["--predictions", &file("tuned.jsonl"), "--report", &file("report.html")]),
        tuned
    );
    // What the training data has, too, is left out of what is judged by itself.
    let rows = std::fs::read_to_string(&data).unwrap();
    std::fs::write(file("seen.jsonl"), rows.lines().next().unwrap()).unwrap();
    for (training, rows) in [(file("seen.jsonl"), 2), (data.clone(), 0)] {
        let judged = judge(&["--predictions", &file("tuned.jsonl"), "--trained-on", &training]);
        assert_eq!(judged["unseen"]["rows"], rows);
        let has_score = judged["unseen"]["metrics"]["bleu"]["value"].is_number();
        assert_eq!(has_score, rows > 0, "{judged}");
    }
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(
        page.contains("isEmpty") && page.contains("data:image/svg+xml"),
        "{page}"
    );
    let compared: Value = serde_json::from_str(&stdout(&[
        "compare",
        &file("tuned.jsonl"),
        &file("untuned.jsonl"),
        "--json",
    ]))
    .unwrap();
    assert_eq!(compared["metrics"]["bleu"]["first"], bleu["value"]);

    // What is recorded says of what the weights are, and how good; and goes with other weights.
    assert_eq!(eval(&["--record"]), tuned);
    let shown: Value = serde_json::from_str(&stdout(&["inspect", &bundle, "--json"])).unwrap();
    let (provenance, evaluation) = (&shown["manifest"]["provenance"], &shown["manifest"]["evaluation"]);
    assert_eq!(provenance["data-sha256"], provenance["validation-sha256"], "{shown}");
    assert_eq!(provenance["data-sha256"], evaluation["data-sha256"], "{shown}");
    assert_eq!(provenance["weights-sha256"], evaluation["weights-sha256"], "{shown}");
    assert_eq!(evaluation["rows"], 3);
    assert_eq!(evaluation["left-out"], 0);
    let precision = evaluation["precision"].as_str().expect("recorded");
    assert!(["f32", "bf16"].contains(&precision), "{shown}");
    assert_eq!(provenance["precision"], precision);
    assert_eq!(judge(&[])["precision"], precision);
    let value = bleu["value"].as_f64().unwrap();
    assert!(
        (evaluation["scores"]["bleu"]["value"].as_f64().unwrap() - value).abs() <= 0.005,
        "{shown}"
    );
    let shown = stdout(&["inspect", &bundle]);
    assert!(
        shown.contains("trained on    data of SHA-256 ") && shown.contains("evaluated on  3 rows"),
        "{shown}"
    );

    // Others are given the very prompts and answers.
    stdout(&[&train[..8], &["--export", &file("train.jsonl")]].concat());
    let exported = lines(&dir.path().join("train.jsonl"));
    assert_eq!(exported.len(), 12);
    let common = [
        "eval",
        "--adapter",
        &bundle,
        "--data",
        &data,
        "--cache",
        &cache,
        "--export",
        &file("test.jsonl"),
    ];
    stdout(&common);
    let asked = lines(&dir.path().join("test.jsonl"));
    assert_eq!(asked.len(), 6);
    for row in &exported {
        let same = asked.iter().find(|other| other["id"] == row["id"]).unwrap();
        assert_eq!(same["prompt"], row["prompt"]);
    }
}

/// A script does not go on with weights that are not there, and the same command makes them.
#[test]
fn a_training_that_is_stopped_is_no_success_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, data) = (bundle(dir.path()), fixture("summaries.jsonl"));
    let cache = dir.path().join("cache").display().to_string();
    let train = [
        "train",
        &bundle,
        "--data",
        &data,
        "--cache",
        &cache,
        "--json",
        "--examples",
        "24",
        "--batch",
        "2",
    ];
    let mut child = program()
        .args(train)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    events
        .find(|event| event.contains(r#""event":"step""#))
        .expect("a step");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("kill is there").success());
    let last = events.last().expect("an event that it ended");
    assert!(last.contains(r#""reason":"stopped""#), "{last}");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped: the same command goes on from "), "{said}");
    let weights = Path::new(&bundle).join("transducer.safetensors");
    assert!(!weights.exists());

    let events = stdout(&train);
    let started: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert!(started["step"].as_u64().unwrap() >= 1, "{started}");
    assert!(
        events.contains(r#""reason":"finished""#) && weights.exists(),
        "{events}"
    );
}

/// What is refused leaves a bundle, and what was made of it, as they were.
#[test]
fn a_training_that_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, data) = (bundle(dir.path()), fixture("summaries.jsonl"));
    std::fs::write(Path::new(&bundle).join("README.md"), "a card").unwrap();
    let [cache, runs] = ["cache", "runs"].map(|name| dir.path().join(name).display().to_string());
    let copy = dir.path().join("runs/summarize-java");
    let train = ["train", &bundle, "--data", &data, "--cache", &cache, "--out", &runs];
    let few = ["--examples", "2", "--batch", "2"];
    stdout(&[&train[..], &few].concat());
    assert_eq!(std::fs::read_to_string(copy.join("README.md")).unwrap(), "a card");

    let manifests =
        || [Path::new(&bundle), &copy].map(|dir| std::fs::read_to_string(dir.join("adapter.toml")).unwrap());
    let before = manifests();
    assert!(before[1].contains("weights = ") && before[1].contains("[provenance]"));
    let missing = dir.path().join("none.jsonl").display().to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["--seed", "2"], "made with other settings"),
        (&["--valid", &data], "validation: it has none"),
        (&["--set", "transducer.width=7"], "7"),
        (&["--valid", &missing], "none.jsonl"),
    ];
    for (more, expected) in cases {
        let error = failure(&[&train[..], &few, more].concat());
        assert!(error.contains(expected), "{error}");
        assert_eq!(manifests(), before, "{more:?}");
    }
    let own = failure(&[
        "train",
        &bundle,
        "--data",
        &data,
        "--cache",
        &cache,
        "--out",
        &dir.path().display().to_string(),
    ]);
    assert!(own.contains("would be the bundle itself"), "{own}");

    // Another training is at work there.
    let lock = std::fs::File::open(copy.join(".train/lock")).unwrap();
    lock.lock().unwrap();
    let busy = failure(&[&train[..], &few, &["--restart"]].concat());
    assert!(
        busy.contains("another training is at work in ") && busy.contains(".train"),
        "{busy}"
    );
    assert_eq!(manifests(), before);
    assert!(copy.join(".train/last.checkpoint").exists());
}

/// What cannot be kept, or told apart, is said before hours of work.
#[test]
fn an_evaluation_looks_before_it_asks_and_says_what_it_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, data) = (bundle(dir.path()), fixture("summaries.jsonl"));
    let file = |name: &str| dir.path().join(name).display().to_string();
    let cache = file("cache");
    let common = ["eval", "--adapter", &bundle, "--untuned", "--cache", &cache, "--data"];
    let nowhere = file("none/a.jsonl");
    for option in ["--out", "--report"] {
        let error = failure(&[&common[..], &[&data, option, &nowhere]].concat());
        assert!(
            error.contains("cannot write ") && error.contains("none/a.jsonl"),
            "{error}"
        );
    }
    let rows = std::fs::read_to_string(&data).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    std::fs::write(file("twice.jsonl"), [rows[0], rows[1], rows[0]].join("\n")).unwrap();
    let error = failure(&[&common[..], &[&file("twice.jsonl")]].concat());
    assert!(
        error.contains("line 3: ") && error.contains("is the id of line 1 too"),
        "{error}"
    );

    // A row that is left out is said the second time, too, when the rows are found ready.
    let mut many = vec![
        serde_json::json!({"id": "long", "source": "int f() { return 1; }", "target": "so ".repeat(2000)}).to_string(),
    ];
    for turn in 0..20 {
        for row in &rows {
            let mut row: Value = serde_json::from_str(row).unwrap();
            row["id"] = format!("{turn} {}", row["id"]).into();
            many.push(row.to_string());
        }
    }
    let (test, out) = (file("test.jsonl"), file("out.jsonl"));
    std::fs::write(&test, many.join("\n")).unwrap();
    let told = "1 rows left out: answer longer than max-answer-tokens";
    let scores = run(&[&common[..], &[&test, "--limit", "1", "--json", "--out", &out]].concat());
    assert!(scores.success && scores.stderr.contains(told), "{}", scores.stderr);
    let scores = json(&scores.stdout);
    assert_eq!(
        (
            &scores["rows"],
            &scores["left_out"]["answer longer than max-answer-tokens"]
        ),
        (&1.into(), &1.into())
    );

    // One that is stopped leaves a whole file as it is.
    let whole = std::fs::read(&out).unwrap();
    assert!(!whole.is_empty());
    let mut child = program()
        .args([&common[..], &[&test, "--out", &out]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    said.find(|line| line.contains(told)).expect("it begins to ask");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("kill is there").success());
    let rest: Vec<String> = said.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout),
        (Some(130), Vec::new()),
        "{rest:?}"
    );
    assert!(
        rest.concat().contains("answers were made, and are not judged"),
        "{rest:?}"
    );
    assert_eq!(std::fs::read(&out).unwrap(), whole);
}

/// A task's own metrics stand beside the others wherever these stand, and the frozen LLM is judged by them too.
#[test]
fn a_task_is_judged_by_its_own_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let data = fixture("summaries.jsonl");
    // A host takes a bundle from a folder of its name only.
    let bundle = dir.path().join("summarize-measured");
    std::fs::create_dir(&bundle).unwrap();
    for name in ["adapter.toml", "task.wasm"] {
        std::fs::copy(root().join("sdk/examples/3_metric").join(name), bundle.join(name)).unwrap();
    }
    let bundle = bundle.display().to_string();
    let eval = |more: &[&str]| {
        let common = ["eval", "--adapter", &bundle, "--data", &data, "--limit", "3"];
        stdout(&[&common[..], &["--untuned", "--cache", &file("cache")], more].concat())
    };
    let (out, page) = (file("answers.jsonl"), file("report.html"));
    let scores: Value = serde_json::from_str(&eval(&["--json", "--out", &out, "--report", &page])).unwrap();
    let rows = lines(Path::new(&out));
    assert_eq!(rows.len(), 3);
    for name in ["same_verb", "no_invention"] {
        let score = &scores["metrics"][format!("task.{name}")];
        let [value, low, high] = ["value", "low", "high"].map(|key| score[key].as_f64().unwrap());
        let each = rows.iter().map(|row| row["scores"][name].as_f64().unwrap());
        let mean = 100.0 * each.sum::<f64>() / 3.0;
        assert!(
            (value - mean).abs() < 1e-9 && low <= value && value <= high,
            "{name}: {score}, rows {rows:?}"
        );
    }
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("task.same_verb") && html.contains("rouge_l"), "{html}");

    // The same predictions, judged again, have the same scores; and tables show them as they show the others.
    let table = eval(&["--predictions", &out]);
    let row = table
        .lines()
        .find(|line| line.starts_with("task.no_invention "))
        .expect("a row of the table");
    let value = scores["metrics"]["task.no_invention"]["value"].as_f64().unwrap();
    assert!(row.contains(&format!("{value:.2}")) && row.contains(" to "), "{table}");
    let compared: Value = serde_json::from_str(&stdout(&["compare", &out, &out, "--json"])).unwrap();
    assert_eq!(compared["metrics"]["task.no_invention"]["difference"], 0.0);
    assert_eq!(compared["metrics"]["task.no_invention"]["first"], value);
}
