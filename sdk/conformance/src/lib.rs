//! Tests that the author of a front end need not write.
//!
//! - [`check_folder`] holds a front end to a corpus: a snippet a file, and the edges that it must have.
//! - [`check_joern_folder`] holds the Joern view of its graphs to facts about Joern.
//! - [`check_flow`] holds a graph to the rules of every graph, however broken its source.
//! - [`damage`] breaks a source, and says what of its graph survives; [`survey`] does it to many.
//!
//! The first three panic with what is wrong: they are for tests.

mod corpus;
pub mod damage;
mod joern;
mod rules;
pub mod survey;

pub use corpus::{check_folder, sources};
pub use joern::check_joern_folder;
pub use rules::check_flow;
