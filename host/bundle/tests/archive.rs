//! Archives of good bundles: what goes in comes out, and the same goes in as the same.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{MANIFEST, files, folder, package};
use expect_test::expect;
use transducer_bundle::{Bundle, Commit, Found, PackRecord, Package};

#[test]
fn a_folder_and_its_archive_are_one_generation() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path());
    let package = Package::open(&dir).unwrap();
    let path = root.path().join(package.file_name());
    assert_eq!(package.file_name(), "hello-1.2.0.tadapter");
    std::fs::write(&path, package.pack().unwrap()).unwrap();
    let again = Package::open(&path).unwrap();
    assert_eq!(again.bundle.generation, Bundle::open(&dir).unwrap().generation);
    assert_eq!(again.bundle.generation, Bundle::open(&path).unwrap().generation);
    assert_eq!(again.archive, package.archive);
    let names: Vec<_> = again.files().into_iter().map(|file| file.name).collect();
    assert_eq!(
        names,
        ["README.md", "adapter.toml", "task.wasm", "transducer.safetensors"]
    );
}

#[test]
fn the_same_files_are_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (folder(one.path()), folder(other.path()));
    // Modes, times and what is no part of the bundle leave no trace.
    std::fs::set_permissions(other.join("task.wasm"), PermissionsExt::from_mode(0o600)).unwrap();
    let file = std::fs::File::options()
        .append(true)
        .open(other.join("README.md"))
        .unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    std::fs::create_dir(other.join(".train")).unwrap();
    std::fs::write(other.join("notes.txt"), "mine").unwrap();
    let other = Package::open(&other).unwrap();
    assert_eq!(other.left_out, [".train", "notes.txt"]);
    let bytes = other.pack().unwrap();
    assert_eq!(Package::open(&one).unwrap().pack().unwrap(), bytes);

    let tar = zstd::decode_all(bytes.as_slice()).unwrap();
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (
                header.mode().unwrap(),
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (0o644, 0, 0, 0)
        );
        assert_eq!(header.username_bytes(), Some(b"".as_slice()));
    }
}

#[test]
fn weights_are_counted_and_measured() {
    let weights = common::package("1.2.0", 1.0).weights().unwrap().unwrap();
    assert_eq!(weights.parameters, 4);
    let tensor = &weights.tensors[0];
    assert_eq!(
        (tensor.name.as_str(), tensor.shape.as_slice()),
        ("fusion.query", [2, 2].as_slice())
    );
    assert_eq!(
        (tensor.min, tensor.max, tensor.mean, tensor.rms),
        (-1.0, 2.0, 0.625, 1.25)
    );
}

fn names(found: &[Found], root: &Path) -> Vec<String> {
    let told = |found: &Found| match &found.bundle {
        Ok(bundle) => format!("{}: {}", found.name, bundle.manifest.version),
        Err(error) => format!(
            "{}: {}",
            found.name,
            error.to_string().replace(root.to_str().unwrap(), "")
        ),
    };
    found.iter().map(told).collect()
}

#[test]
fn folders_and_archives_stand_side_by_side() {
    let root = tempfile::tempdir().unwrap();
    let put = |file: &str, bytes: &[u8]| std::fs::write(root.path().join(file), bytes).unwrap();
    let packed = files("1.2.0", 1.0).write().unwrap();
    // A file may be called anything: the name is in the manifest.
    put("from-a-friend.tadapter", &packed);
    put(".hidden.tadapter", &packed);
    put("other-2.0.0-rc.1.tadapter", &packed[..100]);
    put("hello-2.0.0.tadapter", b"half a download");
    put("notes.txt", b"no bundle");
    let found = Bundle::open_all(root.path()).unwrap();
    expect![[r#"
        [
            "hello: 1.2.0",
            "hello-2.0.0.tadapter: /hello-2.0.0.tadapter: not an archive of this host: Unknown frame descriptor (expected one zstd frame)",
            "other: /other-2.0.0-rc.1.tadapter: the archive ends within the zstd frame: fetch it again",
        ]
    "#]]
    .assert_debug_eq(&names(&found, root.path()));
}

#[test]
fn two_bundles_of_one_name_are_an_error_of_that_name() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    std::fs::write(
        root.path().join("hello-1.3.0.tadapter"),
        files("1.3.0", 1.0).write().unwrap(),
    )
    .unwrap();
    std::fs::write(root.path().join("a.tadapter"), files("1.1.0", 1.0).write().unwrap()).unwrap();
    let found = Bundle::open_all(root.path()).unwrap();
    expect![[r#"
        [
            "hello: more than one bundle is named \"hello\": /a.tadapter, /hello, /hello-1.3.0.tadapter; keep one of them",
        ]
    "#]]
    .assert_debug_eq(&names(&found, root.path()));
}

#[test]
fn what_an_archive_cannot_hold_is_not_packed() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path());
    // Two files of one name: the archive's list, and what `pack` records.
    for name in ["files.json", "pack.json"] {
        std::fs::write(dir.join("adapter.toml"), MANIFEST.replace("task.wasm", name)).unwrap();
        std::fs::write(dir.join(name), "component").unwrap();
        let error = Package::open(&dir).unwrap_err().to_string();
        let expected = format!(
            "`task.component` is {name:?}, expected another name than {name}, which is another file of a bundle"
        );
        assert!(error.ends_with(&expected), "{error}");
    }
    std::fs::write(dir.join("adapter.toml"), MANIFEST).unwrap();
    std::fs::remove_file(dir.join("README.md")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("README.md")).unwrap();
    let error = Package::open(&dir).unwrap_err().to_string();
    assert!(
        error.ends_with("README.md is not a plain file: a bundle holds plain files only, no links"),
        "{error}"
    );
}

#[test]
fn what_pack_records_travels_and_is_no_part_of_the_generation() {
    let mut packed = package("1.2.0", 1.0);
    let plain = packed.bundle.generation;
    let commit = Commit {
        id: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        dirty: true,
    };
    let tools = [("rustc".to_owned(), "1.95.0".to_owned())].into();
    packed.set_record(PackRecord::new("0.1.0".parse().unwrap(), Some(commit), tools));
    let read = Package::unpack(packed.pack().unwrap(), Path::new("x.tadapter")).unwrap();
    assert_eq!(read.record, packed.record);
    assert_eq!(read.bundle.generation, plain);
    assert_eq!(packed.pack().unwrap(), read.pack().unwrap());

    for (json, expected) in [
        ("{", "pack.json is no record of `pack`: EOF while parsing"),
        (
            r#"{"format":2,"host":"0.1.0","commit":null,"tools":{}}"#,
            "pack.json is no record of `pack`: format 2, expected 1",
        ),
        (
            r#"{"format":1,"host":"0.1.0","commit":{"id":"main","dirty":false},"tools":{}}"#,
            "`commit.id` is no hash of 40 or 64 hexadecimal digits",
        ),
        (
            r#"{"format":1,"host":"0.1.0","commit":null,"tools":{"a\nb":"1"}}"#,
            "`tools` are at most 32 names and versions",
        ),
    ] {
        let mut archive = files("1.2.0", 1.0);
        archive.files.insert("pack.json".to_owned(), json.into());
        let error = Package::unpack(archive.write().unwrap(), Path::new("x.tadapter")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
