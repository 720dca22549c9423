//! A signature in the form of OpenSSF Model Signing, for those who check models with its tools: a Sigstore bundle around an in-toto
//! statement about the archive, which is to them a model of one file.
//!
//! Hosts do not look at it: they hold to the minisign signature.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::keys::write_whole;
use crate::signature::read_text;
use crate::{KeyError, Package};

/// What is appended to the file name of an archive.
const SUFFIX: &str = ".sig";
/// Of the envelope's payload.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Writes `ARCHIVE.sig`, signed with a P-256 key in PEM, which is verified before this returns. The archive is unpacked and
/// checked first, as for [`crate::sign_archive`].
///
/// # Errors
/// [`KeyError`].
pub fn sign_model(archive: &Path, key: &Path) -> Result<PathBuf, KeyError> {
    if archive.is_dir() {
        return Err(KeyError::Folder {
            path: archive.to_owned(),
        });
    }
    let package = Package::open(archive)?;
    let pem = read_text(key)?;
    let no_key = || KeyError::Pem { path: key.to_owned() };
    let secret = SecretKey::from_pkcs8_pem(&pem)
        .ok()
        .or_else(|| SecretKey::from_sec1_pem(&pem).ok());
    let secret = secret.ok_or_else(no_key)?;
    let public = secret
        .public_key()
        .to_public_key_pem(LineEnding::LF)
        .map_err(|_| no_key())?;

    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let payload = statement(&name, package.packed.as_deref().unwrap_or_default());
    let signed = pre_authentication_encoding(payload.as_bytes());
    let key = SigningKey::from(&secret);
    let signature: Signature = key.sign(&signed);
    VerifyingKey::from(&key)
        .verify(&signed, &signature)
        .map_err(|_| no_key())?;
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {"hint": hex::encode(Sha256::digest(public.as_bytes()))},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": STANDARD.encode(signature.to_der().as_bytes()), "keyid": ""}],
        },
    });

    let mut path = archive.as_os_str().to_owned();
    path.push(SUFFIX);
    let path = PathBuf::from(path);
    write_whole(&path, bundle.to_string().as_bytes()).map_err(|source| KeyError::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

/// The in-toto statement about a model of one file, whose name inside of itself is `.`.
fn statement(name: &str, archive: &[u8]) -> String {
    let digest = Sha256::digest(archive);
    // Over the digests of all files, which are one.
    let root = Sha256::digest(digest);
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": hex::encode(root)}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": false},
            "resources": [{"name": ".", "algorithm": "sha256", "digest": hex::encode(digest)}],
        },
    })
    .to_string()
}

/// What a [DSSE](https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md) signature is over.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}
