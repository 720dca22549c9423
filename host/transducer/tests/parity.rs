//! Against the reference in PyTorch and PyTorch Geometric: `tests/parity/transducer_reference.py` made the fixtures.

mod common;

use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use transducer_core::{CodeInput, GraphInput, Pooling, PromptInput, Transducer, TransducerConfig};
use transducer_cpg::{Cpg, EdgeKind, NodeKind};

/// Largest difference allowed between a 32-bit result and the 64-bit reference.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Document {
    config: TransducerConfig,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    instruction: (usize, usize),
    codes: Vec<Code>,
}

#[derive(Deserialize)]
struct Code {
    rows: (usize, usize),
    offsets: Vec<(u32, u32)>,
    graph: Graph,
}

#[derive(Deserialize)]
struct Graph {
    length: usize,
    nodes: Vec<Node>,
    edges: Vec<(String, u32, u32)>,
}

#[derive(Deserialize)]
struct Node {
    kind: u8,
    start: u32,
    end: u32,
    parent: Option<u32>,
}

impl Graph {
    fn build(&self) -> Cpg {
        let nodes = self.nodes[1..].iter().map(|node| {
            let kind = NodeKind::from_u8(node.kind).expect("a node kind of this schema");
            (
                node.parent.expect("the parent of a node below the root"),
                kind,
                node.start,
                node.end,
            )
        });
        let edges = self.edges.iter().map(|(kind, source, target)| {
            (
                kind.parse::<EdgeKind>().expect("an edge kind of this schema"),
                *source,
                *target,
            )
        });
        common::graph(self.length, &nodes.collect::<Vec<_>>(), &edges.collect::<Vec<_>>())
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/parity")
        .join(name)
}

fn largest_difference(ours: &Tensor, theirs: &Tensor) -> f64 {
    assert_eq!(ours.size(), theirs.size());
    (ours - theirs).abs().max().double_value(&[])
}

#[test]
fn forward_and_gradients_are_those_of_the_reference() {
    check("transducer", Pooling::Attention);
}

#[test]
fn pooling_by_maximum_is_that_of_the_reference() {
    check("transducer_max", Pooling::Max);
}

/// Compares a transducer of the fixture with what is expected of it; the inputs are those of `transducer` for all.
fn check(stem: &str, pooling: Pooling) {
    let tensors = |stem: &str| Tensor::read_safetensors(fixture(&format!("{stem}_expected.safetensors"))).unwrap();
    let document: Document = serde_json::from_slice(&std::fs::read(fixture("transducer.json")).unwrap()).unwrap();
    let mut expected: HashMap<String, Tensor> = tensors("transducer").into_iter().collect();
    expected.extend(tensors(stem));
    let expected = |name: &str| expected[name].shallow_clone();
    let transducer = Transducer::load(&fixture(&format!("{stem}_weights.safetensors")), Device::Cpu).unwrap();
    let config = TransducerConfig {
        pooling,
        ..document.config
    };
    assert_eq!(*transducer.config(), config);

    let graphs: Vec<Vec<GraphInput>> = document
        .prompts
        .iter()
        .map(|prompt| {
            prompt
                .codes
                .iter()
                .map(|code| GraphInput::new(&code.graph.build(), &code.offsets).unwrap())
                .collect()
        })
        .collect();
    let prompts: Vec<PromptInput<'_>> = document
        .prompts
        .iter()
        .zip(&graphs)
        .map(|(prompt, graphs)| PromptInput {
            codes: prompt
                .codes
                .iter()
                .zip(graphs)
                .map(|(code, graph)| CodeInput {
                    rows: code.rows.0..code.rows.1,
                    graph,
                })
                .collect(),
            text: vec![prompt.instruction.0..prompt.instruction.1],
        })
        .collect();
    let embeddings = expected("embeddings");
    let batch = transducer.batch(&prompts, embeddings.size()[0] as usize).unwrap();

    transducer.set_trainable(true);
    let enriched = transducer.forward(&batch, &embeddings).unwrap();
    let difference = largest_difference(&enriched, &expected("enriched"));
    println!("{:28} {difference:.2e}", "forward");
    assert!(difference < TOLERANCE, "forward differs by {difference:e}");
    // The fixture is one in which the transducer does something.
    assert!(largest_difference(&enriched, &embeddings) > 1.0);

    (enriched * expected("probe")).sum(Kind::Float).backward();
    for (name, parameter) in transducer.parameters() {
        let difference = largest_difference(&parameter.grad(), &expected(&format!("gradient.{name}")));
        println!("{name:28} {difference:.2e}");
        assert!(difference < TOLERANCE, "gradient of {name} differs by {difference:e}");
    }
}
