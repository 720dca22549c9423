//! What is said of models that cannot be loaded, and of those that can.

mod common;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use common::{copy_of, edit_config, f32_on_cpu, fixture};
use transducer_backbone::gguf::Gguf;
use transducer_backbone::{Backbone, LoadOptions, ModelConfig, RopeScaling, Shape};

/// What loading `folder` after `edit` says, without the folder's own path.
fn load_error(model: &str, edit: impl FnOnce(&Path)) -> String {
    let folder = copy_of(model);
    edit(folder.path());
    let error = Backbone::load(folder.path(), &f32_on_cpu())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    error.replace(&folder.path().display().to_string(), "MODEL")
}

#[test]
fn a_damaged_or_foreign_folder_is_refused_by_name() {
    let with = |key: &'static str, value: serde_json::Value| {
        load_error("tiny-llama", move |folder| {
            edit_config(folder, |config| config[key] = value);
        })
    };
    let cases = [
        (
            "model_type",
            "mamba".into(),
            "the model family is \"mamba\"; supported: llama, qwen2, starcoder2, gemma, t5",
        ),
        ("hidden_act", "gelu".into(), "hidden_act is \"gelu\"; supported: silu"),
        (
            "attention_bias",
            true.into(),
            "attention_bias is true; supported: false",
        ),
        (
            "num_key_value_heads",
            3.into(),
            "the number of key/value heads is 3, expected a divisor of the 4 attention heads",
        ),
        (
            "num_hidden_layers",
            0.into(),
            "the number of layers is 0, expected 1 to 1280",
        ),
        (
            "hidden_size",
            4_000_000_000_u64.into(),
            "the hidden size is 4000000000, expected 1 to 1048576",
        ),
        ("head_dim", 7.into(), "the head dimension is 7, expected an even number"),
        (
            "rms_norm_eps",
            0.0.into(),
            "the norm's epsilon is 0, expected between 0 and 1",
        ),
        (
            "rope_parameters",
            serde_json::json!({"rope_type": "longrope", "rope_theta": 1e4}),
            "the RoPE scaling is \"longrope\"; supported: default, linear, dynamic, llama3, yarn",
        ),
        (
            "rope_parameters",
            serde_json::json!({"rope_type": "linear", "rope_theta": 1e4}),
            "the RoPE scaling's factor is absent, expected a number, as the RoPE scaling \"linear\" needs it",
        ),
        (
            "rope_parameters",
            serde_json::json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 0.0}),
            "the RoPE scaling's factor is 0, expected a number from 1 to 1024",
        ),
    ];
    for (key, value, expected) in cases {
        assert_eq!(with(key, value), format!("MODEL/config.json: {expected}"));
    }
    assert_eq!(
        with("intermediate_size", 64.into()),
        "MODEL: the tensor `model.layers.0.mlp.gate_proj.weight` has the shape [48, 32], the model's configuration asks \
         for [64, 32]"
    );
    assert_eq!(
        with("num_hidden_layers", 3.into()),
        "MODEL: the tensor `model.layers.2.input_layernorm.weight` is missing"
    );
    let surplus = with("num_hidden_layers", 1.into());
    assert!(surplus.starts_with("MODEL: the tensor `model.layers.1."), "{surplus}");
    assert!(surplus.ends_with("belongs to no part of a llama model"), "{surplus}");
    let biases = load_error("tiny-qwen2", |folder| {
        edit_config(folder, |config| config["model_type"] = "llama".into());
    });
    assert!(
        biases.contains("_proj.bias` belongs to no part of a llama model"),
        "{biases}"
    );
}

#[test]
fn a_folder_with_damaged_files_is_refused_by_name() {
    let index = "model.safetensors.index.json";
    let escaped = load_error("tiny-llama", |folder| {
        fs::write(folder.join(index), r#"{"weight_map": {"a": "../secret.safetensors"}}"#).unwrap();
    });
    assert_eq!(
        escaped,
        "MODEL/model.safetensors.index.json: the index places `a` in \"../secret.safetensors\", expected the name of a \
         file in the same folder"
    );
    let absent = load_error("tiny-llama", |folder| {
        fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    });
    assert!(
        absent.starts_with("MODEL/model-00002-of-00002.safetensors: No such file"),
        "{absent}"
    );
    let cut = load_error("tiny-qwen2", |folder| {
        let file = folder.join("model.safetensors");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    });
    assert!(
        cut.starts_with("MODEL/model.safetensors: not a usable safetensors file"),
        "{cut}"
    );
    let not_finite = load_error("tiny-qwen2", |folder| {
        let file = folder.join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&file, bytes).unwrap();
    });
    assert!(not_finite.contains("holds NaN at place"), "{not_finite}");
    let empty = load_error("tiny-qwen2", |folder| {
        fs::remove_file(folder.join("config.json")).unwrap();
    });
    assert!(
        empty.starts_with("MODEL: no model here; give a .gguf file, or a folder with"),
        "{empty}"
    );
}

/// What loading the GGUF fixture says after `edit` of its bytes, without the file's path.
fn gguf_load_error(edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = fs::read(fixture("tiny-qwen2/model.gguf")).unwrap();
    edit(&mut bytes);
    fs::write(file.path(), bytes).unwrap();
    let error = Backbone::load(file.path(), &f32_on_cpu())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    error.replace(&file.path().display().to_string(), "MODEL")
}

