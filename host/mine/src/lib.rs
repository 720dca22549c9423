//! Training data from a source tree: methods with the first sentence of their comment, tests with their assertion.
//!
//! ```no_run
//! use transducer_frontends::FrontEnds;
//! use transducer_mine::{Options, Output, Task, Watch, mine};
//!
//! let front_ends = FrontEnds::load_dir("target/release".as_ref())?;
//! let output = Output::create("data".as_ref())?;
//! let mined = mine(&front_ends, "src".as_ref(), &Options::new(Task::Summarize), &Watch::default())?;
//! output.write(&mined)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is a method, a comment, a call or a literal is read from the code property graph, which the front ends make; this
//! crate knows no grammar. Its own scanners read only what the graph has as one piece of text: the inside of a Javadoc
//! comment (`javadoc`), of a docstring (`docstring`), and the spaces and comments of one statement (`text`).
//!
//! In order: `tree` lists the files, `unit` parses one, `summarize` and `assertion` take rows out of it, `focal` finds the
//! methods under test, `split` says where a row goes, `near` finds what is there twice, `output` writes.

mod assertion;
mod docstring;
mod error;
mod finish;
mod focal;
mod javadoc;
mod language;
mod near;
mod options;
mod output;
mod report;
mod row;
mod run;
mod sentence;
mod split;
mod summarize;
mod text;
mod tree;
mod unit;

pub use error::{MineError, OptionError, OutputError};
pub use near::{jaccard, resembling, tokens};
pub use options::{Options, Ratios, Similarity, SplitBy, Task};
pub use output::Output;
pub use report::{Dropped, Report, Skipped, Tally};
pub use row::{FocalHow, Row, Split, TestFields};
pub use run::{Mined, Progress, Stage, Watch, mine};
