//! The node that each token belongs to.

mod common;

use common::{NodeRow, Sample, graph};
use transducer_core::{GraphInput, MAX_NODES};
use transducer_cpg::{EdgeKind, NodeKind, NodeKind::Block, NodeKind::Call, NodeKind::Identifier};

/// Checks the node of each token of a source of 20 bytes.
fn check(nodes: &[NodeRow], expected: &[((u32, u32), u32)]) {
    let (offsets, nodes_of): (Vec<_>, Vec<_>) = expected.iter().copied().unzip();
    let input = GraphInput::new(&graph(20, nodes, &[]), &offsets).unwrap();
    assert_eq!(input.leaves(), nodes_of);
}

#[test]
fn a_token_belongs_to_the_smallest_node_over_its_middle() {
    // `foo ( bar )` as a call with two identifiers.
    let nodes = [(0, Call, 2, 13), (1, Identifier, 2, 5), (1, Identifier, 8, 11)];
    check(
        &nodes,
        &[((2, 5), 2), ((5, 7), 1), ((7, 11), 3), ((11, 13), 1), ((13, 20), 0)],
    );
    // Tokens may come in any order, and cover nothing.
    check(
        &nodes,
        &[((8, 11), 3), ((2, 5), 2), ((3, 3), 2), ((20, 20), 0), ((0, 2), 0)],
    );
}

#[test]
fn of_equal_spans_it_is_the_deepest() {
    let nodes = [
        (0, Block, 0, 20),
        (1, Block, 4, 9),
        (2, Call, 4, 9),
        (3, Identifier, 4, 9),
        (1, Block, 9, 20),
    ];
    check(&nodes, &[((0, 2), 1), ((4, 9), 4), ((9, 10), 5)]);
}

#[test]
fn it_is_what_looking_at_every_node_finds() {
    for seed in 0..50 {
        let sample = Sample::random(seed, 200, 120, 0);
        let cpg = sample.graph();
        let depth = |mut node| {
            let mut depth = 0;
            while let Some(parent) = cpg.parent(node) {
                (node, depth) = (parent, depth + 1);
            }
            depth
        };
        let expected = sample.offsets.iter().map(|&(start, end)| {
            let middle = (start + end) / 2;
            let covers = |node: &u32| {
                let span = cpg.nodes()[*node as usize].span;
                (span.start..span.end).contains(&middle)
            };
            let size = |node: u32| cpg.nodes()[node as usize].span.end - cpg.nodes()[node as usize].span.start;
            let nodes = (0..cpg.nodes().len() as u32).filter(covers);
            nodes
                .min_by_key(|&node| (size(node), std::cmp::Reverse(depth(node))))
                .unwrap()
        });
        let expected: Vec<u32> = expected.collect();
        assert_eq!(sample.input().leaves(), expected, "seed {seed}");
    }
}

#[test]
fn a_token_outside_the_source_is_refused() {
    let cpg = graph(20, &[], &[]);
    let refusal = |offset| GraphInput::new(&cpg, &[(0, 1), offset]).unwrap_err().to_string();
    assert_eq!(
        refusal((18, 21)),
        "code token 1 covers bytes 18..21, but the graph's source has 20 bytes"
    );
    assert_eq!(
        refusal((5, 4)),
        "code token 1 covers bytes 5..4, but the graph's source has 20 bytes"
    );
}

#[test]
fn of_a_huge_graph_the_deepest_nodes_are_left_out() {
    // Statements below the root, an identifier below each: all identifiers but some are one too many.
    let statements = MAX_NODES as u32 - 100;
    let nodes: Vec<NodeRow> = (0..statements)
        .flat_map(|at| {
            [
                (0, NodeKind::Block, 2 * at, 2 * at + 2),
                (2 * at + 1, Identifier, 2 * at, 2 * at + 2),
            ]
        })
        .collect();
    let length = 2 * statements;
    let edges = [(EdgeKind::Cfg, 1, 3), (EdgeKind::Cfg, 2, 2 * statements)];
    let cpg = graph(length as usize, &nodes, &edges);
    let offsets: Vec<(u32, u32)> = (0..statements).map(|at| (2 * at, 2 * at + 2)).collect();
    let input = GraphInput::new(&cpg, &offsets).unwrap();
    assert_eq!(input.nodes(), MAX_NODES);
    assert_eq!(input.dropped_nodes(), cpg.nodes().len() - MAX_NODES);
    // 99 identifiers are kept, those of the first statements; they are the third, fifth, … node.
    assert_eq!(input.leaves()[..3], [2, 4, 6]);
    assert_eq!(input.leaves()[98..101], [198, 199, 200]);
    let cfg: Vec<_> = input.edges().iter().filter(|edge| edge.0 == EdgeKind::Cfg).collect();
    assert_eq!(cfg, [&(EdgeKind::Cfg, 1, 3)], "edges of nodes left out are left out");
}
