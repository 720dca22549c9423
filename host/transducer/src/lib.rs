//! The transducer: a small trainable module that rewrites the input embeddings of a frozen LLM with the Code Property
//! Graph (CPG) of the code in the prompt. Nothing but input embeddings is ever changed. The method is Transducer Tuning
//! (Yusuf & Jiang, arXiv 2412.13467); what is computed here differs from the published code where that code drops the
//! graph (its keys are one repeated vector and its values are the tokens).
//!
//! Notation, used by every shape in this crate: `rows` input embeddings of size `D` (`hidden`), `T` code tokens, `N`
//! graph nodes, `E` edges with their reverses, `h` (`width`), `R` relations (two for each edge kind), `M` task
//! tokens.
//!
//! The path of one call, one module a step:
//!
//! ```text
//! Cpg, token offsets ─▶ GraphInput      nodes, edges, the node each code token belongs to          (graph)
//! prompts            ─▶ Batch           many prompts and graphs as one disjoint union of indices   (batch)
//! embeddings [rows, D] ─▶ GVE           node vectors [N, h]                                         (gve)
//!                      ─▶ ABFL          a step for each code token [T, D]                          (abfl)
//!                      ─▶ task tokens   a step for the first and last tokens of the prompt's text  (task)
//!                      ─▶ embeddings + token's RMS × step                                          (transducer)
//! ```
//!
//! **Untrained is frozen.** The matrices that write into the embeddings start at zero, so a new transducer returns the
//! embeddings it was given.
//!
//! **Steps are in units of a token's own RMS.** LLMs differ by orders of magnitude in the size of their embeddings, and
//! so do the tokens of one LLM. The first thing a pre-norm LLM does with an embedding is to divide it by its RMS; a step
//! multiplied by that RMS therefore moves what the first layer sees by the same amount for every token of every LLM, and
//! rare tokens with small embeddings are not drowned. `fusion_scale` and `task_scale` of the configuration set the unit.
//!
//! **Weightless norms.** Every RMSNorm here is followed by a linear map, which would absorb a learned scale.

mod abfl;
mod batch;
mod config;
mod error;
mod graph;
mod gve;
mod parameters;
mod task;
mod tensor;
mod transducer;
mod weights;

pub use batch::{Batch, CodeInput, PromptInput};
pub use config::{MAX_HIDDEN, MAX_LAYERS, MAX_TASK_TOKENS, MAX_WIDTH, Parts, Pooling, TransducerConfig};
pub use error::TransducerError;
pub use graph::{GraphInput, MAX_NODES};
pub use transducer::{CodeSegment, Transducer};
pub use weights::{FORMAT_VERSION, MAX_WEIGHTS_BYTES, METADATA_KEY};
