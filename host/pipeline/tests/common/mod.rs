//! A tiny model, and bundles for it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;
use transducer_bundle::Policy;
use transducer_core::{Transducer, TransducerConfig};
use transducer_pipeline::{
    Answer, CancelToken, Event, Host, HostOptions, Precision, Request, RequestError, ResidencyOptions, Service,
    WeightFormat,
};

/// Hidden size of the tiny model.
pub(crate) const HIDDEN: usize = 32;

pub(crate) const REQUEST: &str = r#"{"code": "int f(int a) { while (a > 9) { a = a / 2; } return a; }"}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tiny model with room for a whole prompt: its tokens are little more than bytes.
fn model() -> &'static Path {
    static MODEL: OnceLock<TempDir> = OnceLock::new();
    let dir = MODEL.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(root().join("tests/fixtures/tiny-llama")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let path = dir.path().join("config.json");
        let config = std::fs::read_to_string(&path).unwrap();
        let longer = config.replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 2048");
        assert_ne!(config, longer, "the fixture's context has another size");
        std::fs::write(path, longer).unwrap();
        dir
    });
    dir.path()
}

/// Cargo leaves a dev-dependency's dynamic library beside the test.
fn front_ends() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn options(adapters: &Path, residency: ResidencyOptions) -> HostOptions {
    HostOptions {
        model: model().to_owned(),
        adapters: adapters.to_owned(),
        front_ends: front_ends(),
        precision: Precision::F32,
        weights: WeightFormat::Full,
        residency,
        ..HostOptions::default()
    }
}

fn load(adapters: &Path, residency: ResidencyOptions) -> Host {
    Host::load(&options(adapters, residency), &|_| ()).unwrap()
}

/// A host of what a policy lets in.
pub(crate) fn load_under(adapters: &Path, policy: Arc<Policy>) -> Host {
    let options = HostOptions {
        policy: Some(policy),
        ..options(adapters, ResidencyOptions::default())
    };
    Host::load(&options, &|_| ()).unwrap()
}

/// The digests that a bundle for the tiny model is pinned to: those of its embedding table and its tokenizer.
fn pins() -> &'static (String, String) {
    static PINS: OnceLock<(String, String)> = OnceLock::new();
    PINS.get_or_init(|| {
        let empty = tempfile::tempdir().unwrap();
        let model = load(empty.path(), ResidencyOptions::default()).model().clone();
        (model.embedding_sha256, model.tokenizer_sha256)
    })
}

/// A directory of bundles for the tiny model, each `summarize-java` with weights of its own or none, of the default shape.
pub(crate) struct Adapters(pub(crate) TempDir);

impl Adapters {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn add(self, name: &str, weights: Option<&[u8]>) -> Self {
        self.put(name, weights, |manifest| manifest);
        self
    }

    pub(crate) fn add_edited(self, name: &str, weights: Option<&[u8]>, edit: impl Fn(String) -> String) -> Self {
        self.put(name, weights, edit);
        self
    }

    /// Adds a bundle, or replaces the one of that name.
    pub(crate) fn put(&self, name: &str, weights: Option<&[u8]>, edit: impl Fn(String) -> String) {
        let source = root().join("adapters/summarize-java");
        let dir = self.0.path().join(name);
        // One of that name may be there already.
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(source.join("task.wasm"), dir.join("task.wasm")).unwrap();
        let (embedding, tokenizer) = pins();
        let shape = TransducerConfig::for_hidden(HIDDEN);
        let text = std::fs::read_to_string(source.join("adapter.toml")).unwrap();
        // What is recorded of its own weights holds for no others.
        let (recipe, _) = text.split_once("[provenance]").unwrap_or((&text, ""));
        let pinned: Vec<_> = recipe
            .lines()
            .filter(|line| !line.starts_with("weights"))
            .map(|line| match line.split(" = ").next() {
                Some("name") => format!("name = {name:?}"),
                Some("hidden-size") => format!("hidden-size = {HIDDEN}"),
                Some("width") => format!("width = {}", shape.width),
                Some("task-tokens") => format!("task-tokens = {}", shape.task_tokens),
                Some("reply-tokens") => format!("reply-tokens = {}", shape.reply_tokens),
                Some("embedding-sha256") => format!("embedding-sha256 = {embedding:?}"),
                Some("tokenizer-sha256") => format!("tokenizer-sha256 = {tokenizer:?}"),
                _ => line.to_owned(),
            })
            .collect();
        let mut manifest = pinned.join("\n") + "\n";
        if let Some(weights) = weights {
            manifest = manifest.replace("[transducer]", "[transducer]\nweights = \"transducer.safetensors\"");
            std::fs::write(dir.join("transducer.safetensors"), weights).unwrap();
        }
        std::fs::write(dir.join("adapter.toml"), edit(manifest)).unwrap();
    }

    /// Makes the component of a bundle another one, which does the same.
    pub(crate) fn rebuild(self, name: &str) -> Self {
        let path = self.0.path().join(name).join("task.wasm");
        let mut component = std::fs::read(&path).unwrap();
        // A custom section with the name of the bundle, and nothing in it.
        let length = u8::try_from(name.len()).unwrap();
        component.extend([0, length + 1, length]);
        component.extend(name.as_bytes());
        std::fs::write(path, component).unwrap();
        self
    }

    pub(crate) fn load(&self) -> Host {
        self.load_within(ResidencyOptions::default())
    }

    pub(crate) fn load_within(&self, residency: ResidencyOptions) -> Host {
        load(self.0.path(), residency)
    }
}

/// Weights as training might leave them: nothing is zero any more.
pub(crate) fn weights(seed: i64, shape: impl Fn(&mut TransducerConfig)) -> Vec<u8> {
    let mut config = TransducerConfig::for_hidden(HIDDEN);
    shape(&mut config);
    let transducer = Transducer::new(config, tch::Device::Cpu, 0).unwrap();
    tch::manual_seed(seed);
    for (_, tensor) in transducer.parameters() {
        let _ = tch::no_grad(|| tensor.shallow_clone().uniform_(-0.5, 0.5));
    }
    transducer.to_safetensors().unwrap()
}

pub(crate) fn ask(host: &Host, adapter: &str, body: &str) -> Result<(Answer, String), RequestError> {
    let request = Request {
        adapter,
        body,
        cancel: CancelToken::default(),
        time_limit: None,
    };
    let mut text = String::new();
    let answer = host.answer(&request, &mut |event| {
        if let Event::Text(piece) = event {
            text.push_str(&piece);
        }
        ControlFlow::Continue(())
    })?;
    Ok((answer, text))
}

/// What the model wrote for an adapter.
pub(crate) fn written(host: &Host, adapter: &str, body: &str) -> String {
    ask(host, adapter, body).unwrap().1
}
