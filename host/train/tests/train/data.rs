//! Prepared data sets, and the answers to them.

use super::*;

#[test]
fn a_text_that_another_model_wrote_twice_is_named() {
    let place = Place::new(&[]);
    let evaluation = Evaluation {
        workshop: workshop(),
        piece: &place.piece,
        transducer: None,
        examples: &place.examples,
        count: 1,
        likelihood: false,
        stop: &AtomicBool::new(false),
    };
    let text = |id: &str| Generated {
        id: id.to_owned(),
        generated: "x".to_owned(),
        likelihood: None,
    };
    let error = evaluation
        .finish_all(Path::new("p.jsonl"), vec![text("r0"), text("r1"), text("r0")])
        .expect_err("one comes twice");
    assert_eq!(error.to_string(), "p.jsonl, line 3: `r0` is the id of line 1 too");
}

#[test]
fn prepared_examples_are_found_again_and_made_again_when_damaged() {
    let place = Place::new(&[]);
    let cache = place.dir.path();
    let file = std::fs::read_dir(cache)
        .expect("the cache")
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "examples"))
        .expect("prepared examples");
    let made = std::fs::metadata(&file).expect("a file").modified().expect("a time");
    let data = cache.join("data.jsonl");
    let found = prepare(&place.piece, &data, cache).expect("examples");
    assert_eq!(
        std::fs::metadata(&file).expect("a file").modified().expect("a time"),
        made
    );
    let all = |examples: &Examples| {
        assert_eq!(examples.len(), 10);
        (0..examples.len())
            .map(|index| examples.get(index).expect("one"))
            .collect::<Vec<_>>()
    };
    let bytes = std::fs::read(&file).expect("bytes");
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..10], &flipped] {
        std::fs::write(&file, damaged).expect("written");
        let mended = prepare(&place.piece, &data, cache).expect("examples");
        assert_eq!(all(&mended), all(&found));
    }
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_a_data_set_of_them_is_an_error() {
    let place = Place::new(&[]);
    let data = place.dir.path().join("other.jsonl");
    let row = |id: &str, source: &str| serde_json::json!({"id": id, "source": source, "target": "x"}).to_string();
    let long = format!("int f() {{ return {}; }}", "1 + ".repeat(1000) + "1");
    std::fs::write(
        &data,
        [row("a", " "), row("b", &long), row("c", "int f() { return 1; }")].join("\n"),
    )
    .expect("written");
    let examples = prepare(&place.piece, &data, place.dir.path()).expect("one is left");
    let why: Vec<String> = examples
        .left_out()
        .iter()
        .map(|(why, count)| format!("{count} {why}"))
        .collect();
    assert_eq!(examples.len(), 1);
    assert_eq!(why.len(), 2, "{why:?}");
    // Also where they are found ready.
    let found = prepare(&place.piece, &data, place.dir.path()).expect("one is left");
    assert_eq!((found.len(), found.left_out()), (1, examples.left_out()));
    std::fs::write(&data, row("a", " ")).expect("written");
    let error = prepare(&place.piece, &data, place.dir.path())
        .err()
        .expect("nothing is left");
    assert!(
        error.to_string().contains("none of its 1 rows can be used: 1 × "),
        "{error}"
    );
}

/// A request of more than a MiB is none, and one of nearly as much is more than a task of 2 MiB gets through; the others are there all
/// the same.
#[test]
fn a_row_that_the_task_does_not_get_through_is_left_out() {
    let place = Place::new(&[]);
    let manifest = place.piece.dir.join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, format!("{text}\n[limits]\nmemory-mib = 2\n")).expect("written");
    let piece = workshop().open(&place.piece.dir).expect("a bundle");
    let data = place.dir.path().join("large.jsonl");
    let row = |id: &str, bytes: usize| {
        let source = format!("/* {} */ int f() {{ return 1; }}", "x".repeat(bytes));
        serde_json::json!({"id": id, "source": source, "target": "x"}).to_string()
    };
    std::fs::write(&data, [row("a", 1 << 20), row("b", 900 << 10), row("c", 9)].join("\n")).expect("written");
    let examples = prepare(&piece, &data, place.dir.path()).expect("one is left");
    let why: Vec<String> = examples.left_out().keys().map(ToString::to_string).collect();
    assert_eq!(examples.len(), 1);
    assert!(
        matches!(&why[..], [a, b] if a.starts_with("the request has 1048") && b.starts_with("the task fails on it: ")),
        "{why:?}"
    );
}

#[test]
fn every_answer_has_one_end() {
    let place = Place::new(&[]);
    let ends = workshop().embedder().tokenizer().eos_ids();
    for index in 0..place.examples.len() {
        let answer = place.examples.get(index).expect("an example").answer;
        let (last, before) = answer.split_last().expect("it has tokens");
        assert_eq!(last, &ends[0]);
        assert!(before.iter().all(|id| !ends.contains(id)), "{answer:?}");
    }
}

/// No token of a reference is in reach of the decoder: other references, same answers.
#[test]
fn answers_do_not_depend_on_references() {
    let place = Place::new(&[]);
    let stop = AtomicBool::new(false);
    let run = Run {
        workshop: workshop(),
        piece: &place.piece,
        folder: &RunFolder::take(&place.piece.dir).expect("a folder"),
        data: DataSet {
            examples: &place.examples,
            sha256: String::new(),
        },
        validation: None,
        stop: &stop,
    };
    let (transducer, _) = run.train(&mut |_| ()).expect("a run");
    let answers = |examples: &Examples| {
        let evaluation = Evaluation {
            workshop: workshop(),
            piece: &place.piece,
            transducer: Some(&transducer),
            examples,
            count: usize::MAX,
            likelihood: false,
            stop: &stop,
        };
        let predictions = evaluation.predict(&mut |_| ()).expect("answers");
        predictions
            .into_iter()
            .map(|prediction| (prediction.id, prediction.generated))
            .collect::<Vec<_>>()
    };
    let text = std::fs::read_to_string(place.dir.path().join("data.jsonl")).expect("the data");
    let random = place.dir.path().join("random.jsonl");
    let lines = text.lines().enumerate().map(|(number, line)| {
        let mut row: serde_json::Value = serde_json::from_str(line).expect("a row");
        row["target"] = format!("{:x}", (number + 1) * 0x9e37_79b9).into();
        row.to_string()
    });
    std::fs::write(&random, lines.collect::<Vec<_>>().join("\n")).expect("written");
    let others = prepare(&place.piece, &random, place.dir.path()).expect("examples");
    assert_eq!(answers(&place.examples), answers(&others));
}
