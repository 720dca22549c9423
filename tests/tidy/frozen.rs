//! What others build against does not change: the digests of every frozen file. `sdk/STABILITY.md` says what is promised.
//!
//! A line is added with a new version, and never edited afterwards.

use std::collections::BTreeSet;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::layout::root;

/// Files that never change, and their SHA-256.
const FROZEN: &[(&str, &str)] = &[
    (
        "host/bundle/tests/archives/1.tadapter",
        "7a80e8aa2d0113f81b973a957630e929a104f06e965fa39ea14800b73f4d484e",
    ),
    (
        "host/frontends/tests/abi/1-1-1/libtransducer_frontend_lines.so",
        "be2ed9392d6fbfa187ca037192b19e65e70e2b3ef1872d567541d40d70898a62",
    ),
    (
        "host/tasks/tests/worlds/1.0.0/lib.rs",
        "d1da278b996c98baec89849f87cabb6b01c2bd25231fcc6b9d5bdf632dc2f1c3",
    ),
    (
        "host/tasks/tests/worlds/1.0.0/task.wasm",
        "82fbc0e2c9650eed83dc19402b43e6754657a1a278e5371524e790c39bbafd07",
    ),
    (
        "host/tasks/tests/worlds/1.0.0/told.txt",
        "2bb5a0e8590b4803399000b2ce92e72b922a0d1d8aeeed9a1ef16cd2d821b270",
    ),
    (
        "host/tasks/tests/worlds/1.1.0/lib.rs",
        "531e079e6c426b93017786ecb37e988ad7a330b6020189ff576779e97cb04255",
    ),
    (
        "host/tasks/tests/worlds/1.1.0/task.wasm",
        "740a4527924b3e45d132a296883178b6b16b14ad92ac5c4443b3e0c11376dc29",
    ),
    (
        "host/tasks/tests/worlds/1.1.0/told.txt",
        "af9d36ce01c961c1e2324b691079a1cc743325b796cda71dc493e4b2a462f234",
    ),
    (
        "sdk/frontend/abi/1.txt",
        "243d91d57eb1470f6a1ed2a0135d8a76837d7e85d1b9cc606e892aa2b466f15b",
    ),
    (
        "sdk/wit/1.0.0/cpg.wit",
        "e98328c3474b5bf9fad34bfb7518b61c21d670cb0132492d33c2eeee35ff4eec",
    ),
    (
        "sdk/wit/1.0.0/log.wit",
        "40b818b4afb735e1e909cd8727008dc6e9b378f27831bdfdf915155139db747e",
    ),
    (
        "sdk/wit/1.0.0/types.wit",
        "62b29a1b890b59e79e54f5088cb15994bf56b6c1fdfaa221de1eb24684eebec2",
    ),
    (
        "sdk/wit/1.0.0/world.wit",
        "cdd37c0e6a4ceb4fac3f326d8428f5e2d275a6656ebe5d3b8b00c0d5361f142c",
    ),
    (
        "sdk/wit/1.1.0/cpg.wit",
        "e98328c3474b5bf9fad34bfb7518b61c21d670cb0132492d33c2eeee35ff4eec",
    ),
    (
        "sdk/wit/1.1.0/log.wit",
        "40b818b4afb735e1e909cd8727008dc6e9b378f27831bdfdf915155139db747e",
    ),
    (
        "sdk/wit/1.1.0/types.wit",
        "62b29a1b890b59e79e54f5088cb15994bf56b6c1fdfaa221de1eb24684eebec2",
    ),
    (
        "sdk/wit/1.1.0/world.wit",
        "0e4e2af76064afaf3a84f47396053bd0a41e5c547979a0779ea6a93c0c423248",
    ),
];

/// Folders in which every file is frozen.
const FROZEN_FOLDERS: &[&str] = &[
    "sdk/wit/1.0.0",
    "sdk/wit/1.1.0",
    "sdk/frontend/abi",
    "host/tasks/tests/worlds/1.0.0",
    "host/tasks/tests/worlds/1.1.0",
    "host/bundle/tests/archives",
    "host/frontends/tests/abi/1-1-1",
];

/// The page of the CPG schema, by the version that it says it is of.
const SCHEMAS: &[(u32, &str)] = &[(1, "99ededc9d91f559964f827339511ce19204f30ed79d21ff8bd4bdc050cd4c04a")];

fn digest(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frozen_files_are_as_they_were_released() {
    for (path, expected) in FROZEN {
        let found = digest(&root().join(path));
        assert_eq!(
            &found, expected,
            "{path} is part of a released version and was edited: put it back, and make a new version beside it \
             (sdk/STABILITY.md)"
        );
    }
}

#[test]
fn every_file_of_a_frozen_folder_is_frozen() {
    let mut found = BTreeSet::new();
    for folder in FROZEN_FOLDERS {
        for entry in std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")) {
            let name = entry.expect("an entry can be read").file_name();
            found.insert(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    let in_folder = |path: &&&str| {
        FROZEN_FOLDERS
            .iter()
            .any(|folder| Path::new(path).parent() == Some(Path::new(folder)))
    };
    let frozen: BTreeSet<String> = FROZEN
        .iter()
        .map(|(path, _)| path)
        .filter(in_folder)
        .map(|path| (*path).to_owned())
        .collect();
    assert_eq!(found, frozen, "files on disk (left) and in the table (right)");
    let worlds = std::fs::read_dir(root().join("sdk/wit")).expect("the worlds");
    for world in worlds {
        let folder = format!(
            "sdk/wit/{}",
            world.expect("an entry can be read").file_name().to_string_lossy()
        );
        assert!(
            FROZEN_FOLDERS.contains(&folder.as_str()),
            "{folder} is not frozen: add it to the tables here"
        );
    }
}

/// The page is made from the code, so that it changes whenever a kind does: then it must say another version.
#[test]
fn a_schema_changes_with_its_version_only() {
    let path = root().join("sdk/cpg/SCHEMA.md");
    let text = std::fs::read_to_string(&path).expect("the page of the schema");
    let head = text.lines().next().unwrap_or_default();
    let version = head.rsplit(' ').next().and_then(|version| version.parse::<u32>().ok());
    let version = version.unwrap_or_else(|| panic!("{head:?} ends with the schema's version"));
    let frozen = SCHEMAS.iter().find(|(frozen, _)| *frozen == version);
    let (_, expected) = frozen.unwrap_or_else(|| panic!("schema {version} is new: add its digest here"));
    assert_eq!(
        &digest(&path),
        expected,
        "a kind of the graph changed, and SCHEMA_VERSION is still {version}: raise it"
    );
}
