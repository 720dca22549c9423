//! Training and evaluation of a bundle on a tiny random model: what is promised of a run, through the public door.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use transducer_pipeline::{Precision, Workpiece, Workshop, WorkshopOptions};
use transducer_train::folder::{BEST_FILE, CHECKPOINT_FILE, LOG_FILE, RUN_FOLDER};
use transducer_train::recipe::{Draft, Setting, Sources, ablation, put_evaluation, put_weights};
use transducer_train::{DataSet, End, Evaluation, Event, Examples, Generated, Run, RunFolder, TrainError};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tiny model with room for a whole prompt: its tokens are little more than bytes.
fn workshop() -> &'static Workshop {
    static WORKSHOP: OnceLock<(TempDir, Workshop)> = OnceLock::new();
    let (_, workshop) = WORKSHOP.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        for entry in std::fs::read_dir(root().join("tests/fixtures/tiny-llama")).expect("the fixture") {
            let entry = entry.expect("a file");
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
        }
        let path = dir.path().join("config.json");
        let config = std::fs::read_to_string(&path).expect("a configuration");
        let longer = config.replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 2048");
        assert_ne!(config, longer, "the fixture's context has another size");
        std::fs::write(path, longer).expect("written");
        let options = WorkshopOptions {
            remote: None,
            model: dir.path().to_owned(),
            // Cargo leaves a dev-dependency's dynamic library beside the test.
            front_ends: std::env::current_exe()
                .expect("a path")
                .parent()
                .expect("a folder")
                .to_owned(),
            precision: Precision::F32,
            threads: None,
        };
        let workshop = Workshop::load(&options, &|_| ()).expect("a workshop");
        (dir, workshop)
    });
    workshop
}

/// `summarize-java` for the tiny model, without weights, in a folder of its name.
fn bundle(parent: &Path) -> PathBuf {
    let source = root().join("adapters/summarize-java");
    let dir = parent.join("summarize-java");
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::copy(source.join("task.wasm"), dir.join("task.wasm")).expect("a copy");
    let model = workshop().model();
    let text = std::fs::read_to_string(source.join("adapter.toml")).expect("a manifest");
    let (before_train, _) = text.split_once("[train]").unwrap_or((&text, ""));
    let pinned: Vec<_> = before_train
        .lines()
        .filter(|line| !line.starts_with("weights"))
        .map(|line| match line.split(" = ").next() {
            Some("hidden-size") => format!("hidden-size = {}", model.hidden_size),
            Some("embedding-sha256") => format!("embedding-sha256 = {:?}", model.embedding_sha256),
            Some("tokenizer-sha256") => format!("tokenizer-sha256 = {:?}", model.tokenizer_sha256),
            _ => line.to_owned(),
        })
        .collect();
    std::fs::write(dir.join("adapter.toml"), pinned.join("\n") + "\n").expect("written");
    dir
}

const SETTINGS: [(&str, &str); 9] = [
    ("train.examples", "24"),
    ("train.batch", "4"),
    ("train.batch-tokens", "1500"),
    ("train.learning-rate", "0.02"),
    ("train.validate-every", "2"),
    ("train.max-prompt-tokens", "1500"),
    ("transducer.width", "8"),
    ("transducer.task-tokens", "4"),
    ("transducer.reply-tokens", "2"),
];

