//! Files of predictions.

use std::collections::BTreeMap;
use std::path::Path;

use transducer_metrics::{Likelihood, Prediction, PredictionError, Scored, interval, join, read, write};

fn prediction(id: &str, reference: &str) -> Prediction {
    Prediction {
        id: id.to_owned(),
        source: "int f() {\n}".to_owned(),
        reference: reference.to_owned(),
        generated: " Größe\u{2028} \"x\"".to_owned(),
        answer: "Größe".to_owned(),
        scores: BTreeMap::new(),
        likelihood: None,
    }
}

/// The probabilities of all tokens count alike, however they are spread over the items.
#[test]
fn a_likelihood_is_one_over_the_perplexity() {
    let of = |each: &[(f64, u32)]| {
        let likelihood = |&(loss, tokens): &(f64, u32)| Likelihood { loss, tokens };
        Scored::of_likelihoods(each.iter().map(likelihood)).score()
    };
    let half = 2.0_f64.ln();
    assert!((of(&[(3.0 * half, 3), (half, 1)]) - 50.0).abs() < 1e-9);
    // An eighth, and three times certain.
    assert!((of(&[(3.0 * half, 1), (0.0, 3)]) - 100.0 * 0.125_f64.powf(0.25)).abs() < 1e-9);
    assert_eq!((of(&[(0.0, 5)]), of(&[])), (100.0, 0.0));
}

/// Files from before tasks had metrics of their own can be read, and a task without any writes the same file as then.
#[test]
fn scores_are_there_only_where_a_task_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.jsonl");
    let mut judged = prediction("2", "b");
    judged.scores.insert("concise".to_owned(), 0.25);
    let predictions = [prediction("1", "a"), judged];
    write(&path, &predictions).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        !lines[0].contains("scores") && !lines[0].contains("likelihood"),
        "{text}"
    );
    assert!(lines[1].ends_with(r#","scores":{"concise":0.25}}"#), "{text}");
    assert_eq!(read(&path).unwrap(), predictions);
}

#[test]
fn the_score_of_many_is_their_mean() {
    let scored = Scored::of_scores([0.25, 0.5, 1.0, 0.25].into_iter());
    assert_eq!(
        (scored.len(), scored.score(), scored.score_of(&[0, 2, 2])),
        (4, 50.0, 75.0)
    );
    let spread = interval(&scored, 1);
    assert!(
        spread.low >= 25.0 && spread.low < 50.0 && spread.high > 50.0,
        "{spread:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "before").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write(&link, &[prediction("1", "a")]).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&file).unwrap(), [prediction("1", "a")]);
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.jsonl");
    for predictions in [
        vec![prediction("1", "a"), prediction("2", "b")],
        vec![prediction("3", "c")],
        vec![],
    ] {
        write(&path, &predictions).unwrap();
        assert_eq!(read(&path).unwrap(), predictions);
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside the file"
    );
}

#[test]
fn an_error_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.jsonl");
    let line = serde_json::to_string(&prediction("1", "a")).unwrap();
    std::fs::write(&path, format!("{line}\n{{\"id\": \"2\"}}\n")).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("bad.jsonl:2: missing field `source`"), "{message}");

    std::fs::write(&path, format!("{line}\n{line}\n")).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(
        message.ends_with("bad.jsonl:2: `1` is the id of line 1 too"),
        "{message}"
    );

    let missing = folder.path().join("none.jsonl");
    assert!(matches!(read(&missing), Err(PredictionError::Read { path, .. }) if path == missing));
    let nowhere = Path::new("no/such/folder/x.jsonl");
    assert!(matches!(write(nowhere, &[]), Err(PredictionError::Write { path, .. }) if path == nowhere));
}

#[test]
fn predictions_join_by_id_in_the_order_of_the_first() {
    let a = [prediction("1", "a"), prediction("2", "b")];
    let b = [prediction("2", "b"), prediction("1", "a")];
    let joined = join(&a, &b).unwrap();
    assert_eq!(joined, [(&a[0], &b[1]), (&a[1], &b[0])]);
}

#[test]
fn a_join_lists_what_differs() {
    let a = [prediction("1", "a"), prediction("2", "b"), prediction("3", "c")];
    let b = [prediction("2", "b"), prediction("3", "other"), prediction("4", "d")];
    let message = join(&a, &b).unwrap_err().to_string();
    assert_eq!(
        message,
        "not the same items: 1 (1) only in the first, 1 (4) only in the second, 1 (3) of both with another reference"
    );
}
