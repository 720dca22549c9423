//! What can go wrong with a backbone.

use std::path::PathBuf;

use tch::{Device, Kind, TchError};

use crate::chat::ChatError;
use crate::gguf::GgufError;
use crate::tokenizer::TokenizerError;

/// Why a backbone could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The GGUF file cannot be used.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template cannot be used.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A file of a model folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The operating system has no memory for packed weights.
    #[error(
        "no memory for packed weights, of which {bytes} bytes were asked for: {source}; try --weights full, or a smaller model"
    )]
    Memory {
        /// Bytes that were asked for.
        bytes: usize,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The path is neither a GGUF file nor a model folder.
    #[error(
        "{}: no model here; give a .gguf file, or a folder with config.json, tokenizer.json and \
         model.safetensors or model.safetensors.index.json",
        path.display()
    )]
    NoModel {
        /// What was given.
        path: PathBuf,
    },
    /// A JSON file of a model folder does not parse.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// A safetensors file does not parse.
    #[error("{}: not a usable safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// The index of a sharded model names something that is no file beside it.
    #[error("{}: the index places `{tensor}` in {file:?}, expected the name of a file in the same folder", path.display())]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where the index says it is.
        file: String,
    },
    /// The model's description asks for something that is not implemented.
    #[error("{}: {what} is {found}; supported: {supported}", path.display())]
    Unsupported {
        /// The model.
        path: PathBuf,
        /// The property.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would work.
        supported: &'static str,
    },
    /// A number of the model's description is out of range or contradicts another.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Config {
        /// The model.
        path: PathBuf,
        /// The property.
        what: &'static str,
        /// Its value.
        found: String,
        /// What it has to be.
        expected: String,
    },
    /// A weight that the description asks for is absent.
    #[error("{}: the tensor `{tensor}` is missing", path.display())]
    MissingTensor {
        /// The model.
        path: PathBuf,
        /// The tensor, as the file would name it.
        tensor: String,
    },
    /// A weight that the description does not account for: the model has parts that would be left out.
    #[error("{}: the tensor `{tensor}` belongs to no part of a {family} model", path.display())]
    SurplusTensor {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The family the description names.
        family: &'static str,
    },
    /// A weight whose shape contradicts the description.
    #[error("{}: the tensor `{tensor}` has the shape {found:?}, the model's configuration asks for {expected:?}", path.display())]
    TensorShape {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape by the description.
        expected: Vec<usize>,
        /// The shape stored.
        found: Vec<usize>,
    },
    /// A weight stored in a type that is not read.
    #[error("{}: the tensor `{tensor}` is stored as {found}; supported: F32, F16, BF16", path.display())]
    TensorType {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The type stored.
        found: String,
    },
    /// A weight that is infinite or not a number.
    #[error("{}: the tensor `{tensor}` holds {value} at place {place}; the file is damaged", path.display())]
    NotFinite {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the first such value, row major.
        place: usize,
        /// The value.
        value: f32,
    },
    /// A device that this machine or this libtorch does not have.
    #[error("device {wanted} is not available ({available} CUDA devices); choose `auto` or `cpu`")]
    Device {
        /// The device asked for.
        wanted: String,
        /// CUDA devices that libtorch sees.
        available: i64,
    },
    /// A token id past the vocabulary.
    #[error("token id {id} at place {place} is outside the vocabulary of {vocab} tokens")]
    TokenId {
        /// The id.
        id: u32,
        /// Its place in the slice.
        place: usize,
        /// Rows of the embedding table.
        vocab: usize,
    },
    /// Embeddings of the wrong shape.
    #[error("embeddings have the shape {found:?}, expected [batch, tokens, {hidden}] with at least one token")]
    EmbeddingShape {
        /// The shape given.
        found: Vec<i64>,
        /// The model's hidden size.
        hidden: usize,
    },
    /// Embeddings of the wrong element kind or on the wrong device.
    #[error("embeddings are {kind:?} on {device:?}, expected floats on {expected:?}")]
    EmbeddingPlace {
        /// The kind given.
        kind: Kind,
        /// The device given.
        device: Device,
        /// The model's device.
        expected: Device,
    },
    /// More tokens than the model was made for.
    #[error("{tokens} tokens exceed the model's context of {limit}")]
    ContextFull {
        /// Tokens asked for, those already in the cache included.
        tokens: usize,
        /// The context.
        limit: usize,
    },
    /// More tokens than the cache was made for.
    #[error("the KV cache holds {len} of {capacity} tokens, {tokens} more do not fit")]
    CacheFull {
        /// Tokens in the cache.
        len: usize,
        /// Tokens to be added.
        tokens: usize,
        /// Tokens it can hold.
        capacity: usize,
    },
    /// A cache of another batch size.
    #[error("the KV cache is for {cache} sequences, the embeddings are of {embeddings}")]
    CacheBatch {
        /// Sequences in the cache.
        cache: usize,
        /// Sequences in the embeddings.
        embeddings: usize,
    },
    /// A cache with padding where one of a sequence without is wanted.
    #[error("the KV cache of row {row} begins with padding, which a step of separate caches does not know of")]
    PaddedCache {
        /// The cache's place.
        row: usize,
    },
    /// A cache that another shape of model made.
    #[error("the KV cache was made by a model of another shape: use one that this backbone made")]
    CacheModel,
    /// One more token where there is no prompt yet.
    #[error("the KV cache of row {row} is empty: an encoder reads the prompt before the decoder writes a token")]
    NoPrompt {
        /// The cache's place.
        row: usize,
    },
    /// A row asked for by [`crate::KvCache::reorder`] that the cache does not have, or none at all.
    #[error("the new rows {rows:?} are not a non-empty choice from the KV cache's {batch} sequences")]
    CacheRows {
        /// The rows asked for.
        rows: Vec<usize>,
        /// Sequences in the cache.
        batch: usize,
    },
    /// Embeddings that require a gradient, together with a cache.
    #[error("no gradient flows through a KV cache; train without a cache, or generate under `tch::no_grad`")]
    GradientThroughCache,
    /// libtorch refused an operation; out of memory, most likely.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}
