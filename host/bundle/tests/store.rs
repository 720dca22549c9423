//! Installing and going back, also where the file system fails at any step or the program dies there.

mod common;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::{MANIFEST, files, folder, package};
use expect_test::expect;
use tempfile::TempDir;
use transducer_bundle::{AdapterName, Asked, Bundle, Expected, Store, StoreError, named_signer};

fn name() -> AdapterName {
    "hello".parse().unwrap()
}

/// An archive to be installed.
fn archive(dir: &TempDir, version: &str, number: f32) -> PathBuf {
    let path = dir.path().join(format!("{version}-{number}.tadapter"));
    std::fs::write(&path, files(version, number).write().unwrap()).unwrap();
    path
}

/// An archive of an adapter of another name, with what may be a signature beside it.
fn signed_archive_of(dir: &TempDir, name: &str, version: &str) -> PathBuf {
    let mut files = files(version, 1.0);
    let manifest = MANIFEST
        .replace("1.2.0", version)
        .replace("\"hello\"", &format!("{name:?}"));
    files.files.insert("adapter.toml".to_owned(), manifest.into_bytes());
    let path = dir.path().join(format!("{name}-{version}.tadapter"));
    std::fs::write(&path, files.write().unwrap()).unwrap();
    let author = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let signature = minisign::sign(None, &author.sk, bytes.as_slice(), None, None).unwrap();
    std::fs::write(path.with_extension("tadapter.minisig"), signature.to_string()).unwrap();
    path
}

fn is_signed(installed: &Path) -> bool {
    let bytes = std::fs::read(installed).unwrap();
    named_signer(installed, &bytes).unwrap().is_some()
}

/// The version that a host would serve; none if there is none. A broken archive is a failure.
#[track_caller]
fn served(adapters: &Path) -> Option<String> {
    let found = Bundle::open_all(adapters).unwrap();
    assert!(found.len() <= 1, "{found:?}");
    let bundle = found.into_iter().next()?.bundle.expect("what a host finds is whole");
    Some(bundle.manifest.version.to_string())
}

fn told(error: &impl ToString, root: &TempDir) -> String {
    error.to_string().replace(root.path().to_str().unwrap(), "")
}

#[test]
fn versions_follow_one_another_and_can_be_gone_back_to() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let adapters = root.path().join("adapters");
    let store = Store::new(&adapters);
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        store.install(&archive(&from, version, 1.0), false).unwrap();
        assert_eq!(served(&adapters).as_deref(), Some(version));
    }
    let switched = store.rollback(&name()).unwrap();
    assert_eq!(
        (switched.before.unwrap().to_string(), switched.now.to_string()),
        ("1.2.0".into(), "1.1.0".into())
    );
    store.rollback(&name()).unwrap();
    assert_eq!(served(&adapters).as_deref(), Some("1.0.0"));
    expect!["no version of hello from before 1.0.0 is kept"]
        .assert_eq(&told(&store.rollback(&name()).unwrap_err(), &root));
    // What was rolled back from is not what comes before the next one.
    store.install(&archive(&from, "2.0.0", 1.0), false).unwrap();
    store.rollback(&name()).unwrap();
    assert_eq!(served(&adapters).as_deref(), Some("1.0.0"));
    store.uninstall(&name()).unwrap();
    assert_eq!(served(&adapters), None);
    expect!["no archive in /adapters is named hello"].assert_eq(&told(&store.uninstall(&name()).unwrap_err(), &root));
    expect!["no archive in /adapters is named hello"].assert_eq(&told(&store.rollback(&name()).unwrap_err(), &root));
}

#[test]
fn the_installed_one_is_the_one_that_was_given() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let given = archive(&from, "1.0.0", 1.0);
    let switched = Store::new(root.path()).install(&given, false).unwrap();
    assert_eq!(switched.generation, package("1.0.0", 1.0).bundle.generation);
    let installed = root.path().join("hello.tadapter");
    assert_eq!(std::fs::read(installed).unwrap(), std::fs::read(given).unwrap());
}

