//! `mine`: training data from a source tree.

use serde_json::Value;

use crate::program::{failure, json, root, stdout};

fn tree() -> String {
    root().join("tests/fixtures/mine").display().to_string()
}

#[test]
fn mines_a_tree() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let folder = out.path().join("new/data");
    let folder = folder.to_str().expect("UTF-8");
    let report = json(&stdout(&[
        "mine",
        &tree(),
        "--task",
        "assert",
        "--out",
        folder,
        "--split",
        "file",
        "--ratios",
        "0,0,1",
        "--json",
    ]));
    let written = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).expect("a file was written");
    assert_eq!(json(&written("report.json")), report);
    let rows: Vec<Value> = written("test.jsonl").lines().map(json).collect();
    assert_eq!(report["rows"]["test"].as_u64(), Some(rows.len() as u64));
    assert!(
        rows.len() > 5
            && rows
                .iter()
                .all(|row| row["source"].as_str().is_some_and(|s| s.contains("focal method")))
    );
    assert_eq!(written("train.jsonl"), "");
    let table = stdout(&[
        "mine",
        &tree(),
        "--task",
        "summarize",
        "--out",
        folder,
        "--language",
        "python",
    ]);
    for expected in [
        "python files",
        "no comment",
        "clinic/visits.py:",
        "near-duplicate",
        "written to",
    ] {
        assert!(table.contains(expected), "no {expected} in {table}");
    }
}

#[test]
fn what_cannot_be_mined_is_told() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (tree, out) = (tree(), out.path().to_str().expect("UTF-8").to_owned());
    let file = format!("{tree}/README.md");
    for (args, expected) in [
        (vec!["mine", &file, "--task", "assert", "--out", &out], "is no folder"),
        (vec!["mine", &tree, "--task", "assert", "--out", &file], "cannot write"),
        (
            vec!["mine", &tree, "--task", "assert", "--out", &out, "--language", "cobol"],
            "can mine: java, python",
        ),
        (
            vec![
                "mine",
                &tree,
                "--task",
                "summarize",
                "--out",
                &out,
                "--min-target-words",
                "50",
            ],
            "no target has",
        ),
    ] {
        let error = failure(&args);
        assert!(error.contains(expected), "no {expected} in {error}");
    }
    assert!(failure(&["mine", &tree, "--task", "assert", "--out", &out, "--ratios", "a"]).contains("are no ratios"));
    assert_eq!(
        std::fs::read_dir(&out).expect("the folder").count(),
        0,
        "nothing is left"
    );
}
