//! One module a command.

pub(crate) mod adapters;
pub(crate) mod cpg;
pub(crate) mod run;
pub(crate) mod serve;
