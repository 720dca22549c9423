//! A signature in the form of OpenSSF Model Signing, for those who check models with its tools: a Sigstore bundle around an in-toto
//! statement about the archive, which is to them a model of one file.
//!
//! Hosts do not look at it: they hold to the minisign signature.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
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
    let no_key = || KeyError::Pem { path: key.to_owned() };
    let der = der_of(&read_text(key)?).ok_or_else(no_key)?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &random).map_err(|_| no_key())?;
    let public = pair.public_key().as_ref();

    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let payload = statement(&name, package.packed.as_deref().unwrap_or_default());
    let signed = pre_authentication_encoding(payload.as_bytes());
    let signature = pair.sign(&random, &signed).map_err(|_| no_key())?;
    let verified = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public).verify(&signed, signature.as_ref());
    verified.map_err(|_| no_key())?;
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {"hint": hex::encode(Sha256::digest(public_pem(public)))},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": STANDARD.encode(signature.as_ref()), "keyid": ""}],
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

/// What the PEM of a PKCS #8 key holds.
fn der_of(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (base64, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let base64: String = base64.split_whitespace().collect();
    STANDARD.decode(base64).ok()
}

/// A public key as OpenSSL writes it: by the digest of this text verifiers tell keys apart.
fn public_pem(point: &[u8]) -> String {
    /// What stands before the 65 bytes of a point of P-256 (RFC 5480): that it is one.
    const HEAD: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let base64 = STANDARD.encode([HEAD, point].concat());
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END PUBLIC KEY-----\n"
}
