//! Parameters of the default transducer for an LLM with embeddings of size 576, and the time it takes for one prompt of
//! 128 tokens whose code has a graph of 150 nodes.
//!
//! `cargo run -p transducer-core --example measure [-- PROMPTS]`

use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};
use transducer_core::{CodeInput, CodeSegment, GraphInput, PromptInput, Transducer, TransducerConfig};
use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NameId, NodeKind, NodeSpec, Span};

const HIDDEN: usize = 576;
const TOKENS: usize = 128;
/// The first tokens are the instruction, the last the start of the answer; between them stands the code.
const INSTRUCTION: usize = 16;
const CODE: std::ops::Range<usize> = 20..120;
const NODES: u32 = 150;
const BYTES_PER_TOKEN: u32 = 4;
const REPEATS: usize = 200;

fn main() {
    let prompts: usize = std::env::args()
        .nth(1)
        .map_or(1, |count| count.parse().expect("PROMPTS must be a number"));
    let transducer =
        Transducer::new(TransducerConfig::for_hidden(HIDDEN), Device::Cpu, 0).expect("a valid configuration");
    for (name, tensor) in transducer.parameters() {
        println!("{name:30} {:>12} {:>7}", format!("{:?}", tensor.size()), tensor.numel());
    }
    println!("{:30} {:>12} {:>7}\n", "total", "", transducer.parameter_count());

    let graph = graph();
    let offsets: Vec<(u32, u32)> = (0..CODE.len() as u32)
        .map(|token| (token * BYTES_PER_TOKEN, (token + 1) * BYTES_PER_TOKEN))
        .collect();
    let embeddings = Tensor::randn(
        [(prompts * TOKENS) as i64, HIDDEN as i64],
        (Kind::BFloat16, Device::Cpu),
    );
    println!(
        "{prompts} prompts of {TOKENS} tokens, {} of them code; {NODES} nodes, {} edges; {} threads",
        CODE.len(),
        graph.edges().len(),
        tch::get_num_threads()
    );

    time("graph input", || drop(GraphInput::new(&graph, &offsets)));
    let input = GraphInput::new(&graph, &offsets).expect("offsets within the source");
    let inputs: Vec<PromptInput<'_>> = (0..prompts)
        .map(|prompt| {
            let at = |row| prompt * TOKENS + row;
            let rows = at(CODE.start)..at(CODE.end);
            PromptInput {
                codes: vec![CodeInput { rows, graph: &input }],
                text: vec![at(0)..at(INSTRUCTION)],
            }
        })
        .collect();
    time("batch", || drop(transducer.batch(&inputs, prompts * TOKENS)));
    let batch = transducer
        .batch(&inputs, prompts * TOKENS)
        .expect("ranges within the prompt");
    let forward = || {
        transducer
            .forward(&batch, &embeddings)
            .expect("embeddings of the batch")
    };
    time("forward", || tch::no_grad(|| drop(forward())));
    if prompts == 1 {
        let segment = [CodeSegment {
            tokens: CODE,
            offsets: &offsets,
            graph: &graph,
        }];
        time("enrich (all of the above)", || {
            tch::no_grad(|| drop(transducer.enrich(&embeddings, &segment, &[0..INSTRUCTION])));
        });
    }
    transducer.set_trainable(true);
    let parameters: Vec<Tensor> = transducer
        .parameters()
        .map(|(_, tensor)| tensor.shallow_clone())
        .collect();
    time("forward, recording", || drop(forward()));
    time("forward and backward", || {
        let loss = forward().sum(Kind::Float);
        drop(Tensor::run_backward(&[loss], &parameters, false, false));
    });
}

fn time(what: &str, mut run: impl FnMut()) {
    let mut times: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "{what:26} median {:>9.1?}  fastest {:>9.1?}",
        times[REPEATS / 2],
        times[0]
    );
}

/// A graph the size of a Java method's: a syntax tree, the order of its leaves, and flow edges.
fn graph() -> Cpg {
    let length = CODE.len() as u32 * BYTES_PER_TOKEN;
    let mut builder = CpgBuilder::new("java", length as usize).expect("a short source");
    let mut leaves = Vec::new();
    // Statements of nine expressions each below the root.
    let mut statement = 0;
    for node in 1..NODES {
        let (parent, kind, width) = match (node - 1) % 10 {
            0 => (0, NodeKind::Call, 10),
            _ => (statement, NodeKind::Identifier, 1),
        };
        let start = (node - 1) * length / NODES;
        let end = ((node - 1 + width) * length / NODES).min(length);
        let span = Span { start, end };
        let id = builder.add(
            parent,
            NodeSpec {
                kind,
                span,
                line: 1,
                order: 1,
                name: NameId::EMPTY,
            },
        );
        if parent == 0 {
            builder.edge(EdgeKind::Cfg, statement, id);
            builder.edge(EdgeKind::Cdg, 0, id);
            statement = id;
        } else {
            leaves.push(id);
        }
    }
    for pair in leaves.windows(2) {
        builder.edge(EdgeKind::NextToken, pair[0], pair[1]);
    }
    for pair in leaves.windows(20) {
        builder.edge(EdgeKind::ReachingDef, pair[0], pair[19]);
    }
    builder.finish().expect("a valid graph")
}
