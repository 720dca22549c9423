//! The name of what a bundle holds.

use sha2::{Digest, Sha256};

/// SHA-256 over the files that the host loads from a bundle: the same bytes have the same generation, wherever they
/// lie. A running request holds on to one generation from its first stage to its last.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation([u8; 32]);

impl Generation {
    /// Of the files, each by its name in the bundle. Their order does not matter.
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Self {
        let mut files = files.to_vec();
        files.sort_by_key(|(name, _)| *name);
        let mut hash = Sha256::new();
        for (name, bytes) in files {
            // Lengths go first, so that no two lists of files can give the same stream of bytes.
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        Self(hash.finalize().into())
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({self})")
    }
}

impl serde::Serialize for Generation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
