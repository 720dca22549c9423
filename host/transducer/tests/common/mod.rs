//! What the tests of this crate share: graphs built by hand and at random, and transducers that do something.

// Each test file uses its own part of this.
#![allow(dead_code)]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tch::{Device, Tensor};
use transducer_core::{CodeInput, GraphInput, PromptInput, Transducer, TransducerConfig};
use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NameId, NodeKind, NodeSpec, Span};

/// A node below the root: parent, kind, first byte, one past the last.
pub(crate) type NodeRow = (u32, NodeKind, u32, u32);
/// An edge other than the tree's: kind, source, target.
pub(crate) type EdgeRow = (EdgeKind, u32, u32);

/// A graph over `length` bytes: its nodes below the root in pre-order, and its edges other than the tree's.
pub(crate) fn graph(length: usize, nodes: &[NodeRow], edges: &[EdgeRow]) -> Cpg {
    let mut builder = CpgBuilder::new("java", length).unwrap();
    for &(parent, kind, start, end) in nodes {
        let span = Span { start, end };
        builder.add(
            parent,
            NodeSpec {
                kind,
                span,
                line: 1,
                order: 1,
                name: NameId::EMPTY,
            },
        );
    }
    for &(kind, source, target) in edges {
        builder.edge(kind, source, target);
    }
    builder.finish().unwrap()
}

/// A graph and the tokens of its source, before they are put together.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) length: u32,
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) edges: Vec<EdgeRow>,
    pub(crate) offsets: Vec<(u32, u32)>,
}

impl Sample {
    /// A tree of nested spans, further edges of every kind, and tokens of one to five bytes.
    pub(crate) fn random(seed: u64, length: u32, nodes: usize, edges: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut rows: Vec<NodeRow> = Vec::new();
        // Where the next child of each node may start, and where it must end; and the path to the node added last.
        let mut room = vec![(0, length)];
        let mut path = vec![0_u32];
        while rows.len() < nodes {
            path.truncate(random.random_range(1..=path.len()));
            let parent = path[path.len() - 1];
            let (from, to) = room[parent as usize];
            let start = random.random_range(from..=(from + 3).min(to));
            let end = random.random_range(start..=to);
            room[parent as usize].0 = end;
            room.push((start, end));
            let kind = NodeKind::ALL[random.random_range(1..NodeKind::ALL.len())];
            rows.push((parent, kind, start, end));
            path.push(rows.len() as u32);
        }
        let kinds = &EdgeKind::ALL[1..];
        let mut any = |most: usize| random.random_range(0..most);
        let edges = (0..edges)
            .map(|_| (kinds[any(kinds.len())], any(nodes + 1) as u32, any(nodes + 1) as u32))
            .collect();
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < length {
            let end = (at + 1 + any(5) as u32).min(length);
            offsets.push((at, end));
            at = end;
        }
        Self {
            length,
            nodes: rows,
            edges,
            offsets,
        }
    }

    pub(crate) fn graph(&self) -> Cpg {
        graph(self.length as usize, &self.nodes, &self.edges)
    }

    pub(crate) fn input(&self) -> GraphInput {
        GraphInput::new(&self.graph(), &self.offsets).unwrap()
    }
}

/// A small transducer that reads all edge kinds, three of them in two rounds.
pub(crate) fn config() -> TransducerConfig {
    TransducerConfig {
        width: 8,
        task_tokens: 3,
        reply_tokens: 2,
        ..TransducerConfig::for_hidden(24)
    }
}

/// A transducer away from its first values: every parameter has moved at random.
pub(crate) fn trained(config: TransducerConfig, seed: u64) -> Transducer {
    let transducer = Transducer::new(config, Device::Cpu, seed).unwrap();
    for (place, (_, parameter)) in transducer.parameters().enumerate() {
        let change = random_tensor(seed + 1 + place as u64, &parameter.size()) * 0.3;
        let _in_place = parameter.shallow_clone().g_add_(&change);
    }
    transducer
}

/// Numbers of either sign and size about 1, the same for the same seed. (libtorch's generator is shared by all tests.)
pub(crate) fn random_tensor(seed: u64, shape: &[i64]) -> Tensor {
    let mut random = StdRng::seed_from_u64(seed);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.7..1.7)).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Rows of the instruction that [`prompt`] lays out, and of the text between it and the code.
pub(crate) const INSTRUCTION: usize = 5;
const GAP: usize = 2;

/// A prompt from `first` on: an instruction, then each code segment after some text. Returns the rows it takes.
pub(crate) fn prompt(first: usize, graphs: &[GraphInput]) -> (PromptInput<'_>, usize) {
    let mut row = first + INSTRUCTION;
    let mut codes = Vec::new();
    for graph in graphs {
        row += GAP;
        codes.push(CodeInput {
            rows: row..row + graph.tokens(),
            graph,
        });
        row += graph.tokens();
    }
    (
        PromptInput {
            codes,
            text: vec![first..first + INSTRUCTION],
        },
        row + GAP - first,
    )
}

/// Enriches one prompt of these graphs; the embeddings depend on `seed` alone.
pub(crate) fn enrich(transducer: &Transducer, graphs: &[GraphInput], seed: u64) -> (Tensor, Tensor) {
    let (input, rows) = prompt(0, graphs);
    let embeddings = random_tensor(seed, &[rows as i64, transducer.config().hidden as i64]);
    let batch = transducer.batch(&[input], rows).unwrap();
    (transducer.forward(&batch, &embeddings).unwrap(), embeddings)
}

pub(crate) fn largest(difference: Tensor) -> f64 {
    difference.abs().max().double_value(&[])
}
