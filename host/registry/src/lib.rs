//! Archives in OCI registries.
//!
//! An archive is an OCI artifact in the form of CNCF's ModelPack: a manifest whose `artifactType` says that it is a model, a
//! configuration that says which, and the archive as its one layer of weights. An archive's signature is a second layer.
//! Titles are annotated as ORAS does, so that its `pull` writes the same two files.
//!
//! What is in an archive, this room does not know: the caller checks what it pulled as if it came from anywhere.

// An error names what was asked of whom. Beside a request over the network its size is nothing.
#![allow(clippy::result_large_err)]

mod error;
mod form;
mod http;
mod remote;
mod target;

pub use error::RegistryError;
pub use form::{About, Artifact};
pub use remote::{Limits, Progress, Pulled, Remote};
pub use target::Target;
