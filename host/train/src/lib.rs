//! Makes a bundle's weights from examples, and judges them by free generation.
//!
//! ```text
//! data set ─▶ Rows ─▶ Example (the bundle's own task writes the prompt) ─▶ Examples, on disk
//!                                                                            │ Order: a function of seed and step
//!                       Run: loss over answer tokens ─▶ AdamW ─▶ checkpoint ◀┘
//! ```
//!
//! The path of an example, one module a step: [`rows`], [`example`], [`store`], `order`, `loss`, `adamw`, `checkpoint`, [`trainer`].
//! [`recipe`] is the manifest as the record of a run, [`folder`] the place of a run.

pub mod evaluate;
pub mod example;
pub mod export;
pub mod folder;
pub mod recipe;
pub mod rows;
pub mod store;
pub mod trainer;

mod adamw;
mod checkpoint;
mod curve;
mod edges;
mod error;
mod loss;
mod order;

pub use error::TrainError;
pub use evaluate::{Evaluation, Generated};
pub use example::{Example, LeftOut};
pub use folder::RunFolder;
pub use rows::{Row, Rows};
pub use store::Examples;
pub use trainer::{DataSet, End, Event, Run};
