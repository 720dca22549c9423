//! Weights files: what is written is what is read, and nothing wrong gets in.

mod common;

use common::{Sample, config, enrich, trained};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use tch::Device;
use transducer_core::{
    FORMAT_VERSION, MAX_WEIGHTS_BYTES, METADATA_KEY, Parts, Transducer, TransducerConfig, TransducerError,
};
use transducer_cpg::EdgeKind;

#[test]
fn what_is_written_is_what_is_read() {
    let no_edges = TransducerConfig {
        layers: 0,
        edge_kinds: vec![],
        ..config()
    };
    let no_tasks = TransducerConfig {
        task_tokens: 0,
        reply_tokens: 0,
        fusion_scale: 0.3,
        ..config()
    };
    let no_graph = TransducerConfig {
        parts: Parts::NoGraph,
        ..config()
    };
    for config in [config(), no_edges, no_tasks, no_graph] {
        let written = trained(config, 1);
        let bytes = written.to_safetensors().unwrap();
        let read = Transducer::from_safetensors(&bytes, Device::Cpu).unwrap();
        assert_eq!(read.config(), written.config());
        assert_eq!(read.parameter_count(), written.parameter_count());
        let graphs = [Sample::random(11, 60, 30, 40).input()];
        assert_eq!(enrich(&read, &graphs, 2).0, enrich(&written, &graphs, 2).0);
        assert_eq!(read.to_safetensors().unwrap(), bytes, "equal weights are equal bytes");
    }
}

#[test]
fn seeds_say_which_weights() {
    let bytes = |seed| {
        Transducer::new(config(), Device::Cpu, seed)
            .unwrap()
            .to_safetensors()
            .unwrap()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transducer.safetensors");
    std::fs::write(&path, "old").unwrap();
    let written = trained(config(), 1);
    written.save(&path).unwrap();
    let read = Transducer::load(&path, Device::Cpu).unwrap();
    assert_eq!(read.to_safetensors().unwrap(), written.to_safetensors().unwrap());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );

    // Weights that have diverged are not written, and the file stays.
    let (_, parameter) = written.parameters().next().unwrap();
    let _in_place = parameter.shallow_clone().fill_(f64::NAN);
    let error = written.save(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor `gve.down.weight` holds NaN at element 0; every weight must be finite"
    );
    assert!(Transducer::load(&path, Device::Cpu).is_ok());

    let nowhere = folder.path().join("no such folder").join("transducer.safetensors");
    let error = read.save(&nowhere).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("weights file {}: write: ", nowhere.display())),
        "{error}"
    );
    let error = Transducer::load(&nowhere, Device::Cpu).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("weights file {}: open: ", nowhere.display())),
        "{error}"
    );
}

