//! Adapter bundles: what a task ships as.
//!
//! A bundle is a folder with a manifest (`adapter.toml`), a task component (`task.wasm`) and the weights of a
//! transducer (`transducer.safetensors`). [`Bundle::open`] is the one door: behind it every path is known to lie
//! inside the folder, every number is in range and the [`Generation`] names exactly the bytes that were read.
//! Whether the weights fit the configuration and the component fits the sandbox is judged by the rooms that know
//! those subjects.

mod bundle;
mod error;
mod generation;
mod manifest;
mod validated;

pub use bundle::{
    Bundle, Found, MANIFEST_FILE, MAX_COMPONENT_BYTES, MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES, check_manifest,
};
pub use error::{BundleError, Invalid};
pub use generation::Generation;
pub use manifest::{
    Adapter, BaseModel, Edges, Limits, Manifest, Parts, Schedule, TaskSection, Train, TransducerSection, schema,
};
pub use validated::{AdapterName, BaseModelPin, TransducerShape, ValidatedManifest};

/// The bundle format that this host reads, the manifest's `schema`.
pub const BUNDLE_SCHEMA: u32 = 1;
