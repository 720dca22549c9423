//! A key as its owner has it.

use sha2::{Digest, Sha256};

/// What every key begins with, so that programs that look for secrets in sources find them.
const PREFIX: &str = "thk-";

/// 256 random bits. Nobody guesses them, so that a plain digest of them tells nobody anything.
pub struct Key(String);

impl Key {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 32]>())))
    }

    /// As it goes behind `Authorization: Bearer`. It is in no log: the type has no `Debug`.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

/// What the file holds of a key.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
