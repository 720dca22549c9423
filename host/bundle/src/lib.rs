//! Adapter bundles: what a task ships as.
//!
//! A bundle is a folder with a manifest (`adapter.toml`), a task component (`task.wasm`) and the weights of a
//! transducer (`transducer.safetensors`), or a `.tadapter` archive of such a folder. [`Bundle::open`] is the one door: behind
//! it every path is known to lie inside the folder, every number is in range and the [`Generation`] names exactly the bytes that were read.
//! Whether the weights fit the configuration and the component fits the sandbox is judged by the rooms that know
//! those subjects.

mod archive;
mod archive_error;
mod budget;
mod bundle;
mod disk;
mod error;
mod generation;
mod keys;
mod manifest;
mod model_signing;
mod package;
mod policy;
mod policy_file;
mod record;
mod refusal;
mod signature;
mod store;
mod store_error;
mod validated;
mod weights;

pub use archive::{
    ARCHIVE_EXTENSION, Archive, FileEntry, LIST_FILE, MAX_ARCHIVE_BYTES, MAX_DOCUMENT_BYTES, MAX_ENTRIES,
    MAX_UNPACKED_BYTES,
};
pub use archive_error::ArchiveError;
pub use budget::Budget;
pub use bundle::{
    Bundle, Found, MANIFEST_FILE, MAX_COMPONENT_BYTES, MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES, check_manifest,
};
pub use error::{BundleError, Invalid};
pub use generation::Generation;
pub use keys::{KeyError, KeyId, NoKeyId, Passphrase, Signed, generate_key, has_passphrase, sign_archive};
pub use manifest::{
    Adapter, BaseModel, Edges, Limits, Manifest, Parts, Pooling, Schedule, TaskSection, Train, TransducerSection,
    schema,
};
pub use model_signing::sign_model;
pub use package::{DOCUMENTS, Package};
pub use policy::{Policy, PolicyError, Signer, Trusted};
pub use policy_file::PolicyFile;
pub use record::{Commit, Evaluation, PACK_RECORD_FILE, PackRecord, Provenance, RecordedScore, Requires};
pub use refusal::Refusal;
pub use signature::{MAX_SIGNATURE_BYTES, PublicKey, SignatureError, named_signer, signature_path, signature_text};
pub use store::{Asked, Expected, Store, Switched};
pub use store_error::StoreError;
pub use validated::{AdapterName, BaseModelPin, TransducerShape, ValidatedManifest};
pub use weights::{TensorInfo, WeightsError, WeightsInfo, check_weights};

/// The version of the host, against which a bundle's `requires.host` is held.
pub const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The bundle format that this host reads, the manifest's `schema`.
pub const BUNDLE_SCHEMA: u32 = 1;
