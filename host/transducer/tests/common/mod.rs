//! What the tests of this crate share.

use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NameId, NodeKind, NodeSpec, Span};

/// A graph over `length` bytes: its nodes below the root in pre-order (parent, kind, first byte, one past the last), and
/// its edges other than the tree's.
pub(crate) fn graph(length: usize, nodes: &[(u32, NodeKind, u32, u32)], edges: &[(EdgeKind, u32, u32)]) -> Cpg {
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
