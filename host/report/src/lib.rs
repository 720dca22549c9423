//! An evaluation as one HTML page: what was evaluated, its metrics, and some examples to read.
//!
//! The page is one file that fetches nothing and runs no script, so it can be mailed, archived and opened years later. All
//! text on it is escaped by the templates; its content security policy forbids what an escape might have missed.

mod diff;
mod page;
mod pick;

pub use page::html;
pub use pick::pick;

/// What a page says.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What was evaluated, in the order to be shown: adapter, generation, data, rows, model.
    pub facts: &'a [(String, String)],
    /// The metrics, in the order to be shown.
    pub metrics: &'a [MetricRow],
    /// The examples, in the order to be shown: see [`pick`].
    pub examples: &'a [Example],
}

/// A metric, from 0 to 100.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRow {
    /// Its name.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// Lower end of its confidence interval; no number where there is no interval.
    pub low: f64,
    /// Upper end of its confidence interval; no number where there is no interval.
    pub high: f64,
}

/// One example, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The row's.
    pub id: String,
    /// The code that was asked about.
    pub source: String,
    /// A picture of its graph: an SVG document.
    pub graph_svg: Option<String>,
    /// The row's target.
    pub reference: String,
    /// What the task made of the generated text.
    pub answer: String,
    /// What the LLM wrote.
    pub generated: String,
    /// How good the answer is, from 0 to 100.
    pub score: f64,
}
