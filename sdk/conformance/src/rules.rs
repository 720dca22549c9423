//! What holds of every graph.

use transducer_frontend::cpg::{Cpg, EdgeKind, NodeKind};

/// Checks that flow stays in its method, from its one entry to its one exit, that whatever is evaluated has a place that it
/// leads to at last, that dependences name their variable, and that tokens are in order.
///
/// # Panics
/// Where one of them does not hold.
pub fn check_flow(graph: &Cpg, source: &str) {
    let owner = |mut node: u32| {
        while graph.nodes()[node as usize].kind != NodeKind::Method {
            node = graph
                .parent(node)
                .unwrap_or_else(|| panic!("flow outside of any method\n{source}"));
        }
        node
    };
    for edge in graph.edges_of(EdgeKind::Cfg) {
        assert_eq!(
            owner(edge.source),
            owner(edge.target),
            "flow from one method to another\n{source}"
        );
        let (from, to) = (
            &graph.nodes()[edge.source as usize],
            &graph.nodes()[edge.target as usize],
        );
        assert_ne!(to.kind, NodeKind::Method, "flow into an entry\n{source}");
        assert_ne!(from.kind, NodeKind::MethodReturn, "flow out of an exit\n{source}");
    }
    for edge in graph.edges_of(EdgeKind::ReachingDef) {
        assert!(
            !graph.label(edge).is_empty(),
            "a dependence names its variable\n{source}"
        );
    }
    for edge in graph.edges_of(EdgeKind::NextToken) {
        let start = |node: u32| graph.nodes()[node as usize].span.start;
        assert!(start(edge.source) <= start(edge.target), "tokens in order\n{source}");
    }
    let mut has_post_dominator = vec![false; graph.nodes().len()];
    for edge in graph.edges_of(EdgeKind::PostDominate) {
        has_post_dominator[edge.target as usize] = true;
    }
    for edge in graph.edges_of(EdgeKind::Cfg) {
        assert!(
            has_post_dominator[edge.source as usize],
            "node {} has no post-dominator\n{source}",
            edge.source
        );
    }
}
