//! From a syntax tree to the edges that need no knowledge of the language.

mod tokens;

use std::time::Instant;

use crate::CpgBuilder;

/// How much the passes may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Nodes of the graph.
    pub max_nodes: usize,
    /// Edges of the graph.
    pub max_edges: usize,
    /// When to stop; `None` for never.
    pub deadline: Option<Instant>,
}

impl Budget {
    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Adds every edge kind that follows from the syntax tree.
pub fn run(cpg: &mut CpgBuilder, budget: &Budget) {
    tokens::next_tokens(cpg);
    let _ = budget;
}