#[test]
fn an_older_version_or_other_contents_need_a_word() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    store.install(&archive(&from, "1.1.0", 1.0), false).unwrap();
    let error = store.install(&archive(&from, "1.1.0-rc.1", 1.0), false).unwrap_err();
    expect!["hello 1.1.0 is installed, and 1.1.0-rc.1 is older: give --allow-downgrade if you mean it"]
        .assert_eq(&told(&error, &root));
    let error = store
        .install(&archive(&from, "1.1.0", 2.0), false)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("hello 1.1.0 is installed with other contents (generation "),
        "{error}"
    );
    store.install(&archive(&from, "1.0.0", 1.0), true).unwrap();
    assert_eq!(served(root.path()).as_deref(), Some("1.0.0"));
    store.rollback(&name()).unwrap();
    assert_eq!(served(root.path()).as_deref(), Some("1.1.0"));
}

#[test]
fn only_a_few_versions_are_kept() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    for minor in 0..9 {
        store
            .install(&archive(&from, &format!("1.{minor}.0"), 1.0), false)
            .unwrap();
    }
    assert_eq!(
        std::fs::read_dir(root.path().join(".store/versions/hello"))
            .unwrap()
            .count(),
        5
    );
    for _ in 0..4 {
        store.rollback(&name()).unwrap();
    }
    assert_eq!(served(root.path()).as_deref(), Some("1.4.0"));
    assert!(store.rollback(&name()).is_err());
}

#[test]
fn what_somebody_else_put_there_is_left_alone() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    let dir = folder(root.path());
    let error = store.install(&archive(&from, "3.0.0", 1.0), false).unwrap_err();
    expect!["/hello is a bundle named hello that `install` did not put there: move it away first"]
        .assert_eq(&told(&error, &root));
    let error = store.install(&dir, false).unwrap_err();
    expect!["/hello is not a .tadapter file: `pack` makes one of a bundle's folder"].assert_eq(&told(&error, &root));
    let error = store.uninstall(&name()).unwrap_err();
    expect!["/hello is a bundle named hello that `install` did not put there: move it away first"]
        .assert_eq(&told(&error, &root));
    assert_eq!(served(root.path()).as_deref(), Some("1.2.0"));
}

#[test]
fn an_adapter_may_be_named_as_what_the_store_needs_for_itself() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    let names = ["lock", "staged", "signatures", "versions"];
    for name in names {
        for version in ["1.0.0", "1.1.0"] {
            store.install(&signed_archive_of(&from, name, version), false).unwrap();
        }
    }
    store
        .install(&signed_archive_of(&from, "hello", "1.0.0"), false)
        .unwrap();
    for name in names {
        let name = name.parse().unwrap();
        assert_eq!(store.rollback(&name).unwrap().now.to_string(), "1.0.0");
        store.uninstall(&name).unwrap();
    }
    assert_eq!(served(root.path()).as_deref(), Some("1.0.0"));
    assert!(
        is_signed(&root.path().join("hello.tadapter")),
        "another's signature is gone"
    );
    assert!(
        store.uninstall(&"signatures".parse().unwrap()).is_err(),
        "it was never told that there is none"
    );
}

/// Puts an adapter's archives where hosts before `.store/versions` kept them.
fn as_before(adapters: &Path, name: &str) {
    let (versions, before) = (
        adapters.join(".store/versions").join(name),
        adapters.join(".store").join(name),
    );
    std::fs::create_dir_all(&before).unwrap();
    for entry in std::fs::read_dir(&versions).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, before.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::remove_dir(versions).unwrap();
}

#[test]
fn what_an_earlier_host_installed_is_found() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    let names = ["hello", "signatures"];
    for name in names {
        for version in ["1.0.0", "1.1.0"] {
            store.install(&signed_archive_of(&from, name, version), false).unwrap();
        }
        as_before(root.path(), name);
    }
    // What a try to install an adapter of that name left there.
    std::fs::create_dir(root.path().join(".store/staged")).unwrap();
    for name in names {
        let installed = root.path().join(format!("{name}.tadapter"));
        assert!(is_signed(&installed), "{name}");
        assert_eq!(store.rollback(&name.parse().unwrap()).unwrap().now.to_string(), "1.0.0");
        assert!(is_signed(&installed), "{name}");
        as_before(root.path(), name);
    }
    let signatures = || {
        std::fs::read_dir(root.path().join(".store/signatures"))
            .unwrap()
            .count()
    };
    store.uninstall(&"signatures".parse().unwrap()).unwrap();
    assert_eq!(signatures(), 2, "those of the other are left, and nothing else");
    assert!(is_signed(&root.path().join("hello.tadapter")));
    store.uninstall(&name()).unwrap();
    assert_eq!(signatures(), 0);
    assert!(!root.path().join(".store/hello").exists());
}

