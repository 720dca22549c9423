//! The native ABI of a CPG front end: one language's parser as a dynamic library.
//!
//! An author implements [`FrontEnd`] and calls [`export_frontend!`] once in a `cdylib`; the host loads the library, checks the
//! [`Stamp`] that the file carries and the layout of the root module, and calls it. Across the boundary go bytes in and bytes
//! out (a graph in [`transducer_cpg::wire`] form), never a Rust collection of one side's allocator or standard library.
//!
//! ```
//! use transducer_frontend::cpg::{Cpg, CpgBuilder};
//! use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};
//!
//! struct Lines;
//!
//! impl FrontEnd for Lines {
//!     const LANGUAGE: &'static str = "lines";
//!     const EXTENSIONS: &'static [&'static str] = &["txt"];
//!     const NAME: &'static str = "one node for everything";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!
//!     fn parse(source: &str, _limits: &ParseLimits) -> Result<Cpg, ParseError> {
//!         CpgBuilder::new(Self::LANGUAGE, source.len()).and_then(CpgBuilder::finish).map_err(ParseError::failed)
//!     }
//! }
//!
//! export_frontend!(Lines);
//! ```
//!
//! Front ends are trusted code: they are loaded into the process and never unloaded.

mod abi;
mod limits;

pub use abi::{
    FrontEndModule, FrontEndModuleRef, INTERFACE_VERSION, LanguageInfo, ParseError, STAMP_MAGIC, STAMP_SYMBOL, Stamp,
    describe, parse,
};
pub use limits::ParseLimits;

/// What the expansion of [`export_frontend!`] names; no dependency of its own is needed.
#[doc(hidden)]
pub use abi_stable;
/// The graph, in the version that this interface speaks.
pub use transducer_cpg as cpg;

use transducer_cpg::Cpg;

/// A language's parser, as its author writes it.
///
/// A panic in [`FrontEnd::parse`] is caught at the boundary and reported as [`ParseError::Panicked`].
pub trait FrontEnd {
    /// The language in lower case: `java`.
    const LANGUAGE: &'static str;
    /// Extensions of the language's files, without the dot.
    const EXTENSIONS: &'static [&'static str];
    /// Name of this front end, for people: `tree-sitter-java 0.23`.
    const NAME: &'static str;
    /// Its version: a front end of another version may give another graph for the same source.
    const VERSION: &'static str;

    /// The graph of `source`: a whole file, a declaration, statements, an expression, or any of these half-typed.
    ///
    /// Wherever some graph can be given, give it and say in a diagnostic what is missing: readers prefer most of a graph
    /// to none.
    ///
    /// # Errors
    /// [`ParseError`], where there is no graph to give.
    fn parse(source: &str, limits: &ParseLimits) -> Result<Cpg, ParseError>;
}
