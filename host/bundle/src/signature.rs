//! Who made an archive: a minisign signature beside it, `FILE.tadapter.minisig`, as the `minisign` tool writes it.
//!
//! What is signed is the archive's bytes, so that a signature is looked at before anything is unpacked.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bundle::read_file;
use crate::store::STORE;
use crate::{BundleError, KeyId};

/// What is appended to the file name of an archive.
const SIGNATURE_SUFFIX: &str = ".minisig";
/// A key has two lines, a signature four; their comments are a few words.
pub const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// A signature that does not show who made an archive.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The key's or the signature's file.
    #[error("{0}")]
    File(BundleError),
    /// The archive is not signed.
    #[error("{archive} is not signed: there is no {signature}")]
    Unsigned {
        /// The archive.
        archive: PathBuf,
        /// Where the signature would be.
        signature: PathBuf,
    },
    /// The key is no minisign public key.
    #[error("{path} is no minisign public key: {source}")]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: minisign_verify::Error,
    },
    /// The signature is no minisign signature.
    #[error("{path} is no minisign signature: {source}")]
    Form {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: minisign_verify::Error,
    },
    /// The signature was made with another key.
    #[error("{signature} was made with another key than {key}")]
    OtherKey {
        /// The signature's file.
        signature: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The archive or the signature is not what it was when it was signed.
    #[error("{archive} is not what was signed: {source}")]
    Invalid {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: minisign_verify::Error,
    },
}

/// The public key of somebody whose archives are wanted.
#[derive(Clone, Debug)]
pub struct PublicKey {
    path: PathBuf,
    key: minisign_verify::PublicKey,
    id: KeyId,
    base64: String,
}

impl PublicKey {
    /// Reads a key as `minisign -G` writes it.
    ///
    /// # Errors
    /// [`SignatureError::File`] and [`SignatureError::Key`].
    pub fn open(path: &Path) -> Result<Self, SignatureError> {
        let text = read_text(path)?;
        Self::parse(text.lines().nth(1).unwrap_or_default(), path)
    }

    /// A key as its second line has it, `RW…`; `path` is what errors call it.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn parse(base64: &str, path: &Path) -> Result<Self, SignatureError> {
        let base64 = base64.trim();
        let no_key = |source| SignatureError::Key {
            path: path.to_owned(),
            source,
        };
        let key = minisign_verify::PublicKey::from_base64(base64).map_err(no_key)?;
        let id = KeyId::in_base64(base64).ok_or_else(|| no_key(minisign_verify::Error::InvalidEncoding))?;
        Ok(Self {
            path: path.to_owned(),
            key,
            id,
            base64: base64.to_owned(),
        })
    }

    /// The key's number.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key as its second line has it.
    #[must_use]
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// Checks an archive's bytes against the signature beside `archive`. Returns the comment that was signed with it.
    ///
    /// # Errors
    /// [`SignatureError`] unless this key signed these bytes.
    pub fn check(&self, archive: &Path, bytes: &[u8]) -> Result<String, SignatureError> {
        let sealed = Sealed::find(archive, bytes)?.ok_or_else(|| SignatureError::Unsigned {
            archive: archive.to_owned(),
            signature: beside(archive),
        })?;
        sealed.check(self, archive, bytes)
    }
}

/// A signature that was found; of whom, and whether it holds, is not known yet.
pub(crate) struct Sealed {
    path: PathBuf,
    signature: minisign_verify::Signature,
    /// The number of its key, as it says.
    pub(crate) id: KeyId,
    /// Its text.
    pub(crate) text: String,
}

impl Sealed {
    /// The signature of an archive: the one that `install` kept for these very bytes, or the one beside it.
    pub(crate) fn find(archive: &Path, bytes: &[u8]) -> Result<Option<Self>, SignatureError> {
        let kept = kept(archive.parent().unwrap_or(Path::new("")), bytes);
        let path = if kept.exists() { kept } else { beside(archive) };
        // A dangling link is a signature that cannot be read.
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let text = read_text(&path)?;
        let no_signature = |source| SignatureError::Form {
            path: path.clone(),
            source,
        };
        let signature = minisign_verify::Signature::decode(&text).map_err(no_signature)?;
        let id = text.lines().nth(1).and_then(KeyId::in_base64);
        let id = id.ok_or_else(|| no_signature(minisign_verify::Error::InvalidEncoding))?;
        Ok(Some(Self {
            path,
            signature,
            id,
            text,
        }))
    }

    /// Whether this key signed these bytes. Returns the comment that was signed with them.
    pub(crate) fn check(&self, key: &PublicKey, archive: &Path, bytes: &[u8]) -> Result<String, SignatureError> {
        // Only prehashed signatures, which minisign has made since 2021: the older kind is of another construction.
        match key.key.verify(bytes, &self.signature, false) {
            Ok(()) => Ok(self.signature.trusted_comment().to_owned()),
            Err(minisign_verify::Error::UnexpectedKeyId) => Err(SignatureError::OtherKey {
                signature: self.path.clone(),
                key: key.path.clone(),
            }),
            Err(source) => Err(SignatureError::Invalid {
                archive: archive.to_owned(),
                source,
            }),
        }
    }
}

/// Which key an archive's signature names, without a look at whether it holds; none where it is not signed.
///
/// # Errors
/// Where what lies there is no signature.
pub fn named_signer(archive: &Path, bytes: &[u8]) -> Result<Option<KeyId>, SignatureError> {
    Ok(Sealed::find(archive, bytes)?.map(|sealed| sealed.id))
}

/// The signature of an archive as it is written, without a look at whether it holds; none where it is not signed.
///
/// # Errors
/// Where what lies there is no signature.
pub fn signature_text(archive: &Path, bytes: &[u8]) -> Result<Option<String>, SignatureError> {
    Ok(Sealed::find(archive, bytes)?.map(|sealed| sealed.text))
}

/// Where an author puts the signature of an archive.
pub fn signature_path(archive: &Path) -> PathBuf {
    beside(archive)
}

pub(crate) fn beside(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(SIGNATURE_SUFFIX);
    PathBuf::from(path)
}

/// Where `install` keeps the signature of an archive in this directory: by the archive's digest, so that an archive that is
/// put in place in one step has its signature at once, and no other archive has it.
pub(crate) fn kept(adapters: &Path, bytes: &[u8]) -> PathBuf {
    let name = format!("{}{SIGNATURE_SUFFIX}", hex::encode(Sha256::digest(bytes)));
    adapters.join(STORE).join("signatures").join(name)
}

pub(crate) fn read_text(path: &Path) -> Result<String, SignatureError> {
    let bytes = read_file(path, MAX_SIGNATURE_BYTES).map_err(SignatureError::File)?;
    // What is not UTF-8 is no key and no signature, which the reader then says.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
