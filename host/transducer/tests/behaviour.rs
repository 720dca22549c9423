//! What the transducer does to embeddings: which rows it changes, and what they depend on.

mod common;

use common::{INSTRUCTION, Sample, config, enrich, largest, prompt, random_tensor, trained};
use std::ops::Range;
use tch::{Device, Kind, Tensor};
use transducer_core::{
    CodeInput, CodeSegment, GraphInput, Parts, Pooling, PromptInput, Transducer, TransducerConfig, TransducerError,
};
use transducer_cpg::{EdgeKind, NodeKind};

/// A difference that is no rounding.
const NOTICEABLE: f64 = 1e-3;
/// A difference that is only rounding.
const ROUNDING: f64 = 1e-6;

const POOLINGS: [Pooling; 2] = [Pooling::Attention, Pooling::Max];

fn sample() -> Sample {
    Sample::random(11, 60, 30, 40)
}

fn rows(tensor: &Tensor, range: &Range<usize>) -> Tensor {
    tensor.narrow(0, range.start as i64, range.len() as i64)
}

/// The code rows of a prompt of one graph.
fn code_rows(graph: &GraphInput) -> Range<usize> {
    prompt(0, std::slice::from_ref(graph)).0.codes[0].rows.clone()
}

fn bits(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

#[test]
fn untrained_returns_the_embeddings_bit_for_bit() {
    let shapes = [Parts::Full, Parts::NoFusion, Parts::NoGraph].map(|parts| TransducerConfig { parts, ..config() });
    let max = TransducerConfig {
        pooling: Pooling::Max,
        ..config()
    };
    for config in shapes.into_iter().chain([max]) {
        let transducer = Transducer::new(config.clone(), Device::Cpu, 3).unwrap();
        let graphs = [sample().input(), Sample::random(12, 9, 2, 0).input()];
        let (input, rows) = prompt(0, &graphs);
        let batch = transducer.batch(&[input], rows).unwrap();
        for kind in [Kind::BFloat16, Kind::Half, Kind::Float] {
            let embeddings = (random_tensor(1, &[rows as i64, 24]) * 1e-2).to_kind(kind);
            let enriched = transducer.forward(&batch, &embeddings).unwrap();
            assert_eq!(enriched.kind(), kind);
            assert_eq!(bits(&enriched), bits(&embeddings), "{config:?} {kind:?}");
        }
    }
}

#[test]
fn code_and_task_tokens_change_and_nothing_else() {
    let transducer = trained(config(), 1);
    let graph = sample().input();
    let (enriched, embeddings) = enrich(&transducer, std::slice::from_ref(&graph), 2);
    let changed = (&enriched - &embeddings).abs().amax([1_i64].as_slice(), false);
    // The text that `prompt` lays out begins with the prompt.
    let first = 0..transducer.config().task_tokens;
    let last = INSTRUCTION - transducer.config().reply_tokens..INSTRUCTION;
    let code_rows = code_rows(&graph);
    for row in 0..embeddings.size()[0] as usize {
        let expected = [&first, &last, &code_rows].iter().any(|rows| rows.contains(&row));
        assert_eq!(changed.double_value(&[row as i64]) > NOTICEABLE, expected, "row {row}");
        assert!(expected || changed.double_value(&[row as i64]) == 0.0, "row {row}");
    }
}

#[test]
fn task_tokens_are_counted_from_both_ends_of_the_text() {
    let transducer = trained(config(), 1);
    // One embedding in every row, so that a row tells which vector was added to it.
    let embeddings = random_tensor(2, &[1, 24]).repeat([12, 1]);
    let enriched = |text: &[Range<usize>]| {
        let input = PromptInput {
            codes: vec![],
            text: text.to_vec(),
        };
        transducer
            .forward(&transducer.batch(&[input], 12).unwrap(), &embeddings)
            .unwrap()
    };
    let whole = enriched(&[0..12]);
    assert_eq!(rows(&whole, &(3..10)), rows(&embeddings, &(3..10)));
    let in_runs = enriched(&[1..3, 5..6, 8..12]);
    assert_eq!(rows(&in_runs, &(1..3)), rows(&whole, &(0..2)));
    assert_eq!(rows(&in_runs, &(5..6)), rows(&whole, &(2..3)));
    assert_eq!(rows(&in_runs, &(10..12)), rows(&whole, &(10..12)));
    assert_eq!(rows(&in_runs, &(8..10)), rows(&embeddings, &(8..10)));
    // A text of four tokens: three from the start, and the last from the end.
    let short = enriched(&[0..4]);
    assert_eq!(rows(&short, &(0..3)), rows(&whole, &(0..3)));
    assert_eq!(rows(&short, &(3..4)), rows(&whole, &(11..12)));
    assert_eq!(enriched(&[1..1]), embeddings);
}

#[test]
fn graphs_tell_code_and_instruction_apart() {
    // The published computation gives the same vector at every position, whatever the graph.
    let transducer = trained(config(), 1);
    let one = sample();
    let other = Sample {
        offsets: one.offsets.clone(),
        ..Sample::random(13, 60, 30, 40)
    };
    let (first, embeddings) = enrich(&transducer, &[one.input()], 2);
    let (second, same) = enrich(&transducer, &[other.input()], 2);
    assert_eq!(embeddings, same);
    assert!(largest(rows(&(&first - &second), &(0..3))) > NOTICEABLE);
    let code = code_rows(&one.input());
    assert!(largest(rows(&(&first - &second), &code)) > NOTICEABLE);
    let steps = rows(&(first - embeddings), &code);
    let spread = steps.std_dim([0_i64].as_slice(), true, false);
    assert!(
        spread.min().double_value(&[]) > NOTICEABLE,
        "positions differ in every component"
    );
}

/// Checks that a change to the graph changes the code's embeddings and the instruction's, or that it changes nothing.
fn check_change(what: &str, noticed: bool, change: impl FnOnce(&mut Sample)) {
    let transducer = trained(config(), 1);
    let before = sample();
    let mut after = before.clone();
    change(&mut after);
    let (before, after) = (before.input(), after.input());
    let difference = enrich(&transducer, std::slice::from_ref(&before), 2).0 - enrich(&transducer, &[after], 2).0;
    for range in [0..transducer.config().task_tokens, code_rows(&before)] {
        let difference = largest(rows(&difference, &range));
        match noticed {
            true => assert!(difference > 1e-4, "{what} changes rows {range:?} by {difference:e}"),
            false => assert_eq!(difference, 0.0, "{what} changes rows {range:?}"),
        }
    }
}

#[test]
fn what_the_graph_says_matters() {
    let read = |sample: &Sample| {
        sample
            .edges
            .iter()
            .position(|edge| edge.0 == EdgeKind::Cfg && edge.1 != edge.2)
            .unwrap()
    };
    check_change("an edge less", true, |sample| {
        sample.edges.remove(read(sample));
    });
    check_change("an edge more", true, |sample| {
        sample.edges.push((EdgeKind::ReachingDef, 3, 20));
    });
    check_change("the kind of an edge", true, |sample| {
        let edge = read(sample);
        sample.edges[edge].0 = EdgeKind::Cdg;
    });
    check_change("the direction of an edge", true, |sample| {
        let edge = read(sample);
        let (kind, source, target) = sample.edges[edge];
        sample.edges[edge] = (kind, target, source);
    });
    check_change("the kind of a node", true, |sample| {
        sample.nodes[4].1 = match sample.nodes[4].1 {
            NodeKind::Call => NodeKind::Literal,
            _ => NodeKind::Call,
        };
    });
    check_change("an edge of a kind that is not read", false, |sample| {
        sample.edges.push((EdgeKind::PostDominate, 3, 20));
    });
}

#[test]
fn the_text_of_a_node_matters_to_other_tokens() {
    let transducer = trained(config(), 1);
    let graph = sample().input();
    let (input, count) = prompt(0, std::slice::from_ref(&graph));
    let code = input.codes[0].rows.clone();
    let batch = transducer.batch(&[input], count).unwrap();
    let embeddings = random_tensor(2, &[count as i64, 24]);
    // Another word at the first code token.
    let other = embeddings.copy();
    other.get(code.start as i64).copy_(&random_tensor(3, &[24]));
    let difference = transducer.forward(&batch, &embeddings).unwrap() - transducer.forward(&batch, &other).unwrap();
    assert!(largest(rows(&difference, &(code.start + 1..code.end))) > 1e-4);
    assert!(largest(rows(&difference, &(0..3))) > 1e-4);
}

#[test]
fn the_order_of_nodes_does_not_matter() {
    let sample = sample();
    // The same tree with the children of every node in reverse: the furthest from the order it had.
    let mut nodes = Vec::new();
    let mut new_places = vec![0; sample.nodes.len() + 1];
    let mut stack = vec![0_usize];
    while let Some(old) = stack.pop() {
        if let Some(&(parent, kind, start, end)) = old.checked_sub(1).map(|row| &sample.nodes[row]) {
            nodes.push((new_places[parent as usize], kind, start, end));
            new_places[old] = nodes.len() as u32;
        }
        stack.extend((1..=sample.nodes.len()).filter(|&child| sample.nodes[child - 1].0 as usize == old));
    }
    let place = |old: u32| new_places[old as usize];
    assert!((0..nodes.len() as u32).filter(|&node| place(node) != node).count() > nodes.len() / 2);
    let edges = sample
        .edges
        .iter()
        .map(|&(kind, source, target)| (kind, place(source), place(target)));
    let permuted = Sample {
        edges: edges.collect(),
        nodes,
        ..sample.clone()
    };
    for pooling in POOLINGS {
        let transducer = trained(TransducerConfig { pooling, ..config() }, 1);
        let difference = enrich(&transducer, &[sample.input()], 2).0 - enrich(&transducer, &[permuted.input()], 2).0;
        let difference = largest(difference);
        assert!(difference < ROUNDING, "{pooling:?}: {difference:e}");
    }
}

#[test]
fn a_batch_is_each_prompt_alone() {
    for pooling in POOLINGS {
        batch_is_each_alone(TransducerConfig { pooling, ..config() }, 80, ROUNDING);
    }
}

/// Together these are too many numbers to be read at once, those of each prompt are not. (Sums of 8,192 numbers round more.)
#[test]
fn a_batch_that_is_read_in_pieces_is_each_prompt_alone() {
    let config = TransducerConfig {
        hidden: 8192,
        ..config()
    };
    batch_is_each_alone(config, 150, 4.0 * ROUNDING);
}

fn batch_is_each_alone(config: TransducerConfig, length: u32, rounding: f64) {
    let transducer = trained(config, 1);
    let graphs: Vec<GraphInput> = [
        (21, length, 50, 90),
        (22, 10, 0, 0),
        (23, length / 2, 12, 0),
        (24, 0, 3, 4),
    ]
    .map(|(seed, length, nodes, edges)| Sample::random(seed, length, nodes, edges).input())
    .into();
    let (mut inputs, mut alone, mut embeddings, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (seed, graphs) in [&graphs[..1], &graphs[1..2], &[], &graphs[2..]].into_iter().enumerate() {
        let (enriched, own) = enrich(&transducer, graphs, seed as u64);
        let (input, rows) = prompt(first, graphs);
        inputs.push(input);
        first += rows;
        alone.push(enriched);
        embeddings.push(own);
    }
    let batch = transducer.batch(&inputs, first).unwrap();
    let together = transducer.forward(&batch, &Tensor::cat(&embeddings, 0)).unwrap();
    let difference = largest(together - Tensor::cat(&alone, 0));
    assert!(difference < rounding, "{difference:e}");
}

#[test]
fn a_token_attends_to_the_nodes_of_its_own_graph() {
    let transducer = trained(config(), 1);
    let first = sample().input();
    let second = Sample::random(14, 30, 12, 10);
    let other = Sample {
        offsets: second.offsets.clone(),
        ..Sample::random(15, 30, 20, 10)
    };
    let graphs = [first, second.input()];
    let rows_of = |place: usize| prompt(0, &graphs).0.codes[place].rows.clone();
    let before = enrich(&transducer, &graphs, 2).0;
    let after = enrich(&transducer, &[graphs[0].clone(), other.input()], 2).0;
    let difference = before - after;
    assert!(largest(rows(&difference, &rows_of(0))) < ROUNDING);
    assert!(largest(rows(&difference, &rows_of(1))) > NOTICEABLE);
    assert!(
        largest(rows(&difference, &(0..3))) > 1e-4,
        "the instruction hears of all graphs of its prompt"
    );
}

#[test]
fn parts_can_be_left_out() {
    let one = sample();
    let other = Sample {
        offsets: one.offsets.clone(),
        ..Sample::random(13, 60, 30, 40)
    };
    let (one, other) = (one.input(), other.input());
    for parts in [Parts::NoFusion, Parts::NoGraph] {
        let transducer = trained(TransducerConfig { parts, ..config() }, 1);
        let (enriched, embeddings) = enrich(&transducer, std::slice::from_ref(&one), 2);
        let code = code_rows(&one);
        assert_eq!(
            rows(&enriched, &code),
            rows(&embeddings, &code),
            "{parts:?} leaves code alone"
        );
        assert!(
            largest(rows(&(&enriched - embeddings), &(0..3))) > NOTICEABLE,
            "{parts:?}"
        );
        let difference = largest(enriched - enrich(&transducer, std::slice::from_ref(&other), 2).0);
        assert_eq!(difference > NOTICEABLE, parts.graph(), "{parts:?}");
    }
    let no_edges = TransducerConfig {
        layers: 0,
        edge_kinds: vec![],
        ..config()
    };
    let transducer = trained(no_edges, 1);
    let without = one.with_edges(vec![]);
    let difference = enrich(&transducer, &[one], 2).0 - enrich(&transducer, &[without], 2).0;
    assert_eq!(largest(difference), 0.0);
}

#[test]
fn steps_are_as_large_as_the_token() {
    let transducer = trained(config(), 1);
    let graph = sample().input();
    let (input, count) = prompt(0, std::slice::from_ref(&graph));
    let batch = transducer.batch(&[input], count).unwrap();
    let embeddings = random_tensor(2, &[count as i64, 24]);
    let large = transducer.forward(&batch, &(&embeddings * 100.0)).unwrap();
    let difference = largest(large / 100.0 - transducer.forward(&batch, &embeddings).unwrap());
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn embeddings_keep_their_own_precision() {
    let transducer = trained(config(), 1);
    let graph = sample();
    let embeddings = random_tensor(2, &[40, 24]).to_kind(Kind::BFloat16);
    let cpg = graph.graph();
    let tokens = INSTRUCTION..INSTRUCTION + graph.offsets.len();
    let segments = [CodeSegment {
        tokens,
        offsets: &graph.offsets,
        graph: &cpg,
    }];
    let enriched = transducer.enrich(&embeddings, &segments, &[0..INSTRUCTION]).unwrap();
    assert_eq!(enriched.kind(), Kind::BFloat16);
    let exact = transducer
        .enrich(&embeddings.to_kind(Kind::Float), &segments, &[0..INSTRUCTION])
        .unwrap();
    // The step is rounded to 8 bits, and their sum once more.
    let allowed = (exact.abs() + 1.0) * 2.0_f64.powi(-7);
    assert!(largest((enriched.to_kind(Kind::Float) - exact) / allowed) < 1.0);
}

/// The error that a prompt leads to, as a user reads it.
fn refusal(embeddings: &Tensor, codes: &[(Range<usize>, &GraphInput)], text: Range<usize>) -> String {
    let transducer = trained(config(), 1);
    let codes = codes
        .iter()
        .map(|(rows, graph)| CodeInput {
            rows: rows.clone(),
            graph,
        })
        .collect();
    let rows = embeddings.size()[0] as usize;
    let batch = transducer.batch(
        &[PromptInput {
            codes,
            text: vec![text],
        }],
        rows,
    );
    batch
        .and_then(|batch| transducer.forward(&batch, embeddings))
        .unwrap_err()
        .to_string()
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = Sample {
        offsets: vec![(0, 3), (3, 6)],
        ..sample()
    }
    .input();
    let embeddings = random_tensor(2, &[10, 24]);
    let one = |rows| [(rows, &graph)];
    assert_eq!(
        refusal(&embeddings, &one(9..11), 0..1),
        "code segment at tokens 9..11 does not lie within the 10 given"
    );
    assert_eq!(
        refusal(&embeddings, &[], 0..11),
        "text at tokens 0..11 does not lie within the 10 given"
    );
    assert_eq!(
        refusal(&embeddings, &one(3..6), 0..1),
        "code segment at tokens 3..6 has 2 token offsets, expected 3"
    );
    assert_eq!(
        refusal(&embeddings, &[(4..6, &graph), (3..5, &graph)], 0..1),
        "code segments at tokens 3..5 and 4..6 overlap"
    );
    assert_eq!(
        refusal(&random_tensor(2, &[10, 23]), &[], 0..1),
        "embeddings of shape [10, 23] (Float, Cpu), expected [10, 24] of floating-point numbers on Cpu"
    );
    assert_eq!(
        refusal(&embeddings.to_kind(Kind::Int64), &[], 0..1),
        "embeddings of shape [10, 24] (Int64, Cpu), expected [10, 24] of floating-point numbers on Cpu"
    );
    let other = trained(
        TransducerConfig {
            task_tokens: 2,
            ..config()
        },
        1,
    );
    let batch = other
        .batch(
            &[PromptInput {
                codes: vec![],
                text: vec![0..1],
            }],
            10,
        )
        .unwrap();
    let error = trained(config(), 1).forward(&batch, &embeddings).unwrap_err();
    assert!(matches!(error, TransducerError::OtherConfig));
}
