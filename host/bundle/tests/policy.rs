//! Policies: what can be written in one, what it lets in, and how keys are put in and taken out.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::files;
use expect_test::{Expect, expect};
use tempfile::TempDir;
use transducer_bundle::{
    Asked, Bundle, Passphrase, Policy, PolicyFile, PublicKey, Store, Trusted, generate_key, sign_archive,
};

/// A key of minisign's own documentation.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

#[track_caller]
fn bad(text: &str, expected: Expect) {
    let error = Policy::parse(text, Path::new("policy.toml")).unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[test]
fn what_is_no_policy() {
    bad(
        "require-signatures = true",
        expect![[r#"
            the policy policy.toml: TOML parse error at line 1, column 1
              |
            1 | require-signatures = true
              | ^^^^^^^^^^^^^^^^^^
            unknown field `require-signatures`, expected one of `require-signature`, `trusted`, `revoked`, `licenses`, `max-bytes`, `max-memory-mib`, `max-deadline-ms`
        "#]],
    );
    bad(
        "",
        expect![[r#"
            the policy policy.toml: TOML parse error at line 1, column 1
              |
            1 | 
              | ^
            missing field `require-signature`
        "#]],
    );
    bad(
        "require-signature = true\n[[trusted]]\nkey = \"RWQ\"\nname = \"alice\"\nadapters = [\"*\"]",
        expect![[
            r#"the policy: `trusted.key` of "alice": policy.toml is no minisign public key: Invalid encoding in minisign data"#
        ]],
    );
    bad(
        &format!("require-signature = true\n[[trusted]]\nkey = \"{KEY}\"\nname = \"alice\"\nadapters = [\"a?c\"]"),
        expect![[
            r#"the policy policy.toml: `trusted.adapters` of "alice": "a?c" can be no adapter's name: lower-case letters, digits, `-`, and `*` for any number of them"#
        ]],
    );
    bad(
        "require-signature = true\nrevoked = [\"17\"]",
        expect![[
            r#"the policy policy.toml: `revoked`: "17" is no key id: it has 16 hexadecimal digits, as in E7620F1842B4E81F"#
        ]],
    );
    bad(
        "require-signature = true\nlicenses = [\"Apache 2\"]",
        expect![[r#"the policy policy.toml: `licenses`: "Apache 2" is no SPDX identifier, as Apache-2.0 is one"#]],
    );
}

/// A folder with a key pair and an archive that is signed with it.
struct Place {
    root: TempDir,
    archive: PathBuf,
    key: PublicKey,
}

fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("alice.key");
    let key = generate_key(&secret, &root.path().join("alice.pub"), Passphrase::None).unwrap();
    let archive = root.path().join("hello.tadapter");
    std::fs::write(&archive, files("1.0.0", 1.0).write().unwrap()).unwrap();
    sign_archive(&archive, &secret, None).unwrap();
    Place { root, archive, key }
}

impl Place {
    fn policy(&self, text: &str) -> Policy {
        let text = text.replace("KEY", self.key.base64());
        Policy::parse(&text, Path::new("policy.toml")).unwrap()
    }

    /// What is said of the archive; nothing where it is let in.
    fn told(&self, text: &str) -> String {
        let told = Bundle::open_under(&self.archive, Some(&self.policy(text)));
        let told = told.err().map(|error| error.to_string()).unwrap_or_default();
        told.replace(&format!("{}/", self.root.path().display()), "")
    }
}

#[test]
fn licences_and_sizes() {
    let place = place();
    assert_eq!(
        place.told("require-signature = false\nlicenses = [\"MIT\", \"Apache-2.0\"]"),
        ""
    );
    assert_eq!(
        place.told("require-signature = false\nlicenses = [\"MIT\"]"),
        "hello.tadapter has the licence Apache-2.0, and policy.toml allows MIT"
    );
    let bytes = std::fs::metadata(&place.archive).unwrap().len();
    assert_eq!(
        place.told(&format!("require-signature = false\nmax-bytes = {bytes}")),
        ""
    );
    assert_eq!(
        place.told(&format!("require-signature = false\nmax-bytes = {}", bytes - 1)),
        format!("hello.tadapter has {bytes} bytes, and policy.toml allows {}", bytes - 1)
    );
}

#[test]
fn where_no_signature_is_required_a_bad_one_is_refused_all_the_same() {
    let place = place();
    let policy = "require-signature = false\n[[trusted]]\nkey = \"KEY\"\nname = \"alice\"\nadapters = [\"hello\"]";
    assert_eq!(place.told(policy), "");
    assert_eq!(place.told("require-signature = false"), "");
    assert!(
        place
            .told(&format!(
                "require-signature = false\nrevoked = [\"{}\"]",
                place.key.id()
            ))
            .contains("has revoked")
    );
    std::fs::write(&place.archive, files("1.0.0", 2.0).write().unwrap()).unwrap();
    assert_eq!(
        place.told(policy),
        "hello.tadapter is not what was signed: The signature verification failed"
    );
    std::fs::remove_file(place.archive.with_extension("tadapter.minisig")).unwrap();
    assert_eq!(place.told(policy), "");
}

#[test]
fn a_key_with_the_number_of_another_is_not_that_other() {
    let place = place();
    // The number is in the clear: a stranger's key with the number that is trusted.
    let other = generate_key(
        &place.root.path().join("m.key"),
        &place.root.path().join("m.pub"),
        Passphrase::None,
    );
    let signature = place.archive.with_extension("tadapter.minisig");
    sign_archive(&place.archive, &place.root.path().join("m.key"), None).unwrap();
    let text = std::fs::read_to_string(&signature).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert_ne!(other.unwrap().id(), place.key.id());
    let forged = forge(line, &place.key);
    std::fs::write(&signature, text.replace(line, &forged)).unwrap();
    let policy = "require-signature = true\n[[trusted]]\nkey = \"KEY\"\nname = \"alice\"\nadapters = [\"hello\"]";
    assert_eq!(
        place.told(policy),
        "hello.tadapter is not what was signed: The signature verification failed"
    );
}

/// The signature with the number of another key.
fn forge(signature: &str, key: &PublicKey) -> String {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let mut bytes = engine.decode(signature).unwrap();
    bytes[2..10].copy_from_slice(&engine.decode(key.base64()).unwrap()[2..10]);
    engine.encode(bytes)
}

#[test]
fn a_signature_comes_along_when_its_archive_is_installed_and_rolled_back() {
    let place = place();
    let (root, adapters) = (place.root.path(), place.root.path().join("adapters"));
    let text = "require-signature = true\n[[trusted]]\nkey = \"KEY\"\nname = \"alice\"\nadapters = [\"h*o\"]";
    let asked = Asked {
        policy: Some(place.policy(text)),
        ..Asked::default()
    };
    let store = Store::new(&adapters);
    let signer = || {
        let found = Bundle::open_all_under(&adapters, asked.policy.as_ref())
            .unwrap()
            .remove(0);
        (
            found.bundle.unwrap().manifest.version.to_string(),
            found.signer.unwrap().name,
        )
    };
    store.install_asking(&place.archive, false, &asked).unwrap();
    assert_eq!(signer(), ("1.0.0".to_owned(), "alice".to_owned()));
    std::fs::write(&place.archive, files("1.1.0", 1.0).write().unwrap()).unwrap();
    assert!(store.install_asking(&place.archive, false, &asked).is_err());
    sign_archive(&place.archive, &root.join("alice.key"), None).unwrap();
    store.install_asking(&place.archive, false, &asked).unwrap();
    assert_eq!(signer(), ("1.1.0".to_owned(), "alice".to_owned()));
    let name = "hello".parse().unwrap();
    store.rollback(&name).unwrap();
    assert_eq!(signer(), ("1.0.0".to_owned(), "alice".to_owned()));
    store.uninstall(&name).unwrap();
    let kept = std::fs::read_dir(adapters.join(".store/signatures")).unwrap().count();
    assert_eq!(kept, 0);
}

#[test]
fn a_file_is_changed_and_keeps_what_its_owner_wrote() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("policy.toml");
    let written = "# Ours.\nrequire-signature = true # always\nmax-bytes = 1000\n";
    std::fs::write(&path, written).unwrap();
    let alice = |adapters: &str| Trusted {
        key: PublicKey::parse(KEY, Path::new("x")).unwrap(),
        name: "alice".to_owned(),
        adapters: vec![adapters.to_owned()],
    };
    let mut file = PolicyFile::open(&path).unwrap();
    file.trust(&alice("a-*")).unwrap();
    file.trust(&alice("b-*")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        format!("{written}\n[[trusted]]\nkey = \"{KEY}\"\nname = \"alice\"\nadapters = [\"b-*\"]\n")
    );
    // What cannot be a policy is not written.
    assert!(file.trust(&alice("B")).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let mut file = PolicyFile::open(&path).unwrap();
    let id = file.policy().trusted[0].key.id();
    assert_eq!(file.revoke(id).unwrap(), ["alice"]);
    let policy = Policy::open(&path).unwrap();
    assert!(policy.trusted.is_empty() && policy.revoked == [id], "{policy:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(written), "{text}");
}

#[test]
fn a_policy_that_everybody_may_write_is_none() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("policy.toml");
    std::fs::write(&path, "require-signature = true\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = Policy::open(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("can be written by everybody: `chmod o-w` it"),
        "{error}"
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let policy = Policy::open(&path).unwrap();
    assert!(policy.lies_outside(root.path()).is_err());
    assert!(policy.lies_outside(&root.path().join("nowhere")).is_ok());
}

#[test]
fn of_what_is_refused_one_keeps_the_name() {
    let adapters = tempfile::tempdir().unwrap();
    let files = files("1.0.0", 1.0);
    std::fs::write(adapters.path().join("hello.tadapter"), files.write().unwrap()).unwrap();
    std::fs::create_dir(adapters.path().join("hello")).unwrap();
    for (name, bytes) in &files.files {
        std::fs::write(adapters.path().join("hello").join(name), bytes).unwrap();
    }
    let policy = Policy::parse("require-signature = true", Path::new("policy.toml")).unwrap();
    let found = Bundle::open_all_under(adapters.path(), Some(&policy)).unwrap();
    let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["hello", "hello.tadapter"]);
    assert!(found.iter().all(|found| found.bundle.is_err()));
}

#[test]
fn a_broken_folder_does_not_take_a_signed_archive_down() {
    let place = place();
    let text = "require-signature = true\n[[trusted]]\nkey = \"KEY\"\nname = \"alice\"\nadapters = [\"*\"]";
    let policy = place.policy(text);
    let root = place.root.path();
    std::fs::create_dir(root.join("hello")).unwrap();
    std::fs::write(root.join("hello/adapter.toml"), "no manifest").unwrap();
    let found = Bundle::open_all_under(root, Some(&policy)).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|found| (found.name.as_str(), found.bundle.is_ok()))
        .collect();
    assert_eq!(names, [("hello", true), ("hello/", false)]);
}
