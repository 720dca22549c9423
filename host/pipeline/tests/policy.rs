//! What a host with a policy takes, and what goes on when the policy or the bundles change.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::Adapters;
use tempfile::TempDir;
use transducer_bundle::{Package, Passphrase, Policy, PublicKey, generate_key, sign_archive, signature_path};
use transducer_pipeline::{AdapterState, Host, Install, Service};

/// Two authors, and a policy that trusts both with everything.
struct Place {
    keys: TempDir,
    authors: [PublicKey; 2],
    bundles: Adapters,
    served: TempDir,
}

const ALICE: usize = 0;
const BOB: usize = 1;

impl Place {
    fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let path = |author: usize, kind: &str| keys.path().join(format!("{author}.{kind}"));
        let authors = [ALICE, BOB]
            .map(|author| generate_key(&path(author, "key"), &path(author, "pub"), Passphrase::None).unwrap());
        let place = Self {
            keys,
            authors,
            bundles: Adapters::new(),
            served: tempfile::tempdir().unwrap(),
        };
        place.allow("");
        place
    }

    fn policy(&self) -> PathBuf {
        self.keys.path().join("policy.toml")
    }

    /// Writes the policy, with a line more.
    fn allow(&self, line: &str) {
        let mut text = format!("require-signature = true\n{line}\n");
        for (author, key) in self.authors.iter().enumerate() {
            let key = key.base64();
            text += &format!("[[trusted]]\nkey = {key:?}\nname = \"{author}\"\nadapters = [\"*\"]\n");
        }
        std::fs::write(self.policy(), text).unwrap();
    }

    fn revoke(&self, author: usize) {
        let (key, id) = (self.authors[1 - author].base64(), self.authors[author].id());
        let text = format!(
            "require-signature = true\nrevoked = [\"{id}\"]\n[[trusted]]\nkey = {key:?}\nname = \"other\"\nadapters = [\"*\"]\n"
        );
        std::fs::write(self.policy(), text).unwrap();
    }

    /// The adapter `one` of this version, signed, in a file of its own; and the text of its signature.
    fn signed(&self, version: &str, author: usize, edit: impl Fn(String) -> String) -> (Vec<u8>, String) {
        self.bundles.put("one", None, |manifest| {
            let is_version = |line: &&str| line.starts_with("version = ");
            let old = manifest.lines().find(is_version).unwrap().to_owned();
            edit(manifest.replace(&old, &format!("version = {version:?}")))
        });
        let packed = Package::open(&self.bundles.0.path().join("one"))
            .unwrap()
            .pack()
            .unwrap();
        let archive = self.keys.path().join("one.tadapter");
        std::fs::write(&archive, &packed).unwrap();
        sign_archive(&archive, &self.keys.path().join(format!("{author}.key")), None).unwrap();
        (packed, std::fs::read_to_string(signature_path(&archive)).unwrap())
    }

    /// Puts it into the directory that is served.
    fn serve(&self, version: &str, author: usize, edit: impl Fn(String) -> String) {
        let (packed, signature) = self.signed(version, author, edit);
        let archive = self.served.path().join("one.tadapter");
        std::fs::write(signature_path(&archive), signature).unwrap();
        std::fs::write(archive, packed).unwrap();
    }

    fn load(&self) -> Host {
        common::load_under(self.served.path(), Arc::new(Policy::open(&self.policy()).unwrap()))
    }
}

/// The version of `one` that serves, if one does, and why it is no other.
fn serves(host: &Host) -> (Option<String>, Option<String>) {
    let status = host.adapters().into_iter().find(|status| status.name == "one").unwrap();
    match status.state {
        AdapterState::Ready(info) => (Some(info.version), status.last_error),
        AdapterState::Broken { error } => (None, Some(error)),
    }
}

fn for_another_model(manifest: String) -> String {
    let is_pin = |line: &&str| line.starts_with("embedding-sha256");
    let pin = manifest.lines().find(is_pin).unwrap().to_owned();
    manifest.replace(&pin, &format!("embedding-sha256 = {:?}", "0".repeat(64)))
}

fn unchanged(manifest: String) -> String {
    manifest
}

#[test]
fn a_revoked_signers_generation_goes_on_no_longer_behind_one_that_cannot_serve() {
    let place = Place::new();
    place.serve("0.3.0", ALICE, unchanged);
    let host = place.load();
    place.serve("0.4.0", BOB, for_another_model);
    host.reload().unwrap();
    let (version, error) = serves(&host);
    assert_eq!(version.as_deref(), Some("0.3.0"));
    assert!(error.is_some());

    place.revoke(ALICE);
    host.reload().unwrap();
    let (version, error) = serves(&host);
    assert_eq!(version, None, "what serves was not asked for");
    assert!(error.unwrap().contains("embedding"));

    place.serve("0.4.1", BOB, unchanged);
    host.reload().unwrap();
    assert_eq!(serves(&host), (Some("0.4.1".to_owned()), None));
    // What the new policy lets in as it let it in before is not loaded again.
    let loaded = host.reloads().loaded;
    place.allow("");
    host.reload().unwrap();
    assert_eq!(serves(&host), (Some("0.4.1".to_owned()), None));
    assert_eq!(host.reloads().loaded, loaded);
}

#[test]
fn a_change_of_the_policy_counts_also_where_the_directory_was_away() {
    let place = Place::new();
    place.serve("0.3.0", ALICE, unchanged);
    let host = place.load();
    let away = place.keys.path().join("away");
    std::fs::rename(place.served.path(), &away).unwrap();
    place.revoke(ALICE);
    assert!(host.reload().is_err());
    std::fs::rename(&away, place.served.path()).unwrap();
    host.reload().unwrap();
    let (version, error) = serves(&host);
    assert_eq!(version, None);
    assert!(error.unwrap().contains("revoked"));
}

#[test]
fn what_is_sent_is_told_of_by_its_own_name() {
    let place = Place::new();
    let host = place.load();
    let told = |archive: &[u8], signature: Option<&str>| {
        let sent = Install {
            name: "one",
            archive: archive.to_owned(),
            signature,
            expected: None,
            allow_downgrade: false,
        };
        host.install(sent).unwrap_err().to_string()
    };
    let (packed, signature) = place.signed("0.3.0", ALICE, unchanged);
    let unsigned = told(&packed, None);
    let swapped = told(b"no archive", Some(&signature));
    let no_signature = told(&packed, Some("no signature"));
    place.revoke(ALICE);
    host.reload().unwrap();
    let revoked = told(&packed, Some(&signature));
    for error in [&unsigned, &swapped, &no_signature, &revoked] {
        assert!(error.starts_with("one.tadapter"), "{error}");
        // The policy is the owner's, and lies where it lies.
        let error = error.replace(place.keys.path().to_str().unwrap(), "");
        assert!(!error.contains(std::env::temp_dir().to_str().unwrap()), "{error}");
    }
    // What is trusted comes in with its signature.
    place.revoke(BOB);
    host.reload().unwrap();
    let sent = Install {
        name: "one",
        archive: packed,
        signature: Some(&signature),
        expected: None,
        allow_downgrade: false,
    };
    assert_eq!(host.install(sent).unwrap().version, "0.3.0");
}