fn settings(more: &[(&str, &str)]) -> Vec<Setting> {
    let setting = |&(key, value): &(&str, &str)| Setting {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    SETTINGS.iter().chain(more).map(setting).collect()
}

/// Settings, written where they go.
fn write_settings(dir: &Path, into: Option<&Path>, settings: &[Setting]) -> Result<PathBuf, TrainError> {
    let draft = Draft::new(dir, into, settings)?;
    draft.open(workshop())?;
    draft.write()?;
    Ok(draft.dir().to_owned())
}

/// Small methods that differ in name, and what they do.
fn data(dir: &Path, rows: usize) -> PathBuf {
    let path = dir.join("data.jsonl");
    let row = |row: usize| {
        let name = ["add", "mul", "max", "min", "sum"][row % 5];
        let source = format!("int {name}{row}(int a, int b) {{ if (a > {row}) {{ return b; }} return {name}(a, b); }}");
        serde_json::json!({"id": format!("r{row}"), "source": source, "target": format!("Does {name} of a and b.")})
    };
    let lines: Vec<String> = (0..rows).map(|number| row(number).to_string()).collect();
    std::fs::write(&path, lines.join("\n")).expect("written");
    path
}

/// A folder with a bundle, data and a cache.
struct Place {
    dir: TempDir,
    piece: Workpiece,
    examples: Examples,
}

impl Place {
    fn new(more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let bundle = bundle(dir.path());
        let folder = write_settings(&bundle, None, &settings(more)).expect("settings");
        let piece = workshop().open(&folder).expect("a bundle");
        let data = data(dir.path(), 10);
        let examples = prepare(&piece, &data, dir.path()).expect("examples");
        Self { dir, piece, examples }
    }

    fn train(&self, stop: &AtomicBool, watch: &mut dyn FnMut(&Event)) -> Result<(Vec<u8>, End), TrainError> {
        self.validated(Some("data"), stop, watch)
    }

    /// A run whose validation data has this digest, if there is any.
    fn validated(
        &self,
        sha256: Option<&str>,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Event),
    ) -> Result<(Vec<u8>, End), TrainError> {
        let data = |sha256: &str| DataSet {
            examples: &self.examples,
            sha256: sha256.to_owned(),
        };
        let run = Run {
            workshop: workshop(),
            piece: &self.piece,
            folder: &RunFolder::take(&self.piece.dir)?,
            data: data("data"),
            validation: sha256.map(data),
            stop,
        };
        let (transducer, end) = run.train(watch)?;
        Ok((transducer.to_safetensors().expect("weights"), end))
    }

    fn whole(&self) -> (Vec<u8>, Vec<f64>) {
        let mut losses = Vec::new();
        let (weights, end) = self
            .train(&AtomicBool::new(false), &mut |event| {
                if let Event::Step { loss, .. } = event {
                    losses.push(*loss);
                }
            })
            .expect("a run");
        assert_eq!(end, End::Finished);
        (weights, losses)
    }
}

fn prepare(piece: &Workpiece, data: &Path, cache: &Path) -> Result<Examples, TrainError> {
    let train = &piece.manifest.train;
    Examples::prepare(
        workshop(),
        piece,
        train,
        data,
        cache,
        &AtomicBool::new(false),
        &mut |_| (),
    )
}

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
fn settings_that_are_refused_are_not_written() {
    let place = Place::new(&[]);
    let manifest = |dir: &Path| std::fs::read_to_string(dir.join("adapter.toml")).expect("a manifest");
    let (dir, before) = (&place.piece.dir, manifest(&place.piece.dir));
    let width = Setting {
        key: "transducer.width".to_owned(),
        value: "7".to_owned(),
    };
    let error = write_settings(dir, None, std::slice::from_ref(&width)).expect_err("no width for these heads");
    assert!(error.to_string().contains('7'), "{error}");
    let into = place.dir.path().join("runs");
    write_settings(dir, Some(&into), &[width]).expect_err("nor in a copy");
    assert!(!into.exists());
    // A draft that nobody writes changes nothing.
    Draft::new(dir, None, &settings(&[("train.seed", "2")])).expect("it can be");
    assert_eq!(manifest(dir), before);
    let error = write_settings(dir, dir.parent(), &[]).expect_err("a copy onto itself");
    assert!(matches!(error, TrainError::OwnCopy { .. }), "{error}");
    assert_eq!(manifest(dir), before);
}

