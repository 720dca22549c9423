//! The analyses against definitions written down naively, on small random graphs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use transducer_cpg::analysis::{
    Access, AccessKind, Graph, Rows, control_dependence, dominators, post_dominators, reaching_definitions,
};

const NODES: u32 = 9;

fn edges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::btree_set((0..NODES, 0..NODES), 0..20).prop_map(|edges| edges.into_iter().collect())
}

/// What `from` reaches without passing `avoided`.
fn reachable(edges: &[(u32, u32)], from: u32, avoided: Option<u32>) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut stack: Vec<u32> = Some(from).filter(|&from| Some(from) != avoided).into_iter().collect();
    while let Some(node) = stack.pop() {
        if seen.insert(node) {
            stack.extend(
                edges
                    .iter()
                    .filter(|edge| edge.0 == node && Some(edge.1) != avoided)
                    .map(|edge| edge.1),
            );
        }
    }
    seen
}

/// Strict dominators by the definition: `a` dominates `b` when `b` cannot be reached around `a`.
fn strict_dominators(edges: &[(u32, u32)], root: u32, node: u32) -> BTreeSet<u32> {
    let around = |a: &u32| *a != node && !reachable(edges, root, Some(*a)).contains(&node);
    (0..NODES).filter(around).collect()
}

fn check_tree(edges: &[(u32, u32)], root: u32, immediate: impl Fn(u32) -> Option<u32>) -> Result<(), TestCaseError> {
    let reached = reachable(edges, root, None);
    for node in 0..NODES {
        if node == root || !reached.contains(&node) {
            prop_assert_eq!(immediate(node), None);
            continue;
        }
        // The immediate dominator is the strict one that all the others dominate.
        let strict = strict_dominators(edges, root, node);
        let parent = immediate(node);
        prop_assert!(
            parent.is_some_and(|parent| strict.contains(&parent)),
            "{}: {:?} of {:?}",
            node,
            parent,
            strict
        );
        let mut chain = BTreeSet::new();
        let mut next = parent;
        while let Some(above) = next {
            chain.insert(above);
            next = immediate(above);
        }
        prop_assert_eq!(chain, strict, "dominators of {}", node);
    }
    Ok(())
}

fn reversed(edges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    edges.iter().map(|&(source, target)| (target, source)).collect()
}