/// Replaces the first occurrence of `old` by `new`, of the same length.
fn replace(bytes: &mut [u8], old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    let place = bytes
        .windows(old.len())
        .position(|window| window == old.as_bytes())
        .unwrap();
    bytes[place..place + new.len()].copy_from_slice(new.as_bytes());
}

#[test]
fn a_damaged_or_foreign_gguf_file_is_refused_by_name() {
    assert_eq!(
        gguf_load_error(|bytes| replace(bytes, "qwen2", "gemma")),
        "MODEL: the model family is \"gemma\"; supported: llama, qwen2"
    );
    assert_eq!(
        gguf_load_error(|bytes| replace(bytes, "qwen2.block_count", "qwen2.block_depth")),
        "MODEL: the metadata has no entry `qwen2.block_count`"
    );
    assert_eq!(
        gguf_load_error(|bytes| replace(bytes, "blk.1.ffn_up.weight", "blk.1.ffn_in.weight")),
        "MODEL: the tensor `blk.1.ffn_up.weight` is missing"
    );
    let cut = gguf_load_error(|bytes| bytes.truncate(bytes.len() - 64));
    assert!(cut.ends_with("it ends past the file; the file may be cut off"), "{cut}");
}

#[test]
fn loading_tells_how_far_it_has_come() {
    let mut seen = Vec::new();
    let options = LoadOptions {
        threads: NonZeroUsize::new(1),
        ..f32_on_cpu()
    };
    let backbone =
        Backbone::load_with_progress(&fixture("tiny-llama"), &options, |progress| seen.push(progress)).unwrap();
    // Not what libtorch says here: other tests load, too, and tell it another number.
    assert_eq!(backbone.threads(), 1);
    let total = 40_096; // `total_parameters` of the fixture's index
    assert!(seen.iter().all(|progress| progress.total == total));
    assert!(seen.is_sorted_by_key(|progress| progress.loaded));
    assert_eq!(seen.last().map(|progress| progress.loaded), Some(total));
    assert_eq!(backbone.tokenizer().vocab_size(), backbone.config().vocab_size);
}

/// The shape of the GGUF fixture after `entries`, each a key, a type code and a value, have been put into its metadata.
fn gguf_config(entries: &[(&str, u32, Vec<u8>)]) -> Result<ModelConfig, String> {
    /// Where the first metadata entry stands: behind magic, version and two counts.
    const FIRST_ENTRY: usize = 24;
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut added = entries
        .iter()
        .flat_map(|(key, code, value)| [string(key), code.to_le_bytes().to_vec(), value.clone()].concat())
        .collect::<Vec<_>>();
    // A string that fills up to the alignment, so that tensor data stays where the directory says.
    let filler = [string("filler"), 8_u32.to_le_bytes().to_vec()].concat();
    let length = (added.len() + filler.len() + 8).next_multiple_of(32) - added.len() - filler.len() - 8;
    added.extend([filler, string(&"-".repeat(length))].concat());
    let mut bytes = fs::read(fixture("tiny-qwen2/model.gguf")).unwrap();
    let count = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    bytes[16..24].copy_from_slice(&(count + entries.len() as u64 + 1).to_le_bytes());
    bytes.splice(FIRST_ENTRY..FIRST_ENTRY, added);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let config = ModelConfig::from_gguf(&Gguf::open(file.path()).unwrap());
    config.map_err(|error| error.to_string().replace(&file.path().display().to_string(), "MODEL"))
}

#[test]
fn gguf_metadata_names_the_rope_scaling() {
    let kind = |name: &str| {
        let value = [&(name.len() as u64).to_le_bytes()[..], name.as_bytes()].concat();
        ("qwen2.rope.scaling.type", 8, value)
    };
    let factor = |factor: f32| ("qwen2.rope.scaling.factor", 6, factor.to_le_bytes().to_vec());
    let original = (
        "qwen2.rope.scaling.original_context_length",
        4,
        64_u32.to_le_bytes().to_vec(),
    );

    let scaling_of = |config: &ModelConfig| match &config.shape {
        Shape::Decoder { rope } => rope.scaling.clone(),
        Shape::EncoderDecoder(_) => panic!("{config:?}"),
    };
    let plain = gguf_config(&[]).unwrap();
    assert_eq!((scaling_of(&plain), plain.max_context), (RopeScaling::None, 128));
    let linear = gguf_config(&[kind("linear"), factor(2.0)]).unwrap();
    assert_eq!(
        (scaling_of(&linear), linear.max_context),
        (RopeScaling::Linear { factor: 2.0 }, 128)
    );
    let yarn = gguf_config(&[kind("yarn"), factor(4.0), original]).unwrap();
    let RopeScaling::Yarn(scaling) = scaling_of(&yarn) else {
        panic!("{yarn:?}")
    };
    assert_eq!(
        (scaling.original_context, scaling.attention_factor, yarn.max_context),
        (64, None, 256)
    );
    assert_eq!(
        gguf_config(&[kind("longrope"), factor(4.0)]).unwrap_err(),
        "MODEL: the RoPE scaling is \"longrope\"; supported: none, linear, yarn, and Llama 3's (rope_freqs.weight)"
    );
    assert_eq!(
        gguf_config(&[kind("linear")]).unwrap_err(),
        "MODEL: the metadata has no entry `qwen2.rope.scaling.factor`"
    );
    assert_eq!(
        gguf_config(&[("qwen2.rope.dimension_count", 4, 4_u32.to_le_bytes().to_vec())]).unwrap_err(),
        "MODEL: the rotary dimension is 4, expected 8, the head dimension"
    );
}