#[test]
fn what_was_installed_and_moved_is_not_said_to_be_gone() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    store.install(&archive(&from, "1.0.0", 1.0), false).unwrap();
    let moved = root.path().join("hello-1.0.0.tadapter");
    std::fs::rename(root.path().join("hello.tadapter"), moved).unwrap();
    let occupied =
        expect!["/hello-1.0.0.tadapter is a bundle named hello that `install` did not put there: move it away first"];
    for _ in 0..2 {
        occupied.assert_eq(&told(&store.uninstall(&name()).unwrap_err(), &root));
    }
    assert_eq!(served(root.path()).as_deref(), Some("1.0.0"));
}

#[test]
fn a_link_in_place_of_an_archive_is_replaced_and_what_it_points_to_is_not() {
    let from = tempfile::tempdir().unwrap();
    let (one, two, elsewhere) = (
        archive(&from, "1.0.0", 1.0),
        archive(&from, "2.0.0", 1.0),
        archive(&from, "1.5.0", 1.0),
    );
    for target in [elsewhere.clone(), from.path().join("nowhere")] {
        let root = tempfile::tempdir().unwrap();
        let (store, place) = (Store::new(root.path()), root.path().join("hello.tadapter"));
        store.install(&one, false).unwrap();
        let link = || {
            std::fs::remove_file(&place).unwrap();
            std::os::unix::fs::symlink(&target, &place).unwrap();
        };
        link();
        let before = store.install(&two, false).unwrap().before;
        assert!(before.is_none() && !place.is_symlink());
        assert_eq!(served(root.path()).as_deref(), Some("2.0.0"));
        // What was installed before the link is what there is to go back to.
        store.rollback(&name()).unwrap();
        assert_eq!(served(root.path()).as_deref(), Some("1.0.0"));
        link();
        store.uninstall(&name()).unwrap();
        assert!(!place.is_symlink());
        assert_eq!(served(root.path()), None);
    }
    assert_eq!(std::fs::read(elsewhere).unwrap(), files("1.5.0", 1.0).write().unwrap());
}

#[test]
fn weights_that_are_no_numbers_are_not_installed() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let error = Store::new(root.path())
        .install(&archive(&from, "1.0.0", f32::NAN), false)
        .unwrap_err();
    expect![
        "hello: fusion.query[0] is NaN, expected a finite number: the training has diverged or the file is damaged"
    ]
    .assert_eq(&told(&error, &root));
    assert_eq!(served(root.path()), None);
}

/// A store whose `at`th step fails; `dead` tells whether the steps after it fail too, as they do for a program that was killed.
fn faulty(adapters: &Path, at: usize, dead: bool) -> (Store, Rc<Cell<bool>>) {
    let (reached, mut step) = (Rc::new(Cell::new(false)), 0);
    let failed = reached.clone();
    let store = Store::with_fault(adapters, move |_| {
        step += 1;
        if step == at || (dead && step > at) {
            failed.set(true);
            return Err(io::Error::other("the plug was pulled"));
        }
        Ok(())
    });
    (store, reached)
}

/// Lets `change` fail at every one of its steps, each time on a directory of its own, and asks what a host would serve then.
/// Returns how many steps there were.
fn at_every_step(
    prepare: &dyn Fn(&Path),
    change: &dyn Fn(&Store) -> bool,
    old: Option<&str>,
    new: Option<&str>,
    dead: bool,
) -> usize {
    for at in 1.. {
        let root = tempfile::tempdir().unwrap();
        prepare(root.path());
        let (store, failed) = faulty(root.path(), at, dead);
        let done = change(&store);
        let now = served(root.path());
        if !failed.get() {
            assert!(done, "no step failed");
            assert_eq!(now.as_deref(), new);
            return at - 1;
        }
        assert!(!done, "a failure at step {at} was not told");
        assert!(
            now.as_deref() == old || now.as_deref() == new,
            "{now:?} after step {at}"
        );
        // The next program is not bothered by what this one left.
        assert!(
            change(&Store::new(root.path())) || now.as_deref() == new,
            "after step {at}"
        );
        assert_eq!(served(root.path()).as_deref(), new, "after step {at}");
    }
    unreachable!("some number of steps is enough")
}

