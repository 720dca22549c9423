//! CFG, DOMINATE, POST_DOMINATE, CDG and REACHING_DEF, a method at a time.

use super::data_flow::DataFlow;
use super::references::References;
use super::shape::Shape;
use super::{Budget, control_flow};
use crate::analysis::{self, Graph, TooLarge};
use crate::{CpgBuilder, EdgeKind, NodeId, NodeKind};

/// Why edges are left out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("the time limit was reached in line {line}")]
    Late { line: u32 },
    #[error("the method in line {line} has {error}")]
    TooLarge { line: u32, error: TooLarge },
}

/// Adds the edges of every method. The analyses number its nodes `0..n`, in order of evaluation.
pub(super) fn run(
    cpg: &mut CpgBuilder,
    shape: &Shape,
    references: &References,
    budget: &Budget,
) -> Result<(), Stopped> {
    if cpg.interned("ASSERT").is_some() {
        // What a failed one throws has no name in the source.
        cpg.intern(control_flow::ASSERTION_ERROR);
    }
    let is_method = |id: &NodeId| cpg.nodes()[*id as usize].kind == NodeKind::Method;
    let methods: Vec<NodeId> = (0..cpg.nodes().len() as NodeId).filter(is_method).collect();
    let mut data_flow = DataFlow::new(cpg, shape, references);
    let mut numbers = vec![0_u32; cpg.nodes().len()];
    let mut late = Ok(());
    for method in methods {
        let line = cpg.nodes()[method as usize].line;
        if budget.is_late() {
            return Err(Stopped::Late { line });
        }
        let too_large = |error| Stopped::TooLarge { line, error };
        let flow = control_flow::of_method(cpg, shape, method);
        for (&member, number) in flow.members.iter().zip(0..) {
            numbers[member as usize] = number;
        }
        let mut edges: Vec<(u32, u32)> = flow
            .edges
            .iter()
            .map(|&(source, target)| (numbers[source as usize], numbers[target as usize]))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let left = budget.max_edges.saturating_sub(cpg.edge_count());
        // Control flow and the two trees of it have about as many edges each.
        if edges.len() * 3 > left {
            return Err(too_large(TooLarge {
                what: "edges left",
                limit: left,
            }));
        }
        let members = &flow.members;
        let node = |number: u32| members[number as usize];
        add(
            cpg,
            EdgeKind::Cfg,
            edges.iter().map(|&(source, target)| (node(source), node(target))),
        );

        let graph = Graph::new(members.len(), &edges);
        let numbered = 0..members.len() as u32;
        let dominators = analysis::dominators(&graph, 0);
        let parent = |number| dominators.immediate(number).map(|parent| (node(parent), node(number)));
        add(cpg, EdgeKind::Dominate, numbered.clone().filter_map(parent));
        let last = members.len() as u32 - 1;
        if cpg.nodes()[node(last) as usize].kind == NodeKind::MethodReturn {
            let (post_dominators, _) = analysis::post_dominators(members.len(), &edges, last);
            let parent = |number| {
                post_dominators
                    .immediate(number)
                    .map(|parent| (node(parent), node(number)))
            };
            add(cpg, EdgeKind::PostDominate, numbered.filter_map(parent));
            let left = budget.max_edges.saturating_sub(cpg.edge_count());
            match analysis::control_dependence(&graph, &post_dominators, left) {
                Ok(pairs) => add(cpg, EdgeKind::Cdg, pairs.into_iter().map(|(a, b)| (node(a), node(b)))),
                Err(error) => late = Err(too_large(error)),
            }
        }
        let left = budget.max_edges.saturating_sub(cpg.edge_count());
        match data_flow.of_method(cpg, members, &flow.declared, &graph, left) {
            Ok(found) => {
                let labels: Vec<_> = found.labels.iter().map(|label| cpg.intern(label)).collect();
                for (definition, used, variable) in found.edges {
                    cpg.labelled_edge(EdgeKind::ReachingDef, definition, used, labels[variable as usize]);
                }
            }
            Err(error) => late = Err(too_large(error)),
        }
    }
    late
}

fn add(cpg: &mut CpgBuilder, kind: EdgeKind, edges: impl Iterator<Item = (NodeId, NodeId)>) {
    for (source, target) in edges {
        cpg.edge(kind, source, target);
    }
}
