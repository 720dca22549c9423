//! `test`: a bundle's own cases, those of the project's bundles among them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::program::{failure, json, root, run, stdout};

/// Every bundle of the repository with a component.
fn bundles() -> Vec<PathBuf> {
    let mut bundles = Vec::new();
    for folder in ["adapters", "sdk/examples", "sdk/templates"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        bundles.extend(paths.filter(|path| path.join("task.wasm").exists()));
    }
    bundles.sort();
    bundles
}

#[test]
fn every_bundle_of_the_repository_passes_its_cases() {
    let bundles = bundles();
    assert!(bundles.len() >= 9, "{bundles:?}");
    for bundle in bundles {
        let told = json(&stdout(&["test", bundle.to_str().unwrap(), "--no-model", "--json"]));
        assert_eq!(told["failed"], 0, "{told}");
        assert!(
            told["passed"].as_u64() >= Some(1),
            "{} has no cases: {told}",
            bundle.display()
        );
    }
}

/// What a case says of the real model's answer, with the real model.
#[test]
fn an_answer_is_judged_where_there_is_a_model() {
    let told = stdout(&["test", "adapters/summarize-java", "--filter", "getter"]);
    assert!(told.contains("\n1 cases: 1 passed, 0 failed\n"), "{told}");
    let row: Vec<&str> = told.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["getter", "ok", "ok", "ok"]);

    let temp = tempfile::tempdir().unwrap();
    let bundle = bundle(temp.path());
    let case = json!({"request": {"code": "int f() { return 1; }"}, "answer": {
        "contains": ["no answer says this"], "matches": "^$", "longest": 1, "diagnostics": ["none-such"]
    }});
    fs::write(bundle.join("cases/impossible.json"), case.to_string()).unwrap();
    let finished = run(&["test", bundle.to_str().unwrap(), "--filter", "impossible"]);
    assert!(!finished.success);
    for part in ["contains", "matches", "longest", "diagnostics"] {
        assert!(
            finished.stdout.contains(&format!("impossible: answer.{part}: ")),
            "{}",
            finished.stdout
        );
    }
}

/// `0_hello` in a folder of its own.
fn bundle(parent: &Path) -> PathBuf {
    let (from, to) = (root().join("sdk/examples/0_hello"), parent.join("hello"));
    fs::create_dir_all(to.join("cases")).unwrap();
    for file in ["adapter.toml", "task.wasm", "cases/getter.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    to
}

#[test]
fn what_differs_is_shown_and_can_be_blessed() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = bundle(temp.path());
    let folder = bundle.to_str().unwrap();
    let case = bundle.join("cases/wrong.json");
    let wrong = json!({
        "request": {"code": "int f() {\n    return x;\n}"},
        "prepare": {"text": "int f() {\n    return y;\n}\n\nIn one word: what does this method return?",
            "contains": ["return x;"], "code": [], "decoding": {"max-new-tokens": 9}},
        "finish": [{"generated": "x y", "text": "y"}, {"generated": "z"}]
    });
    fs::write(&case, wrong.to_string()).unwrap();
    let finished = run(&["test", folder]);
    assert!(!finished.success);
    assert!(finished.stderr.contains("1 of 2 cases of "), "{}", finished.stderr);
    for expected in [
        "wrong   FAILED    FAILED    -\n",
        "\nwrong: prepare.text: expected -, found +\n    int f() {\n  -     return y;\n  +     return x;\n    }\n",
        "\nwrong: prepare.code: expected -, found +\n  + java\n",
        "\nwrong: prepare.decoding.max-new-tokens: expected -, found +\n  - 9\n  + 8\n",
        "\nwrong: finish[0].text: expected -, found +\n  - y\n  + x\n",
        "\nwrong: finish[1]: it expects nothing that could fail",
        "\n2 cases: 1 passed, 1 failed\n",
    ] {
        assert!(
            finished.stdout.contains(expected),
            "{expected:?} is not in {}",
            finished.stdout
        );
    }

    let blessed = stdout(&["test", folder, "--bless"]);
    assert!(
        blessed.contains("wrong   ok        ok        -  blessed\n"),
        "{blessed}"
    );
    let text = fs::read_to_string(&case).unwrap();
    let now = json(&text);
    assert_eq!(
        now["finish"][1],
        json!({"generated": "z", "text": "z", "data": "z", "diagnostics": []})
    );
    assert_eq!(now["prepare"]["contains"], json!(["return x;"]));
    assert!(
        stdout(&["test", folder, "--bless"])
            .lines()
            .all(|line| !line.ends_with("blessed"))
    );
    assert_eq!(
        fs::read_to_string(&case).unwrap(),
        text,
        "a case that passes is left as it is"
    );
    assert!(stdout(&["test", folder]).contains("2 passed, 0 failed"));

    // A request alone becomes a whole case.
    fs::write(&case, r#"{"request": {"code": "int g() { return 2; }"}}"#).unwrap();
    assert!(
        run(&["test", folder])
            .stdout
            .contains("wrong: prepare: it expects nothing")
    );
    stdout(&["test", folder, "--bless"]);
    let now = json(&fs::read_to_string(&case).unwrap());
    assert_eq!(
        now["prepare"]["code"],
        json!([{"language": "java", "text": "int g() { return 2; }"}])
    );
    assert_eq!(now["prepare"]["decoding"], json!({"max-new-tokens": 8, "stop": []}));
}

#[test]
fn a_case_that_cannot_be_understood_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = bundle(temp.path());
    let folder = bundle.to_str().unwrap();
    let case = bundle.join("cases/odd.json");
    for (text, expected) in [
        (
            r#"{"request": {}, "prepaer": {}}"#,
            "odd.json is no case: unknown field `prepaer`",
        ),
        (r#"{"request": {}, "prepare": {"txt": ""}}"#, "unknown field `txt`"),
        (r#"{"prepare": {}}"#, "missing field `request`"),
        ("{", "odd.json is no case: EOF"),
    ] {
        fs::write(&case, text).unwrap();
        let error = failure(&["test", folder]);
        assert!(error.contains(expected), "{text}: {error}");
    }
    // An error that is expected and does not come, and the other way round.
    fs::write(
        &case,
        r#"{"request": {"code": "int f() { return 1; }"}, "prepare": {"error": "refused"}}"#,
    )
    .unwrap();
    let told = run(&["test", folder]).stdout;
    assert!(
        told.contains("odd: prepare.error: there is no error; expected one that says \"refused\""),
        "{told}"
    );
    fs::write(
        &case,
        r#"{"request": {}, "prepare": {"text": ""}, "finish": [{"generated": "", "text": ""}]}"#,
    )
    .unwrap();
    let told = run(&["test", folder]).stdout;
    assert!(
        told.contains("odd: prepare: an error: ") && told.contains("missing field `code`"),
        "{told}"
    );
    assert!(told.contains("odd: finish: there is nothing to finish"), "{told}");

    let error = failure(&["test", folder, "--filter", "none-such"]);
    assert!(error.contains("no case of ") && error.contains("none-such"), "{error}");
    fs::remove_dir_all(bundle.join("cases")).unwrap();
    let error = failure(&["test", folder]);
    assert!(error.contains("has no cases: write some to "), "{error}");
    fs::remove_file(bundle.join("task.wasm")).unwrap();
    let error = failure(&["test", folder]);
    assert!(
        error.contains("cannot be tested") && error.contains("task.wasm"),
        "{error}"
    );
}
