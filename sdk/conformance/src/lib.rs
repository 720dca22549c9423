//! Tests that the author of a front end need not write.
//!
//! - [`check_folder`] holds a front end to a corpus: a snippet a file, and the edges that it must have.
//! - [`check_flow`] holds a graph to the rules of every graph, however broken its source.
//! - [`damage`] breaks a source, and says what of its graph survives; [`survey`] does it to many.
//!
//! The first two panic with what is wrong: they are for tests.

mod corpus;
pub mod damage;
mod rules;
pub mod survey;

pub use corpus::{check_folder, sources};
pub use rules::check_flow;