/// Reaching definitions by walking: from a definition along every path until the variable is defined again.
fn naive_reaching(edges: &[(u32, u32)], accesses: &[Access], killed_by: &[Vec<u32>]) -> BTreeSet<(u32, u32)> {
    let ends = |access: &Access, variable: u32| {
        let kills = access.variable == variable || killed_by[access.variable as usize].contains(&variable);
        access.kind == AccessKind::Define && kills
    };
    let mut pairs = BTreeSet::new();
    for (definition, id) in accesses
        .iter()
        .zip(0..)
        .filter(|(access, _)| access.kind != AccessKind::Use)
    {
        // Whether the definition is alive behind the accesses of `at` from the one with index `from` on.
        let mut scan = |at: u32, from: usize| {
            for (access, other) in accesses
                .iter()
                .zip(0_u32..)
                .skip(from)
                .filter(|(access, _)| access.at == at)
            {
                if access.kind == AccessKind::Use && access.variable == definition.variable {
                    pairs.insert((id, other));
                }
                if ends(access, definition.variable) {
                    return false;
                }
            }
            true
        };
        let mut seen = BTreeSet::new();
        let mut stack = Vec::new();
        let successors = |node: u32| edges.iter().filter(move |edge| edge.0 == node).map(|edge| edge.1);
        if scan(definition.at, id as usize + 1) {
            stack.extend(successors(definition.at));
        }
        while let Some(node) = stack.pop() {
            if seen.insert(node) && scan(node, 0) {
                stack.extend(successors(node));
            }
        }
    }
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn dominators_are_those_of_the_definition(edges in edges()) {
        let tree = dominators(&Graph::new(NODES as usize, &edges), 0);
        check_tree(&edges, 0, |node| tree.immediate(node))?;
    }

    #[test]
    fn every_node_has_a_post_dominator(edges in edges()) {
        let exit = NODES - 1;
        let (tree, virtual_exits) = post_dominators(NODES as usize, &edges, exit);
        let mut completed = edges.clone();
        completed.extend(virtual_exits.iter().map(|&node| (node, exit)));
        check_tree(&reversed(&completed), exit, |node| tree.immediate(node))?;
        for node in 0..exit {
            prop_assert!(tree.immediate(node).is_some());
        }
        // Only where it is needed.
        for &node in &virtual_exits {
            prop_assert!(!reachable(&edges, node, None).contains(&exit));
        }
    }

    #[test]
    fn control_dependence_is_that_of_the_definition(edges in edges()) {
        let exit = NODES - 1;
        let (tree, virtual_exits) = post_dominators(NODES as usize, &edges, exit);
        let found: BTreeSet<_> = control_dependence(&Graph::new(NODES as usize, &edges), &tree, usize::MAX).unwrap().into_iter().collect();
        let mut completed = edges.clone();
        completed.extend(virtual_exits.iter().map(|&node| (node, exit)));
        let back = reversed(&completed);
        let post_dominates = |a: u32, b: u32| a == b || strict_dominators(&back, exit, b).contains(&a);
        let mut expected = BTreeSet::new();
        for decider in 0..NODES {
            let branches: Vec<u32> = edges.iter().filter(|edge| edge.0 == decider).map(|edge| edge.1).collect();
            if branches.len() < 2 {
                continue;
            }
            for decided in 0..exit {
                let some = branches.iter().any(|&branch| post_dominates(decided, branch));
                let always = decided != decider && post_dominates(decided, decider);
                if some && !always {
                    expected.insert((decider, decided));
                }
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn definitions_reach_as_walking_says(
        edges in edges(),
        accesses in prop::collection::vec((0..NODES, 0..4_u32, 0..3_usize), 0..25),
        kills in prop::collection::btree_set((0..4_u32, 0..4_u32), 0..4),
    ) {
        let kinds = [AccessKind::Use, AccessKind::Define, AccessKind::Update];
        let mut accesses: Vec<Access> = accesses.into_iter().map(|(at, variable, kind)| Access { at, variable, kind: kinds[kind] }).collect();
        accesses.sort_by_key(|access| access.at);
        let mut killed_by = vec![Vec::new(); 4];
        for &(killer, killed) in &kills {
            killed_by[killer as usize].push(killed);
        }
        let rows = Rows::new(4, kills.iter().copied());
        let found = reaching_definitions(&Graph::new(NODES as usize, &edges), &accesses, &rows, usize::MAX).unwrap();
        let unique: BTreeSet<_> = found.iter().copied().collect();
        prop_assert_eq!(unique.len(), found.len());
        prop_assert_eq!(unique, naive_reaching(&edges, &accesses, &killed_by));
    }
}

#[test]
fn many_definitions_take_several_sweeps_and_the_same_answer() {
    // A straight line: each of 300 variables is defined 40 times and used after each definition.
    let (variables, rounds) = (300_u32, 40_u32);
    let nodes = variables * rounds;
    let edges: Vec<(u32, u32)> = (1..nodes).map(|node| (node - 1, node)).collect();
    let access = |at: u32, kind| Access {
        at,
        variable: at % variables,
        kind,
    };
    let accesses: Vec<Access> = (0..nodes)
        .flat_map(|at| [access(at, AccessKind::Use), access(at, AccessKind::Define)])
        .collect();
    let rows = Rows::new(variables as usize, std::iter::empty());
    let graph = Graph::new(nodes as usize, &edges);
    let found: BTreeSet<_> = reaching_definitions(&graph, &accesses, &rows, usize::MAX)
        .unwrap()
        .into_iter()
        .collect();
    // Each use but the first of its variable sees the definition one round before.
    let expected: BTreeSet<_> = (variables..nodes)
        .map(|at| (2 * (at - variables) + 1, 2 * at))
        .collect();
    assert_eq!(found, expected);
    let error = reaching_definitions(&graph, &accesses, &rows, 10).unwrap_err();
    assert_eq!(error.to_string(), "more than 10 data dependences");
}
