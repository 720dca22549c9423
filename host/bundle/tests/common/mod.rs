//! A small bundle to work on.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, tensor::TensorView};
use transducer_bundle::{Archive, Package};

pub(crate) const MANIFEST: &str = r#"schema = 1
[adapter]
name = "hello"
version = "1.2.0"
summary = "Says what a method does"
license = "Apache-2.0"
[task]
component = "task.wasm"
world = "transducer:task@1.0.0"
languages = ["java"]
[base-model]
id = "SmolLM2-135M-Instruct"
family = "llama"
hidden-size = 8
embedding-sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
tokenizer-sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
[transducer]
weights = "transducer.safetensors"
width = 4
layers = 1
heads = 2
task-tokens = 2
edge-kinds = ["AST"]
cpg-schema = 1
"#;

/// Weights of one tensor, said to be of this width.
pub(crate) fn weights(width: u32, values: [f32; 4]) -> Vec<u8> {
    let config = format!(
        r#"{{"format":1,"config":{{"hidden":8,"width":{width},"layers":1,"heads":2,"task_tokens":2,"reply_tokens":0,
        "edge_kinds":["AST"],"cpg_schema":1,"parts":"full"}}}}"#
    );
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
    let metadata = HashMap::from([("transducer".to_owned(), config)]);
    safetensors::serialize([("fusion.query", view)], Some(metadata)).unwrap()
}

/// The bundle's files, with this version and this number in its weights.
pub(crate) fn files(version: &str, number: f32) -> Archive {
    let manifest = MANIFEST.replace("1.2.0", version);
    let files = [
        ("adapter.toml", manifest.into_bytes()),
        ("task.wasm", b"component".to_vec()),
        ("transducer.safetensors", weights(4, [number, -1.0, 0.5, 2.0])),
        ("README.md", b"# hello\n".to_vec()),
    ];
    Archive {
        files: files.map(|(name, bytes)| (name.to_owned(), bytes)).into(),
    }
}

/// The bundle as a package.
pub(crate) fn package(version: &str, number: f32) -> Package {
    let bytes = files(version, number).write().unwrap();
    Package::unpack(bytes, Path::new("hello.tadapter")).unwrap()
}

/// The bundle as a folder in `parent`.
pub(crate) fn folder(parent: &Path) -> PathBuf {
    let dir = parent.join("hello");
    std::fs::create_dir(&dir).unwrap();
    for (name, bytes) in files("1.2.0", 1.0).files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    dir
}
