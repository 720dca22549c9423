//! Graphs with other edges than the code has: what an ablation is trained and evaluated with.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use transducer_bundle::Edges;
use transducer_core::GraphInput;
use transducer_cpg::EdgeKind;

/// The graph of the example `id` with the edges that an experiment asks for: the same ones each time.
pub(crate) fn with_edges(edges: Edges, id: &str, graph: &GraphInput) -> GraphInput {
    let digest = Sha256::digest(id);
    let seed = u64::from_le_bytes(digest[..8].try_into().unwrap_or_default());
    let mut random = StdRng::seed_from_u64(seed);
    let nodes = graph.nodes() as u32;
    match edges {
        Edges::Real => graph.clone(),
        Edges::Random => {
            let others = graph.edges().iter().map(|&(kind, _, _)| {
                let mut node = || random.random_range(0..nodes);
                (kind, node(), node())
            });
            graph.with_edges(others.collect())
        }
        Edges::Shuffled => {
            let mut others = Vec::new();
            for &kind in EdgeKind::ALL {
                let of_kind = || graph.edges().iter().filter(|edge| edge.0 == kind);
                let mut targets: Vec<u32> = of_kind().map(|edge| edge.2).collect();
                targets.shuffle(&mut random);
                others.extend(
                    of_kind()
                        .zip(targets)
                        .map(|(&(kind, source, _), target)| (kind, source, target)),
                );
            }
            graph.with_edges(others)
        }
    }
}

#[cfg(test)]
mod tests {
    use transducer_bundle::Edges;
    use transducer_core::GraphInput;
    use transducer_cpg::{CpgBuilder, EdgeKind, NameId, NodeKind, NodeSpec, Span};

    use super::with_edges;

    fn graph() -> GraphInput {
        let mut builder = CpgBuilder::new("java", 40).expect("a language");
        for node in 1..40 {
            let spec = NodeSpec {
                kind: NodeKind::Identifier,
                span: Span {
                    start: node - 1,
                    end: node,
                },
                line: 1,
                order: node,
                name: NameId::EMPTY,
            };
            // Chains of three below the root.
            builder.add(if node % 3 == 1 { 0 } else { node - 1 }, spec);
        }
        GraphInput::new(&builder.finish().expect("a tree"), &[(0, 1), (1, 2)]).expect("tokens inside")
    }

    fn degrees(graph: &GraphInput, end: impl Fn(&(EdgeKind, u32, u32)) -> u32) -> Vec<u32> {
        let mut ends: Vec<u32> = graph.edges().iter().map(end).collect();
        ends.sort_unstable();
        ends
    }

    #[test]
    fn shuffled_edges_keep_every_degree_and_random_ones_the_count() {
        let real = graph();
        let shuffled = with_edges(Edges::Shuffled, "a", &real);
        assert_ne!(shuffled.edges(), real.edges());
        assert_eq!(degrees(&shuffled, |edge| edge.1), degrees(&real, |edge| edge.1));
        assert_eq!(degrees(&shuffled, |edge| edge.2), degrees(&real, |edge| edge.2));
        let random = with_edges(Edges::Random, "a", &real);
        assert_ne!(degrees(&random, |edge| edge.2), degrees(&real, |edge| edge.2));
        assert_eq!(random.edges().len(), real.edges().len());
        assert_eq!(random, with_edges(Edges::Random, "a", &real));
        assert_ne!(random, with_edges(Edges::Random, "b", &real));
        assert_eq!(with_edges(Edges::Real, "a", &real), real);
    }
}
