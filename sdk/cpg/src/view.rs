//! The graph as a petgraph value, for whoever wants an algorithm of that library.

use petgraph::graph::DiGraph;

use crate::{Cpg, Edge, EdgeKind, NodeId};

/// The edges of the given kinds as a petgraph graph. Its node indices are the node ids; an edge's weight is the [`Edge`].
///
/// ```
/// use transducer_cpg::{CpgBuilder, EdgeKind, view};
/// let cpg = CpgBuilder::new("java", 0).and_then(CpgBuilder::finish)?;
/// let cfg = view::petgraph(&cpg, &[EdgeKind::Cfg]);
/// assert_eq!((cfg.node_count(), cfg.edge_count()), (1, 0));
/// # Ok::<(), transducer_cpg::BuildError>(())
/// ```
pub fn petgraph(cpg: &Cpg, kinds: &[EdgeKind]) -> DiGraph<NodeId, Edge, NodeId> {
    let edges: usize = kinds.iter().map(|&kind| cpg.edges_of(kind).len()).sum();
    let mut graph = DiGraph::with_capacity(cpg.nodes().len(), edges);
    for node in 0..cpg.nodes().len() as NodeId {
        graph.add_node(node);
    }
    for edge in cpg.edges().iter().filter(|edge| kinds.contains(&edge.kind)) {
        graph.add_edge(edge.source.into(), edge.target.into(), *edge);
    }
    graph
}
