//! Keys from the file to the door.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use transducer_access::{AccessError, Denied, Entry, Gate, KeyFile};

fn entry(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        digest: [0; 32],
        adapters: None,
        requests_per_minute: None,
        admin: false,
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.toml");
    (dir, path)
}

fn add(path: &Path, entry: &Entry) -> String {
    let mut file = KeyFile::open_or_new(path).unwrap();
    file.add(entry).unwrap().secret().to_owned()
}

#[test]
fn a_key_opens_what_it_was_made_for_until_it_is_revoked() {
    let (_dir, path) = place();
    let narrow = Entry {
        adapters: Some(["a".to_owned()].into()),
        ..entry("narrow")
    };
    let secret = add(&path, &narrow);
    let gate = Gate::open(&path).unwrap();
    let pass = gate.pass(&secret).unwrap();
    assert_eq!((pass.name.as_str(), pass.admin), ("narrow", false));
    assert!(pass.allows("a") && !pass.allows("b"));

    // Another key counts at once.
    let admin = add(
        &path,
        &Entry {
            admin: true,
            ..entry("admin")
        },
    );
    assert!(gate.pass(&admin).unwrap().admin && gate.pass(&admin).unwrap().allows("b"));
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&secret));
    for wrong in ["", "thk-", &secret[..secret.len() - 1], &format!("{secret} ")] {
        assert_eq!(gate.pass(wrong), Err(Denied::Unknown));
    }

    KeyFile::open(&path).unwrap().revoke("narrow").unwrap();
    assert_eq!(gate.pass(&secret), Err(Denied::Unknown));
    gate.pass(&admin).unwrap();
    let error = KeyFile::open(&path).unwrap().revoke("narrow").unwrap_err();
    assert!(matches!(error, AccessError::Unknown { .. }), "{error}");
    let error = KeyFile::open(&path).unwrap().add(&entry("admin")).err().unwrap();
    assert!(matches!(error, AccessError::Taken { .. }), "{error}");
    let error = KeyFile::open(&path).unwrap().add(&entry("a b")).err().unwrap();
    assert!(matches!(error, AccessError::Name { .. }), "{error}");
}

#[test]
fn a_broken_file_leaves_the_keys_before_it_in_force() {
    let (_dir, path) = place();
    let secret = add(&path, &entry("a"));
    let whole = std::fs::read_to_string(&path).unwrap();
    let gate = Gate::open(&path).unwrap();
    for (broken, said) in [
        (whole.replace("sha256", "sha265"), "unknown field `sha265`"),
        (whole.replace("sha256 = \"", "sha256 = \"x"), "64 hexadecimal digits"),
        (format!("{whole}{whole}"), "two keys are named"),
        ("[[key]".to_owned(), "line 1"),
    ] {
        std::fs::write(&path, broken).unwrap();
        gate.pass(&secret).unwrap();
        let error = Gate::open(&path).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    gate.pass(&secret).unwrap();
    std::fs::write(&path, "").unwrap();
    assert_eq!(gate.pass(&secret), Err(Denied::Unknown));
}

#[test]
fn a_key_has_so_many_requests_a_minute() {
    let (_dir, path) = place();
    let rated = Entry {
        requests_per_minute: NonZeroU32::new(3),
        ..entry("rated")
    };
    let (secret, free) = (add(&path, &rated), add(&path, &entry("free")));
    let gate = Gate::open(&path).unwrap();
    for _ in 0..3 {
        gate.pass(&secret).unwrap();
        gate.pass(&free).unwrap();
    }
    // A key that is added beside it does not give it new ones.
    add(&path, &entry("another"));
    let Err(Denied::TooOften { name, wait }) = gate.pass(&secret) else {
        panic!("a fourth request within the minute");
    };
    assert_eq!(name, "rated");
    assert!(wait.as_secs() <= 20, "one in twenty seconds: {wait:?}");
    gate.pass(&free).unwrap();
}

#[test]
fn what_the_owner_wrote_stays() {
    let (_dir, path) = place();
    add(&path, &entry("a"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[[key]]", "# of the build machine\n[[key]]")).unwrap();
    add(&path, &entry("b"));
    let mut file = KeyFile::open(&path).unwrap();
    file.revoke("b").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("# of the build machine") && !text.contains("\"b\""),
        "{text}"
    );
    assert_eq!(file.entries().len(), 1);
}
