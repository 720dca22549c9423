//! Algorithms over bare integer graphs: nodes are `0..n`, so that every table is a plain vector.

mod dependence;
mod dominators;
mod graph;
mod reaching;

pub use dependence::control_dependence;
pub use dominators::{DominatorTree, dominators, post_dominators};
pub use graph::{Graph, Rows};
pub use reaching::{Access, AccessKind, reaching_definitions};

/// A result would be larger than the caller allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} {what}")]
pub struct TooLarge {
    /// What there are too many of.
    pub what: &'static str,
    /// How many are allowed.
    pub limit: usize,
}
