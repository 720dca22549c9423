//! Runs: the same each time, stopped, gone on with, refused.

use super::*;

#[test]
fn a_run_learns_and_is_the_same_each_time() {
    let generate = [("train.generate-examples", "2")];
    let (place, again) = (Place::new(&generate), Place::new(&generate));
    let (weights, losses) = place.whole();
    assert_eq!(losses.len(), 6);
    assert!(losses[5] < losses[0] - 0.05, "{losses:?}");
    assert_eq!((weights, losses), again.whole());
    let log = std::fs::read_to_string(place.piece.dir.join(RUN_FOLDER).join(LOG_FILE)).expect("a log");
    assert_eq!(log.matches("\"scores\":{\"bleu\":").count(), 3, "{log}");
}

#[test]
fn a_run_that_was_stopped_goes_on_as_if_it_had_not_been() {
    let (whole, losses) = Place::new(&[]).whole();
    let place = Place::new(&[]);
    for after in [1, 4] {
        let stop = AtomicBool::new(false);
        let stopped = place.train(&stop, &mut |event| {
            if matches!(event, Event::Step { step, .. } if *step == after) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        assert_eq!(stopped.expect("a part").1, End::Stopped);
    }
    let (weights, rest) = place.whole();
    assert_eq!(rest, losses[4..]);
    assert_eq!(weights, whole);
    // Every step stands once in the log, whatever was done twice.
    let log = std::fs::read_to_string(place.piece.dir.join(RUN_FOLDER).join(LOG_FILE)).expect("a log");
    let steps = log.lines().filter(|line| line.contains("\"event\":\"step\"")).count();
    assert_eq!(steps, 6);
}

#[test]
fn how_a_step_is_cut_for_memory_does_not_matter() {
    let (_, losses) = Place::new(&[]).whole();
    let (_, others) = Place::new(&[("train.batch-tokens", "1")]).whole();
    assert!(
        losses.iter().zip(&others).all(|(a, b)| (a - b).abs() < 1e-4),
        "{losses:?} {others:?}"
    );
}

#[test]
fn a_checkpoint_of_other_settings_or_a_damaged_one_is_refused_by_name() {
    let place = Place::new(&[]);
    place.whole();
    write_settings(&place.piece.dir, None, &settings(&[("train.seed", "2")])).expect("settings");
    let other = Place {
        piece: workshop().open(&place.piece.dir).expect("a bundle"),
        ..place
    };
    let error = other
        .train(&AtomicBool::new(false), &mut |_| ())
        .expect_err("another seed");
    assert!(error.to_string().contains("seed: it has 1, now 2"), "{error}");
    let checkpoint = other.piece.dir.join(RUN_FOLDER).join(CHECKPOINT_FILE);
    let bytes = std::fs::read(&checkpoint).expect("a checkpoint");
    std::fs::write(&checkpoint, &bytes[..bytes.len() / 2]).expect("written");
    let error = other
        .train(&AtomicBool::new(false), &mut |_| ())
        .expect_err("half a checkpoint");
    assert!(error.to_string().contains("not a whole checkpoint"), "{error}");
}

/// The same data may be other examples: prompts written by another template, answers that end otherwise.
#[test]
fn a_checkpoint_of_examples_that_were_made_otherwise_is_refused() {
    let place = Place::new(&[]);
    place.whole();
    let rows = data(&tempfile::tempdir().expect("a folder").keep(), 9);
    let other = Place {
        examples: prepare(&place.piece, &rows, place.dir.path()).expect("examples"),
        ..place
    };
    let error = other.train(&AtomicBool::new(false), &mut |_| ()).expect_err("others");
    assert!(error.to_string().contains("prepared examples: it has "), "{error}");
}

/// Losses of different validation data say nothing beside each other.
#[test]
fn a_run_goes_on_with_its_own_validation_data_and_best_weights_only() {
    let place = Place::new(&[]);
    let run = |sha256| place.validated(sha256, &AtomicBool::new(false), &mut |_| ());
    let (weights, _) = run(Some("one")).expect("a run");
    for (other, expected) in [
        (Some("two"), "validation: it has one, now two"),
        (None, "validation: it has one, now none"),
    ] {
        let error = run(other).expect_err("other data");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(run(Some("one")).expect("the same again").0, weights);

    // The last weights are not the best.
    std::fs::remove_file(place.piece.dir.join(RUN_FOLDER).join(BEST_FILE)).expect("it is there");
    let error = run(Some("one")).expect_err("no best weights").to_string();
    assert!(
        error.contains("best.safetensors is not there") && error.contains("--restart"),
        "{error}"
    );
}

/// What a host before wrote has to go on: its checkpoints do not tell what they were validated on.
#[test]
fn a_checkpoint_that_does_not_name_its_validation_data_goes_on() {
    let place = Place::new(&[]);
    let (weights, _) = place.whole();
    let path = place.piece.dir.join(RUN_FOLDER).join(CHECKPOINT_FILE);
    let bytes = std::fs::read(&path).expect("a checkpoint");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let mut run: serde_json::Value =
        serde_json::from_str(&header.metadata().as_ref().expect("metadata")["run"]).expect("JSON");
    let settings = run["settings"].as_array_mut().expect("a list");
    let count = settings.len();
    settings.retain(|setting| setting[0] != "validation");
    assert_eq!(settings.len(), count - 1);
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let metadata = Some([("run".to_owned(), run.to_string())].into());
    let older = safetensors::serialize(file.tensors(), metadata).expect("a file");
    std::fs::write(&path, older).expect("written");
    assert_eq!(place.whole(), (weights, Vec::new()));
    let error = place
        .validated(Some("other"), &AtomicBool::new(false), &mut |_| ())
        .expect_err("it is told from now on");
    assert!(error.to_string().contains("validation"), "{error}");
}

#[test]
fn two_trainings_are_not_at_work_in_one_folder() {
    let place = Place::new(&[]);
    let first = RunFolder::take(&place.piece.dir).expect("nobody is there");
    let error = place
        .train(&AtomicBool::new(false), &mut |_| ())
        .expect_err("somebody is there");
    let folder = place.piece.dir.join(RUN_FOLDER);
    assert!(
        matches!(&error, TrainError::Busy { path } if *path == folder)
            && error.to_string().contains("another training"),
        "{error}"
    );
    drop(first);
    place.whole();
}

/// A score of nothing is no score.
#[test]
fn answers_that_were_stopped_are_not_scored() {
    let place = Place::new(&[("train.generate-examples", "2")]);
    let stop = AtomicBool::new(false);
    let mut all = Vec::new();
    let stopped = place.train(&stop, &mut |event| match event {
        Event::Step { step: 4, .. } => stop.store(true, Ordering::Relaxed),
        Event::Validated { scores, .. } => all.push(scores.len()),
        _ => {}
    });
    assert_eq!(stopped.expect("a part").1, End::Stopped);
    assert_eq!(all, [3, 0]);
}

#[test]
fn a_loss_that_is_no_number_names_the_examples_and_the_last_checkpoint() {
    let place = Place::new(&[]);
    let stop = AtomicBool::new(false);
    let first_step = place.train(&stop, &mut |event| {
        if matches!(event, Event::Step { step: 1, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(first_step.expect("a part").1, End::Stopped);
    // Weights beyond all bounds, as after a step that was far too long.
    let path = place.piece.dir.join(RUN_FOLDER).join(CHECKPOINT_FILE);
    let mut bytes = std::fs::read(&path).expect("a checkpoint");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let values = metadata
        .tensors()
        .into_iter()
        .filter(|(name, _)| name.starts_with("value."));
    let ranges: Vec<_> = values.map(|(_, info)| info.data_offsets).collect();
    for (start, end) in ranges {
        let (words, _) = bytes[8 + header + start..8 + header + end].as_chunks_mut::<4>();
        words.fill(f32::MAX.to_le_bytes());
    }
    std::fs::write(&path, bytes).expect("written");
    let error = place
        .train(&AtomicBool::new(false), &mut |_| ())
        .expect_err("no number");
    assert!(
        matches!(&error, TrainError::NotFinite { ids, step: 2, saved: 1, .. } if !ids.is_empty()),
        "{error}"
    );
}

/// Whatever of it stops being a number first, the checkpoint and the best weights are of before.
#[test]
fn a_run_that_diverges_leaves_what_was_sound() {
    let place = Place::new(&[
        ("train.learning-rate", "1"),
        ("train.task-rate", "1000"),
        ("train.weight-decay", "1"),
        ("train.clip", "1000000"),
        ("train.validate-every", "1"),
        ("train.examples", "400"),
    ]);
    let error = place.train(&AtomicBool::new(false), &mut |_| ()).expect_err("too far");
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    for file in [CHECKPOINT_FILE, BEST_FILE] {
        let bytes = std::fs::read(place.piece.dir.join(RUN_FOLDER).join(file)).expect("it is there");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("it is whole");
        for (name, tensor) in tensors.iter() {
            let (words, _) = tensor.data().as_chunks::<4>();
            let sound = words.iter().all(|word| f32::from_le_bytes(*word).is_finite());
            assert!(sound, "{file}: {name}");
        }
    }
}
