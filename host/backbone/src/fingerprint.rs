//! What identifies a frozen model to those trained on top of it.

use sha2::{Digest, Sha256};

/// Identity of a backbone: an adapter fits exactly the models whose fingerprint its manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// SHA-256, hexadecimal, over the embedding table: its values as little-endian `f32`, row major, as they are in the
    /// file after dequantization. Whatever kind the model is loaded in does not change it.
    pub embedding_sha256: String,
    /// SHA-256, hexadecimal, over the tokenizer's canonical form.
    pub tokenizer_sha256: String,
}

/// Values hashed at a time: 256 KiB, which stay in the cache between their conversion and their hashing.
const CHUNK: usize = 65_536;

/// SHA-256 of `values` as little-endian `f32`.
pub(crate) fn sha256_f32(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        hasher.update(&bytes);
    }
    hex::encode(hasher.finalize())
}
