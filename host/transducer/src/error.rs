//! What can be wrong with a configuration, a weights file or a prompt.

use std::ops::Range;
use std::path::PathBuf;

/// Why a transducer cannot be made, read or applied.
#[derive(Debug, thiserror::Error)]
pub enum TransducerError {
    /// A field of the configuration is out of range.
    #[error("transducer configuration: {field} is {found}, expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Something is wrong with a weights file.
    #[error("weights file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<TransducerError>,
    },
    /// The file system said no.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The weights are larger than any transducer.
    #[error("{bytes} bytes of weights, at most {limit} are read; is this the weights of an LLM?")]
    TooLarge {
        /// Bytes found.
        bytes: u64,
        /// [`crate::MAX_WEIGHTS_BYTES`].
        limit: u64,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("not a valid safetensors file: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The file holds tensors but not the configuration of a transducer.
    #[error("no `{key}` entry in the safetensors metadata; these are not weights of a transducer")]
    NoConfig {
        /// The metadata key looked for.
        key: &'static str,
    },
    /// The configuration beside the weights cannot be read.
    #[error("the `{key}` entry of the safetensors metadata is not a transducer configuration: {source}")]
    Metadata {
        /// The metadata key.
        key: &'static str,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error("weights format {found}, this build reads format {expected}; train again or use the build that wrote it")]
    Format {
        /// Version of the file.
        found: u64,
        /// Version that is read.
        expected: u64,
    },
    /// A tensor that the configuration calls for is not there.
    #[error("tensor `{name}` of shape {expected:?} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<i64>,
    },
    /// A tensor that the configuration does not call for.
    #[error("tensor `{name}` is no part of a transducer of this configuration")]
    SurplusTensor {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape than the configuration calls for.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape by the configuration.
        expected: Vec<i64>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of another element type than 32-bit floats.
    #[error("tensor `{name}` holds {found}, expected F32")]
    Dtype {
        /// Its name.
        name: String,
        /// Its element type in the file.
        found: safetensors::Dtype,
    },
    /// A weight that is no number.
    #[error("tensor `{name}` holds {value} at element {index}; every weight must be finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Place of the first such weight, in row-major order.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A code token lies outside the source of its graph.
    #[error("code token {token} covers bytes {start}..{end}, but the graph's source has {source_len} bytes")]
    Offset {
        /// Place of the token among those of its code segment.
        token: usize,
        /// Its first byte.
        start: u32,
        /// One past its last byte.
        end: u32,
        /// Bytes of the source.
        source_len: u32,
    },
    /// A code segment has not as many tokens as offsets.
    #[error("code segment at tokens {}..{} has {offsets} token offsets, expected {}", rows.start, rows.end, rows.len())]
    OffsetCount {
        /// Where the segment stands.
        rows: Range<usize>,
        /// Offsets given.
        offsets: usize,
    },
    /// A range of tokens does not lie within the embeddings.
    #[error("{what} at tokens {}..{} does not lie within the {rows} given", range.start, range.end)]
    Range {
        /// `code segment` or `text`.
        what: &'static str,
        /// The range.
        range: Range<usize>,
        /// Embeddings there are.
        rows: usize,
    },
    /// Two code segments share tokens.
    #[error("code segments at tokens {}..{} and {}..{} overlap", first.start, first.end, second.start, second.end)]
    Overlap {
        /// The one that starts first.
        first: Range<usize>,
        /// The one that starts within it.
        second: Range<usize>,
    },
    /// The embeddings do not fit the batch or the transducer.
    #[error("embeddings of shape {found:?} ({kind:?}, {device:?}), expected {expected}")]
    Embeddings {
        /// What is needed, in words.
        expected: String,
        /// Shape given.
        found: Vec<i64>,
        /// Element type given.
        kind: tch::Kind,
        /// Device given.
        device: tch::Device,
    },
    /// The batch was made for a transducer of another configuration.
    #[error("the batch was made for a transducer of another configuration; make it with this transducer's")]
    OtherConfig,
}
