//! From a syntax tree to the edges that need no knowledge of the language.
//!
//! A front end adds the nodes, and the edges that follow from syntax alone (ARGUMENT, RECEIVER, CONDITION); [`run`] adds REF,
//! CALL, CFG, DOMINATE, POST_DOMINATE, CDG, REACHING_DEF and NEXT_TOKEN. For that, the tree must have the shapes below. They
//! are the CPG specification's as far as it has them; names are those of [`Cpg::name`](crate::Cpg::name), numbers
//! [`Node::order`](crate::Node::order).
//!
//! | node | children | control flow |
//! |---|---|---|
//! | `METHOD` | parameters, a `BLOCK`, last a `METHOD_RETURN` | from the `METHOD` through the block to the `METHOD_RETURN` |
//! | `CALL` | receiver or function called 0, arguments from 1, the name of an argument 0 before it | children, then the call |
//! | `CALL` `<operator>.logicalAnd`, `.logicalOr`, `.elvis` (`??`), and `.assignmentLogicalAnd`, `.assignmentLogicalOr`, `.assignmentElvis` | 1, 2 | 1, then 2 or the call at once |
//! | `CALL` `<operator>.conditional` | 1 ? 2 : 3 | 1, then 2 or 3, then the call |
//! | `CALL` `<operator>.optionalChain` | `a?.b.c(d)` 1; a CONDITION edge leads from it to each node before a `?.` | from such a node on, or to the call at once |
//! | `METHOD_REF` | for a lambda or a function that is a value, its decorators and defaults, then its `METHOD`, whose flow is its own | receiver, decorators and defaults, then the reference |
//! | `TYPE_DECL` as an argument | bases, then a `BLOCK` of its `MEMBER`s and of what runs to make it | children, then the type |
//! | `IMPORT` in a `BLOCK` | the `IDENTIFIER` that it binds | the import, which may throw, then its child |
//! | `ANNOTATION` of these | an expression | child |
//! | `RETURN` | 1 | child, then the return, then the exit |
//! | `BLOCK` | statements; after a `JUMP_TARGET` it is a labelled statement | children |
//! | `IF` | condition 1, then 2, else 3 | |
//! | `WHILE` | condition 1, body 2, `else` of the loop 3 | |
//! | `DO` | body 1, condition 2 | once, where the condition is `false` |
//! | `FOR` | initialisers 1, condition 2, updates 3, body 4 | |
//! | `FOREACH` | variable 1, what is iterated 2, body 3, `else` 4 | 2, then the structure itself: is there one more? then 1 and 3, or 4 |
//! | `SWITCH` | selector 1, `BLOCK` 2 of `JUMP_TARGET`s (`case`, `default`) and statements; its order is 3 where the cases take every value | cases fall through |
//! | `MATCH` | the same | cases do not fall through |
//! | `BREAK`, `CONTINUE` | a `JUMP_TARGET` where they name a label | |
//! | `YIELD` | the value | to the end of the `SWITCH` or `MATCH` |
//! | `THROW` | the exception | to the handlers |
//! | `TRY` | resources, then the `BLOCK` that is protected, with which they go out of sight; then `CATCH`es, an `ELSE`, a `FINALLY` | calls inside may throw, as may `<operator>.await`, `.yield` and `.yieldFrom` |
//! | `CATCH` | a `LOCAL` with its types, or these alone, then a `BLOCK` | from what throws to the structure itself, then its block; with a `MODIFIER` `*`, other handlers may follow |
//! | `ASSERT` | condition 1, message 2 | where it fails, the structure itself throws |
//! | others | | children, in order |
//!
//! All names in capitals but for kinds are `CONTROL_STRUCTURE`s. A `LOCAL` below a `CALL`, a `JUMP_TARGET`, a `CATCH` or a
//! `FOREACH` is given its value when that node is reached; below an `<operator>.instanceOf`, it is in sight where the test is
//! known to have held. `this` is an `IDENTIFIER` of that name. A `TYPE_DECL` in a `BLOCK` reads what its methods capture when
//! control passes it.
//!
//! A `CATCH` of `Exception` does not take what is thrown and is no `Exception`: an `Error` of Java, a `SystemExit` of Python.
//! Their names go by the language of the graph, which is all that the passes ask of it.
//!
//! Children stand in the order in which they are evaluated, whatever their `order`: the value of `a[i] = f()` may stand before
//! its target. What is given a part of a value is an `IDENTIFIER` (or a field or element) below an `<operator>.unpack`, an
//! `IDENTIFIER` below an `<operator>.pattern`, or the variable of a `FOREACH` or an `IMPORT`: it gets the value when it is
//! reached. A comparison that shares an operand with the one before has it as an ARGUMENT, not as a child. A call of a
//! function that a name holds has that name as its RECEIVER, not as an ARGUMENT.

mod calls;
mod captures;
mod control_flow;
mod data_flow;
mod flow;
mod references;
mod shape;
mod tested;
mod tokens;

use std::time::Instant;

use crate::{CpgBuilder, Severity, Span};
use shape::Shape;

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
    /// No limits at all.
    pub const UNLIMITED: Self = Self {
        max_nodes: usize::MAX,
        max_edges: usize::MAX,
        deadline: None,
    };

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Adds every edge kind that follows from the syntax tree, as far as the budget allows; what is left out is said in a diagnostic.
pub fn run(cpg: &mut CpgBuilder, budget: &Budget) {
    tokens::next_tokens(cpg);
    let shape = Shape::new(cpg);
    let references = references::resolve(cpg, &shape);
    calls::resolve(cpg, &shape, &references);
    if let Err(reason) = flow::run(cpg, &shape, &references, budget) {
        cpg.diagnostic(
            Severity::Error,
            Span::default(),
            1,
            format!("some edges are left out: {reason}"),
        );
    }
}