#[test]
fn an_installation_that_dies_leaves_the_old_or_the_new() {
    let from = tempfile::tempdir().unwrap();
    let (one, two) = (archive(&from, "1.0.0", 1.0), archive(&from, "2.0.0", 1.0));
    for dead in [false, true] {
        let install = |store: &Store| store.install(&two, false).is_ok();
        let first = at_every_step(&|_| (), &install, None, Some("2.0.0"), dead);
        assert!(first > 10, "{first} steps");
        let prepare = |adapters: &Path| drop(Store::new(adapters).install(&one, false).unwrap());
        let second = at_every_step(&prepare, &install, Some("1.0.0"), Some("2.0.0"), dead);
        assert!(second >= first, "{second} steps");
    }
}

#[test]
fn a_rollback_that_dies_leaves_the_old_or_the_new() {
    let from = tempfile::tempdir().unwrap();
    let (one, two) = (archive(&from, "1.0.0", 1.0), archive(&from, "2.0.0", 1.0));
    let prepare = |adapters: &Path| {
        let store = Store::new(adapters);
        store.install(&one, false).unwrap();
        store.install(&two, false).unwrap();
    };
    let rollback = |store: &Store| store.rollback(&name()).is_ok();
    for dead in [false, true] {
        at_every_step(&prepare, &rollback, Some("2.0.0"), Some("1.0.0"), dead);
    }
}

#[test]
fn an_uninstallation_that_dies_leaves_all_or_nothing_to_serve() {
    let from = tempfile::tempdir().unwrap();
    let one = archive(&from, "1.0.0", 1.0);
    let prepare = |adapters: &Path| drop(Store::new(adapters).install(&one, false).unwrap());
    let uninstall = |store: &Store| store.uninstall(&name()).is_ok();
    for dead in [false, true] {
        at_every_step(&prepare, &uninstall, Some("1.0.0"), None, dead);
    }
}

#[test]
fn who_has_seen_another_generation_changes_nothing() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::new(root.path());
    let asked = |expected| Asked {
        expected: Some(expected),
        name: Some(name()),
        ..Asked::default()
    };
    let (old, new) = (archive(&from, "1.0.0", 1.0), archive(&from, "1.1.0", 1.0));
    store.install_asking(&old, false, &asked(Expected::Absent)).unwrap();
    let there = Expected::Generation(package("1.0.0", 1.0).bundle.generation.to_string());
    for wrong in [Expected::Absent, Expected::Generation("a".repeat(64))] {
        let refused = [
            store.install_asking(&new, false, &asked(wrong.clone())).map(drop),
            store.rollback_from(&name(), Some(&wrong)).map(drop),
            store.uninstall_if(&name(), Some(&wrong)),
        ];
        for result in refused {
            assert!(
                matches!(result, Err(StoreError::OtherGeneration { found: Some(_), .. })),
                "{result:?}"
            );
        }
    }
    assert_eq!(served(root.path()).as_deref(), Some("1.0.0"));
    store.install_asking(&new, false, &asked(there.clone())).unwrap();
    let now = Expected::Generation(package("1.1.0", 1.0).bundle.generation.to_string());
    store.rollback_from(&name(), Some(&now)).unwrap();
    store.uninstall_if(&name(), Some(&there)).unwrap();
    let error = store.install_asking(&new, false, &asked(there)).unwrap_err();
    assert!(error.to_string().starts_with("hello is not installed, and"), "{error}");
    let other = Asked {
        name: Some("other".parse().unwrap()),
        ..Asked::default()
    };
    expect!["the bundle is named hello, not other"]
        .assert_eq(&told(&store.install_asking(&new, false, &other).unwrap_err(), &root));
}
