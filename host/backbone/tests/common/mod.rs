//! What the tests of this crate share: fixtures, and a greedy loop over the public API.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, BackboneError, DeviceChoice, DtypeChoice, LoadOptions, Positions, WeightFormat};

/// A file or folder of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// The tensors of a safetensors fixture.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    let path = fixture(name);
    let read = Tensor::read_safetensors(&path);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into_iter()
        .collect()
}

/// The default model, which `cargo xtask setup` provides.
pub fn model_path() -> PathBuf {
    std::env::var_os("TRANSDUCER_MODEL")
        .map(PathBuf::from)
        .expect("TRANSDUCER_MODEL is set by .cargo/config.toml; run `cargo xtask setup`")
}

/// Exact settings: what the references were computed with.
pub fn f32_on_cpu() -> LoadOptions {
    LoadOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        weights: WeightFormat::Full,
        threads: None,
    }
}

pub fn load(path: &Path) -> Backbone {
    Backbone::load(path, &f32_on_cpu()).unwrap_or_else(|error| panic!("{error}"))
}

/// Token ids of a 1-d integer tensor.
pub fn ids(tensor: &Tensor) -> Vec<u32> {
    let ids = Vec::<i64>::try_from(tensor.to_kind(Kind::Int64)).expect("1-d");
    ids.into_iter().map(|id| u32::try_from(id).expect("an id")).collect()
}

/// The embeddings of a batch of token ids `[batch, tokens]`, as `[batch, tokens, hidden]`.
pub fn embed_batch(backbone: &Backbone, batch: &Tensor) -> Tensor {
    let rows = (0..batch.size()[0]).map(|row| backbone.embed(&ids(&batch.get(row))).expect("ids are valid"));
    Tensor::stack(&rows.collect::<Vec<_>>(), 0)
}

pub fn max_abs_diff(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// Appends `count` tokens greedily, prefilling a cache and then feeding it one token at a time.
pub fn greedy(backbone: &Backbone, prompt: &[u32], count: usize) -> Result<Vec<u32>, BackboneError> {
    let _guard = tch::no_grad_guard();
    let mut cache = backbone.new_cache(1, prompt.len() + count)?;
    let mut logits = backbone.forward(&backbone.embed(prompt)?.unsqueeze(0), Some(&mut cache), Positions::Last)?;
    let mut new = Vec::new();
    loop {
        let best = ids(&logits.argmax(-1, false).view([1]))[0];
        new.push(best);
        if new.len() == count {
            return Ok(new);
        }
        logits = backbone.forward(
            &backbone.embed(&[best])?.unsqueeze(0),
            Some(&mut cache),
            Positions::Last,
        )?;
    }
}

/// A copy of a fixture's folder that a test may change.
pub fn copy_of(model: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(model)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

pub fn edit_config(folder: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
}
