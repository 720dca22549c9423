//! Signed archives: who made them, and what is refused.

mod common;

use std::path::{Path, PathBuf};

use common::files;
use expect_test::{Expect, expect};
use minisign::KeyPair;
use tempfile::TempDir;
use transducer_bundle::{Asked, Bundle, PublicKey, Store};

/// An archive, its author's key, and its signature.
struct Signed {
    root: TempDir,
    author: KeyPair,
    archive: PathBuf,
    key: PathBuf,
}

fn signed() -> Signed {
    let root = tempfile::tempdir().unwrap();
    let author = KeyPair::generate_unencrypted_keypair().unwrap();
    let (archive, key) = (root.path().join("hello.tadapter"), root.path().join("author.pub"));
    std::fs::write(&archive, files("1.0.0", 1.0).write().unwrap()).unwrap();
    std::fs::write(&key, author.pk.to_box().unwrap().to_string()).unwrap();
    sign(&archive, &author);
    Signed {
        root,
        author,
        archive,
        key,
    }
}

fn sign(archive: &Path, author: &KeyPair) {
    let bytes = std::fs::read(archive).unwrap();
    let signature = minisign::sign(None, &author.sk, bytes.as_slice(), Some("hello 1.0.0"), None).unwrap();
    std::fs::write(archive.with_extension("tadapter.minisig"), signature.to_string()).unwrap();
}

fn by(key: PublicKey) -> Asked {
    Asked {
        key: Some(key),
        ..Asked::default()
    }
}

/// The archive is refused with this, and nothing is installed.
#[track_caller]
fn refused(signed: &Signed, expected: Expect) {
    let root = signed.root.path();
    let adapters = root.join("adapters");
    let store = Store::new(&adapters);
    let error = match PublicKey::open(&signed.key) {
        Err(error) => error.to_string(),
        Ok(key) => {
            let error = store.install_asking(&signed.archive, false, &by(key));
            error.expect_err("the signature is bad").to_string()
        }
    };
    expected.assert_eq(&error.replace(root.to_str().unwrap(), ""));
    assert!(!adapters.exists(), "something was written");
}

#[test]
fn what_the_author_signed_is_installed() {
    let signed = signed();
    let key = PublicKey::open(&signed.key).unwrap();
    let bytes = std::fs::read(&signed.archive).unwrap();
    assert_eq!(key.check(&signed.archive, &bytes).unwrap(), "hello 1.0.0");
    let adapters = signed.root.path().join("adapters");
    Store::new(&adapters)
        .install_asking(&signed.archive, false, &by(key))
        .unwrap();
    assert!(Bundle::open_all(&adapters).unwrap()[0].bundle.is_ok());
}

#[test]
fn a_file_that_was_swapped_after_signing() {
    let signed = signed();
    std::fs::write(&signed.archive, files("1.0.0", 2.0).write().unwrap()).unwrap();
    refused(
        &signed,
        expect!["/hello.tadapter is not what was signed: The signature verification failed"],
    );
}

#[test]
fn another_signer() {
    let signed = signed();
    sign(&signed.archive, &KeyPair::generate_unencrypted_keypair().unwrap());
    refused(
        &signed,
        expect!["/hello.tadapter.minisig was made with another key than /author.pub"],
    );
}

#[test]
fn no_signature() {
    let signed = signed();
    std::fs::remove_file(signed.archive.with_extension("tadapter.minisig")).unwrap();
    refused(
        &signed,
        expect!["/hello.tadapter is not signed: there is no /hello.tadapter.minisig"],
    );
}

#[test]
fn a_changed_comment() {
    let signed = signed();
    let path = signed.archive.with_extension("tadapter.minisig");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("hello 1.0.0", "hello 9.9.9")).unwrap();
    refused(
        &signed,
        expect!["/hello.tadapter is not what was signed: The signature verification failed"],
    );
}

#[test]
fn what_is_no_key_and_no_signature() {
    let signed = signed();
    std::fs::write(signed.archive.with_extension("tadapter.minisig"), b"\xff\xfe").unwrap();
    refused(
        &signed,
        expect!["/hello.tadapter.minisig is no minisign signature: Invalid encoding in minisign data"],
    );
    // The secret key in the public one's place.
    std::fs::write(&signed.key, signed.author.sk.to_box(None).unwrap().to_string()).unwrap();
    refused(
        &signed,
        expect!["/author.pub is no minisign public key: Invalid encoding in minisign data"],
    );
}
