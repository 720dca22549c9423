//! The frozen code LLM: model files, tokenizer, input embeddings, forward passes and the KV cache.
//!
//! Knows nothing of adapters, graphs or HTTP: it turns token ids into embeddings and embeddings into logits.
//!
//! - [`Embedder`] is what stands before the first layer; [`Backbone`] loads the whole model and runs it, a decoder or an encoder with a
//!   decoder; [`KvCache`] is the memory of a running batch, and [`Backbone::losses`] what training asks.
//! - [`gguf`] reads GGUF files; Hugging Face folders are read through safetensors. Both meet in [`ModelConfig`].
//! - [`tokenizer`] and [`chat`] turn text into token ids and back.

mod backbone;
mod cache;
pub mod chat;
mod config;
mod cpu;
mod embedder;
mod error;
mod fingerprint;
pub mod gguf;
mod gradient;
mod hardware;
mod lesson;
mod model;
mod rope;
mod step;
pub mod tokenizer;
mod weights;

pub use backbone::{Backbone, Piece, Positions, Progress};
pub use cache::KvCache;
pub use config::{EncoderDecoder, Family, FeedForward, ModelConfig, Shape};
pub use cpu::bind_threads;
pub use embedder::Embedder;
pub use error::BackboneError;
pub use fingerprint::Fingerprint;
pub use hardware::{DeviceChoice, DtypeChoice, LoadOptions, WeightFormat};
pub use lesson::by_length;
pub use rope::{Llama3, Rope, RopeScaling, Yarn};
