//! Why a policy does not let a bundle in.

use std::path::PathBuf;

use crate::{BundleError, KeyId, SignatureError};

/// A bundle that the policy does not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody signed it.
    #[error(
        "{archive} is not signed, and {policy} requires it: ask its author for {archive}.minisig, or make one with \
         `transducer-host sign`"
    )]
    Unsigned {
        /// The archive.
        archive: PathBuf,
        /// The policy's file.
        policy: PathBuf,
    },
    /// A folder has no signature.
    #[error(
        "{dir} is a folder, which cannot be signed, and {policy} requires a signature: `transducer-host pack` it and \
         `transducer-host sign` the archive"
    )]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// The policy's file.
        policy: PathBuf,
    },
    /// By somebody whom nobody here knows.
    #[error(
        "{archive} is signed with key {key}, which {policy} does not trust: `transducer-host key trust` adds a key, \
         if you know whose it is"
    )]
    Stranger {
        /// The archive.
        archive: PathBuf,
        /// What the signature says about its key.
        key: KeyId,
        /// The policy's file.
        policy: PathBuf,
    },
    /// With a key that does not count any more.
    #[error("{archive} is signed with key {key}, which {policy} has revoked: ask its author for another signature")]
    Revoked {
        /// The archive.
        archive: PathBuf,
        /// What the signature says about its key.
        key: KeyId,
        /// The policy's file.
        policy: PathBuf,
    },
    /// By somebody who is trusted with other adapters.
    #[error("{archive} is signed by {name} (key {key}), whom {policy} trusts with {allowed}, not with {adapter}")]
    OtherAdapter {
        /// The archive.
        archive: PathBuf,
        /// Whose key.
        name: String,
        /// The key.
        key: KeyId,
        /// The policy's file.
        policy: PathBuf,
        /// The patterns.
        allowed: String,
        /// The adapter.
        adapter: Box<str>,
    },
    /// The signature cannot be read, or does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The licence.
    #[error("{path} has the licence {license}, and {policy} allows {allowed}")]
    License {
        /// The folder or archive.
        path: PathBuf,
        /// The bundle's licence.
        license: String,
        /// The policy's file.
        policy: PathBuf,
        /// The policy's licences.
        allowed: String,
    },
    /// The size.
    #[error("{path} has {found} bytes, and {policy} allows {limit}")]
    TooLarge {
        /// The folder or archive.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The policy's file.
        policy: PathBuf,
        /// The policy's limit.
        limit: u64,
    },
    /// The budget.
    #[error("{path} asks for `limits.{key}` = {asked}, and {policy} allows {limit}")]
    Greedy {
        /// The folder or archive.
        path: PathBuf,
        /// What of.
        key: &'static str,
        /// What the manifest asks for.
        asked: u32,
        /// The policy's file.
        policy: PathBuf,
        /// The policy's limit.
        limit: u32,
    },
}

impl From<Refusal> for BundleError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}
