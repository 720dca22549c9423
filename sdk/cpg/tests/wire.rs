//! The wire form: what goes in comes out, and no bytes whatever do harm.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use transducer_cpg::wire::{self, WireError};
use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NodeKind, NodeSpec, SCHEMA_VERSION, Severity, Span};

/// Any graph that a builder can make, small.
fn graphs() -> impl Strategy<Value = Cpg> {
    let kinds = (0..NodeKind::ALL.len()).prop_map(|index| NodeKind::ALL[index]);
    let node = (
        kinds,
        any::<u16>(),
        any::<u16>(),
        any::<prop::sample::Index>(),
        "[a-zé<>.]{0,6}",
        any::<u32>(),
    );
    // AST edges come from the tree alone.
    let edge_kinds = (1..EdgeKind::ALL.len()).prop_map(|index| EdgeKind::ALL[index]);
    let edge = (
        edge_kinds,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        "[xyü]{0,2}",
    );
    let diagnostic = (0..3_u8, any::<u16>(), "\\PC{0,12}");
    let parts = (
        "[a-z#]{0,8}",
        prop::collection::vec(node, 0..40),
        prop::collection::vec(edge, 0..80),
        prop::collection::vec(diagnostic, 0..4),
    );
    parts.prop_map(|(language, nodes, edges, diagnostics)| {
        let mut builder = CpgBuilder::new(&language, usize::from(u16::MAX)).unwrap();
        let mut path = vec![0];
        for (kind, a, b, depth, name, order) in nodes {
            path.truncate(depth.index(path.len()) + 1);
            let span = Span {
                start: u32::from(a.min(b)),
                end: u32::from(a.max(b)),
            };
            let name = builder.intern(&name);
            path.push(builder.add(
                *path.last().unwrap(),
                NodeSpec {
                    kind,
                    span,
                    line: order ^ 1,
                    order,
                    name,
                },
            ));
        }
        let count = builder.nodes().len();
        for (kind, source, target, label) in edges {
            let label = builder.intern(&label);
            builder.labelled_edge(kind, source.index(count) as u32, target.index(count) as u32, label);
        }
        for (severity, at, message) in diagnostics {
            let span = Span {
                start: u32::from(at),
                end: u32::from(at),
            };
            builder.diagnostic(Severity::from_u8(severity).unwrap(), span, 1, message);
        }
        builder.finish().unwrap()
    })
}

proptest! {
    #[test]
    fn a_graph_comes_back_as_it_was(graph in graphs()) {
        let decoded = wire::decode(&wire::encode(&graph));
        prop_assert_eq!(decoded.as_ref(), Ok(&graph));
    }

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(wire::decode(&bytes).is_err());
    }
}

/// A graph with something in every section.
fn sample() -> Cpg {
    let mut builder = CpgBuilder::new("java", 20).unwrap();
    let name = builder.intern("größe");
    let mut parent = 0;
    for (kind, start) in [
        (NodeKind::Method, 0),
        (NodeKind::Block, 4),
        (NodeKind::Call, 6),
        (NodeKind::Identifier, 7),
    ] {
        let span = Span { start, end: 20 - start };
        parent = builder.add(
            parent,
            NodeSpec {
                kind,
                span,
                line: 1,
                order: 1,
                name,
            },
        );
    }
    builder.labelled_edge(EdgeKind::ReachingDef, 3, 4, name);
    builder.edge(EdgeKind::Cfg, 1, 4);
    builder.edge(EdgeKind::Argument, 3, 4);
    builder.diagnostic(Severity::Warning, Span { start: 1, end: 2 }, 1, "unclear");
    builder.diagnostic(Severity::Note, Span { start: 1, end: 1 }, 1, "");
    builder.finish().unwrap()
}

/// Whatever is decoded must be a whole graph: its encoding is the very bytes, and everything in it can be read.
fn decode_and_use(bytes: &[u8]) -> Result<(), WireError> {
    let graph = wire::decode(bytes)?;
    assert_eq!(wire::encode(&graph), bytes, "the form is canonical");
    for id in 0..graph.nodes().len() as u32 {
        let _ = (
            graph.name(id),
            graph.parent(id),
            graph.subtree_end(id),
            graph.children(id).count(),
        );
    }
    for edge in graph.edges() {
        let _ = (
            graph.label(edge),
            &graph.nodes()[edge.source as usize],
            &graph.nodes()[edge.target as usize],
        );
    }
    transducer_cpg::export::table(&graph, "some other source", EdgeKind::ALL);
    Ok(())
}

#[test]
fn every_truncation_and_every_tail_is_an_error() {
    let bytes = wire::encode(&sample());
    for length in 0..bytes.len() {
        let error = decode_and_use(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, WireError::Magic { .. } | WireError::Length { .. }),
            "{length} bytes: {error}"
        );
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(
        decode_and_use(&longer),
        Err(WireError::Length {
            bytes: longer.len(),
            expected: bytes.len() as u64
        })
    );
}

#[test]
fn mutated_bytes_give_an_error_or_a_whole_graph() {
    const MUTATIONS: usize = 20_000;
    let original = wire::encode(&sample());
    let mut random = StdRng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..MUTATIONS {
        let mut bytes = original.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..5) {
                0 => bytes[at] ^= 1 << random.random_range(0..8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, random.random()),
                _ => {
                    let word = at / 4 * 4;
                    let value = [0, 1, 5, 20, 21, 0xffff, u32::MAX - 1, u32::MAX][random.random_range(0..8)];
                    if let Some(place) = bytes.get_mut(word..word + 4) {
                        place.copy_from_slice(&value.to_le_bytes());
                    }
                }
            }
        }
        refused += usize::from(decode_and_use(&bytes).is_err());
    }
    // Most mutations hit something that is checked; those that do not (a line, an order) are graphs.
    assert!(refused > MUTATIONS / 2, "{refused} of {MUTATIONS} were refused");
    assert!(refused < MUTATIONS, "some mutations leave a whole graph");
}

#[test]
fn other_versions_are_named() {
    let with_word = |index: usize, value: u32| {
        let mut bytes = wire::encode(&sample());
        bytes[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes());
        wire::decode(&bytes).unwrap_err()
    };
    assert_eq!(with_word(0, 0), WireError::Magic { found: vec![0; 4] });
    assert_eq!(with_word(1, 9), WireError::WireVersion { found: 9 });
    assert_eq!(
        with_word(2, SCHEMA_VERSION + 1),
        WireError::SchemaVersion {
            found: SCHEMA_VERSION + 1
        }
    );
    assert_eq!(
        with_word(2, SCHEMA_VERSION + 1).to_string(),
        format!(
            "CPG schema version {}, this library reads {SCHEMA_VERSION}: build both sides from the same release",
            SCHEMA_VERSION + 1
        )
    );
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // Sections that claim 4 GB each in a buffer of 40 bytes.
    let mut bytes = wire::encode(&sample())[..40].to_vec();
    for length in bytes[16..40].chunks_exact_mut(4) {
        length.copy_from_slice(&u32::MAX.to_le_bytes());
    }
    let expected = 40 + 6 * u64::from(u32::MAX);
    assert_eq!(wire::decode(&bytes), Err(WireError::Length { bytes: 40, expected }));
}
