//! The frozen code LLM: model files, tokenizer, input embeddings, forward passes and the KV cache.
//!
//! Knows nothing of adapters, graphs or HTTP: it turns token ids into embeddings and embeddings into logits.

pub mod chat;
pub mod gguf;
pub mod tokenizer;
