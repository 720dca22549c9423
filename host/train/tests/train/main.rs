//! Training and evaluation of a bundle on a tiny random model: what is promised of a run, through the public door.

mod data;
mod recipe;
mod runs;

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