#[test]
fn a_copy_has_what_goes_with_the_bundle_and_keeps_what_it_has() {
    let place = Place::new(&[]);
    let dir = &place.piece.dir;
    std::fs::create_dir(dir.join("cases")).expect("a folder");
    for file in ["README.md", "NOTICE", "cases/one.json", "notes.txt"] {
        std::fs::write(dir.join(file), file).expect("written");
    }
    let into = place.dir.path().join("runs");
    let copy = write_settings(dir, Some(&into), &[]).expect("a copy");
    for file in ["README.md", "NOTICE", "cases/one.json"] {
        assert_eq!(std::fs::read_to_string(copy.join(file)).expect(file), file);
    }
    assert!(!copy.join("notes.txt").exists() && !copy.join("LICENSE").exists());
    std::fs::write(copy.join("README.md"), "of its own").expect("written");
    write_settings(dir, Some(&into), &[]).expect("the same again");
    assert_eq!(
        std::fs::read_to_string(copy.join("README.md")).expect("a card"),
        "of its own"
    );
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

#[test]
fn an_ablation_is_written_into_a_copy_and_weights_into_the_bundle() {
    let place = Place::new(&[]);
    let kinds = &place.piece.manifest.transducer.edge_kinds;
    let into = place.dir.path().join("runs");
    for (name, expected) in [
        ("no-gve", "parts = \"no-graph\""),
        ("no-cfg", "edge-kinds = [\"AST\", \"CDG\""),
        ("no-edges", "layers = 0"),
        ("shuffled-edges", "edges = \"shuffled\""),
    ] {
        let settings = ablation(name, kinds).expect(name);
        let copy = write_settings(&place.piece.dir, Some(&into.join(name)), &settings).expect(name);
        let manifest = std::fs::read_to_string(copy.join("adapter.toml")).expect("a manifest");
        assert!(manifest.contains(expected), "{manifest}");
        workshop().open(&copy).expect(name);
    }
    let unknown = ablation("no-such", kinds).expect_err("no such kind");
    assert!(
        unknown.contains("no-gve") && unknown.contains("reaching-def"),
        "{unknown}"
    );

    let before = std::fs::read_to_string(place.piece.dir.join("adapter.toml")).expect("a manifest");
    let wrong = Setting {
        key: "train.batch".to_owned(),
        value: "0".to_owned(),
    };
    let error = write_settings(&place.piece.dir, None, &[wrong]).expect_err("no batch");
    assert!(error.to_string().contains("`train.batch` is 0"), "{error}");
    assert_eq!(
        before,
        std::fs::read_to_string(place.piece.dir.join("adapter.toml")).expect("a manifest")
    );

    let transducer = transducer_core::Transducer::new(place.piece.config.clone(), tch::Device::Cpu, 1).expect("valid");
    let sources = |data: &str| Sources {
        data: data.repeat(64),
        validation: None,
        seed: 5,
        precision: "f32".to_owned(),
    };
    put_weights(&place.piece.dir, &transducer, &sources("a")).expect("written");
    let piece = workshop().open(&place.piece.dir).expect("a bundle");
    assert!(workshop().transducer(&piece).expect("weights that fit").is_some());
    let provenance = piece.manifest.provenance.clone().expect("recorded");
    assert_eq!((provenance.seed, provenance.data_sha256), (5, "a".repeat(64)));
    assert_eq!(provenance.precision.as_deref(), Some("f32"));

    let evaluation = transducer_bundle::Evaluation {
        data_sha256: "b".repeat(64),
        rows: 3,
        weights_sha256: provenance.weights_sha256,
        host: "0.1.0".to_owned(),
        precision: Some("bf16".to_owned()),
        left_out: Some(2),
        scores: [(
            "chrF".to_owned(),
            transducer_bundle::RecordedScore {
                value: 20.0,
                low: 18.25,
                high: 22.5,
            },
        )]
        .into(),
    };
    put_evaluation(&place.piece.dir, &evaluation).expect("written");
    let judged = workshop().open(&place.piece.dir).expect("a bundle").manifest.evaluation;
    assert_eq!(judged, Some(evaluation));

    // Other weights, and what was said of those before them is gone.
    let transducer = transducer_core::Transducer::new(place.piece.config.clone(), tch::Device::Cpu, 2).expect("valid");
    put_weights(&place.piece.dir, &transducer, &sources("c")).expect("written");
    let manifest = workshop().open(&place.piece.dir).expect("a bundle").manifest;
    assert_eq!(manifest.evaluation, None);
    assert_eq!(manifest.provenance.expect("recorded").data_sha256, "c".repeat(64));
}
