//! CPG front ends from dynamic libraries, and which of them speaks which language.
//!
//! ```no_run
//! use transducer_frontends::FrontEnds;
//!
//! let frontends = FrontEnds::load_dir("target/release".as_ref())?;
//! let graph = frontends.parse("java", "int twice(int x) { return 2 * x; }")?;
//! println!("{} nodes", graph.nodes().len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Front ends are trusted code: a library is checked before any of its code runs (is it whole, is it a front end, was it
//! built for this version), then loaded into the process and never unloaded.

mod library;
mod registry;

pub use library::LoadError;
pub use registry::{FrontEnds, Language, ParseFailure};
pub use transducer_cpg::Cpg;
pub use transducer_frontend::{ParseError, ParseLimits};