/// The parts of a weights file, to be put together wrongly.
struct File {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl File {
    fn right() -> Self {
        let bytes = trained(config(), 1).to_safetensors().unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |view: &TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        Self {
            tensors: file
                .iter()
                .map(|(name, view)| (name.to_owned(), tensor(&view)))
                .collect(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self
            .tensors
            .iter()
            .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
    }

    fn json(&mut self) -> &mut String {
        self.metadata.get_mut(METADATA_KEY).unwrap()
    }
}

/// Checks how the error, as a user reads it, begins that a change to a right file leads to; the JSON reader's own words
/// follow.
fn check(change: impl FnOnce(&mut File), expected: &str) {
    let mut file = File::right();
    change(&mut file);
    let error = Transducer::from_safetensors(&file.bytes(), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(expected),
        "found:    {error}
expected: {expected}"
    );
}

#[test]
fn wrong_tensors_are_refused() {
    assert!(Transducer::from_safetensors(&File::right().bytes(), Device::Cpu).is_ok());
    check(
        |file| drop(file.tensors.remove("fusion.key.weight")),
        "tensor `fusion.key.weight` of shape [8, 8] is missing",
    );
    check(
        |file| {
            let tensor = (Dtype::F32, vec![1], vec![0; 4]);
            file.tensors.insert("gve.layers.2.attention".into(), tensor);
        },
        "tensor `gve.layers.2.attention` is no part of a transducer of this configuration",
    );
    check(
        |file| file.tensors.get_mut("task.output.weight").unwrap().1 = vec![8, 24],
        "tensor `task.output.weight` has shape [8, 24], expected [24, 8]",
    );
    check(
        |file| file.tensors.get_mut("task.query").unwrap().0 = Dtype::I32,
        "tensor `task.query` holds I32, expected F32",
    );
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        check(
            |file| file.tensors.get_mut("task.vectors").unwrap().2[20..24].copy_from_slice(&value.to_le_bytes()),
            &format!("tensor `task.vectors` holds {name} at element 5; every weight must be finite"),
        );
    }
}

#[test]
fn a_wrong_configuration_is_refused() {
    check(
        |file| file.metadata.clear(),
        "no `transducer` entry in the safetensors metadata; these are not weights of a transducer",
    );
    let metadata = "the `transducer` entry of the safetensors metadata is not a transducer configuration: ";
    check(
        |file| *file.json() = "{".into(),
        &format!("{metadata}EOF while parsing"),
    );
    check(
        |file| *file.json() = file.json().replace("\"width\"", "\"breadth\""),
        &format!("{metadata}unknown field `breadth`"),
    );
    check(
        |file| *file.json() = file.json().replace("REACHING_DEF", "REACHING"),
        &format!(
            "{metadata}`REACHING` is no kind of CPG schema {}",
            transducer_cpg::SCHEMA_VERSION
        ),
    );
    check(
        |file| *file.json() = file.json().replace("\"format\":1", "\"format\":2"),
        "weights format 2, this build reads format 1; train again or use the build that wrote it",
    );
    assert_eq!(FORMAT_VERSION, 1, "a new format needs its own case above");
    check(
        |file| *file.json() = file.json().replace("\"width\":8", "\"width\":1000000000000"),
        "transducer configuration: width is 1000000000000, expected 1 to 64",
    );
}

#[test]
fn every_field_of_a_configuration_is_checked() {
    let refusal = |config: TransducerConfig| Transducer::new(config, Device::Cpu, 0).unwrap_err().to_string();
    let field = |change: fn(&mut TransducerConfig)| {
        let mut config = config();
        change(&mut config);
        refusal(config)
            .strip_prefix("transducer configuration: ")
            .unwrap()
            .to_owned()
    };
    assert_eq!(field(|c| c.hidden = 0), "hidden is 0, expected 1 to 16384");
    assert_eq!(field(|c| c.width = 65), "width is 65, expected 1 to 64");
    assert_eq!(field(|c| c.layers = 4), "layers is 4, expected 0 to 3");
    assert_eq!(field(|c| c.heads = 3), "heads is 3, expected a divisor of width (8)");
    assert_eq!(field(|c| c.heads = 0), "heads is 0, expected 1 to 8");
    assert_eq!(field(|c| c.task_tokens = 65), "task_tokens is 65, expected 0 to 64");
    assert_eq!(field(|c| c.reply_tokens = 65), "reply_tokens is 65, expected 0 to 64");
    assert_eq!(
        field(|c| (c.parts, c.task_tokens, c.reply_tokens) = (Parts::NoFusion, 0, 0)),
        "task_tokens is 0, expected task tokens or reply tokens: with no fusion there is nothing else to train"
    );
    assert_eq!(
        field(|c| c.edge_kinds.push(EdgeKind::Ast)),
        "edge_kinds is AST, expected each kind once"
    );
    assert_eq!(
        field(|c| c.edge_kinds.clear()),
        "edge_kinds is 0 edge kinds and 2 layers, expected both none or both some"
    );
    assert_eq!(
        field(|c| c.fusion_scale = 0.0),
        "fusion_scale is 0, expected above 0, at most 1000"
    );
    assert_eq!(
        field(|c| c.task_scale = f64::NAN),
        "task_scale is NaN, expected above 0, at most 1000"
    );
    assert!(field(|c| c.cpg_schema += 1).ends_with("the graphs of this build"));
    assert!(field(|c| c.node_kinds += 1).starts_with("node_kinds is "));
}

#[test]
fn damaged_files_are_refused() {
    let bytes = File::right().bytes();
    let read = |bytes: &[u8]| Transducer::from_safetensors(bytes, Device::Cpu);
    // Every truncation of the header, and a sample of those of the data.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for length in (0..header).chain((header..bytes.len()).step_by(97)) {
        let error = read(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, TransducerError::Safetensors(_)),
            "cut at {length}: {error}"
        );
    }
    // One flipped bit anywhere in the header: an error or a transducer, never a panic.
    for place in 0..header {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let _ = read(&bytes);
    }
    let error = read(&vec![0; MAX_WEIGHTS_BYTES as usize + 1]).unwrap_err().to_string();
    assert_eq!(
        error,
        "67108865 bytes of weights, at most 67108864 are read; is this the weights of an LLM?"
    );
}
