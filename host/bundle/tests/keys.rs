//! Key pairs: made, used, kept.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::files;
use transducer_bundle::{KeyId, Passphrase, PublicKey, generate_key, sign_archive};

fn pair(root: &Path, passphrase: Passphrase) -> (PathBuf, PublicKey) {
    let secret = root.join("alice.key");
    let public = generate_key(&secret, &root.join("alice.pub"), passphrase).unwrap();
    (secret, public)
}

fn archive(root: &Path) -> PathBuf {
    let path = root.join("hello.tadapter");
    std::fs::write(&path, files("1.0.0", 1.0).write().unwrap()).unwrap();
    path
}

#[test]
fn what_is_signed_verifies_and_says_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (secret, public) = pair(root.path(), Passphrase::None);
    assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let archive = archive(root.path());
    let signed = sign_archive(&archive, &secret, None).unwrap();
    assert_eq!(signed.key, public.id());
    assert!(signed.comment.starts_with("hello 1.0.0 "), "{}", signed.comment);
    let bytes = std::fs::read(&archive).unwrap();
    let public = PublicKey::open(&root.path().join("alice.pub")).unwrap();
    assert_eq!(public.check(&archive, &bytes).unwrap(), signed.comment);
}

#[test]
fn a_passphrase_is_needed_where_there_is_one() {
    let root = tempfile::tempdir().unwrap();
    let (secret, _) = pair(root.path(), Passphrase::Given("horse".to_owned()));
    let archive = archive(root.path());
    let error = sign_archive(&archive, &secret, Some("mule".to_owned())).unwrap_err();
    assert!(error.to_string().contains("Wrong password"), "{error}");
    assert!(!archive.with_extension("tadapter.minisig").exists());
    sign_archive(&archive, &secret, Some("horse".to_owned())).unwrap();
}

#[test]
fn a_key_is_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let (secret, _) = pair(root.path(), Passphrase::None);
    let before = std::fs::read(&secret).unwrap();
    let error = generate_key(&secret, &root.path().join("b.pub"), Passphrase::None).unwrap_err();
    assert!(error.to_string().contains("is never overwritten"), "{error}");
    assert_eq!(std::fs::read(&secret).unwrap(), before);
}

#[test]
fn only_archives_that_a_host_takes_are_signed() {
    let root = tempfile::tempdir().unwrap();
    let (secret, _) = pair(root.path(), Passphrase::None);
    let path = root.path().join("x.tadapter");
    std::fs::write(&path, "nothing").unwrap();
    assert!(sign_archive(&path, &secret, None).is_err());
    let error = sign_archive(root.path(), &secret, None).unwrap_err();
    assert!(error.to_string().contains("`transducer-host pack`"), "{error}");
}

#[test]
fn a_key_id_is_written_as_minisign_writes_it() {
    // The key that minisign's own documentation shows.
    let key = PublicKey::parse(
        "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
        Path::new("x"),
    );
    assert_eq!(key.unwrap().id().to_string(), "E7620F1842B4E81F");
    let id: KeyId = "e7620f1842b4e81f".parse().unwrap();
    assert_eq!(id.to_string(), "E7620F1842B4E81F");
    assert!("E762".parse::<KeyId>().is_err());
}
