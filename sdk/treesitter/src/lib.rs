//! What front ends over tree-sitter share.
//!
//! - [`with_parser`] and [`parse`]: one parser a thread, stopped when the time is up.
//! - [`Syntax`]: the concrete syntax tree as a flat table in pre-order, its kinds and fields as enums of the language
//!   ([`kinds!`], [`fields!`]).
//! - [`report_damage`]: what was not understood, as diagnostics.
//! - [`Lowering`]: from that table to the nodes of a graph by a stack of tasks, without recursion.

mod damage;
mod insertions;
mod lowering;
mod parsing;
mod syntax;

pub use damage::{DIAGNOSTICS_SHOWN, report_damage};
pub use insertions::Insertions;
pub use lowering::{Lowering, Role, Task};
pub use parsing::{ParserSlot, ReadError, parse, with_parser};
pub use syntax::{Field, Grammar, Kind, Syntax, SyntaxId, SyntaxNode};
/// What the expansions and the callers name; no dependency of its own is needed.
pub use tree_sitter;
