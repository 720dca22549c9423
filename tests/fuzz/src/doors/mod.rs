//! What fuzzers hold the doors of the host to: whatever the bytes, an error or a value, and a value survives its way out and back
//! in. The first byte of most inputs says which of several doors they go to, so that digests and compression do not keep
//! a fuzzer out.
//!
//! `tests/doors` runs the same functions on their seeds, and on some mutations of them, with every test.

mod seeds;

use std::path::Path;

use transducer_bundle::{
    Archive, KeyId, LIST_FILE, Manifest, Package, Parts, Policy, PolicyFile, Pooling, PublicKey, TransducerShape,
    Trusted, check_manifest, check_weights, named_signer,
};

pub use seeds::{adapters, seeds};

/// What takes anything, and must neither panic nor hang.
pub type Door = fn(&[u8]);

/// The doors by name.
pub const DOORS: [(&str, Door); 4] = [
    ("manifest", manifest),
    ("archive", archive),
    ("weights", weights),
    ("policy", policy),
];

/// What stands between the files of an [`archive`] input, and what ends a file's name.
const NEXT_FILE: &[u8] = b"\n==== ";
const NAME_END: &[u8] = b" ====\n";

/// Somebody's public key.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

/// A text as a manifest.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = Path::new("adapter.toml");
    match check_manifest(text, path) {
        Ok(()) => (),
        // It quotes the manifest, which may be long and hold what a terminal obeys.
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < 10_000, "{error}");
            return assert!(
                !error.contains(|char: char| char.is_control() && char != '\n'),
                "{error}"
            );
        }
    }
    let manifest: Manifest = toml::from_str(text).expect("a manifest that was checked");
    let again = toml::to_string(&manifest).expect("a manifest has a form in TOML");
    check_manifest(&again, path).expect("that form is a manifest");
}

/// Bytes as an archive, as the tar in one, or as its files.
pub fn archive(input: &[u8]) {
    let Some((&mode, rest)) = input.split_first() else {
        return;
    };
    match mode % 3 {
        0 => unpacked(rest),
        1 => unpacked(&zstd::bulk::compress(rest, 1).expect("anything can be compressed")),
        _ => {
            let archive = Archive {
                files: files(rest).collect(),
            };
            let Ok(packed) = archive.write() else { return };
            // What is handed out is taken.
            assert_eq!(Archive::read(&packed).expect("an archive that was written"), archive);
            unpacked(&packed);
        }
    }
}

fn unpacked(packed: &[u8]) {
    if let Ok(archive) = Archive::read(packed) {
        let again = archive.write().expect("an archive that was read");
        assert_eq!(Archive::read(&again).expect("an archive that was written"), archive);
    }
    let Ok(package) = Package::unpack(packed.to_vec(), Path::new("x.tadapter")) else {
        return;
    };
    let _ = package.weights();
    let again = Package::unpack(
        package.pack().expect("a package that was read"),
        Path::new("y.tadapter"),
    );
    assert_eq!(
        again.expect("a package that was packed").bundle.generation,
        package.bundle.generation
    );
}

fn files(text: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = cut(rest, NEXT_FILE)?;
        let (name, contents) = cut(after, NAME_END)?;
        let end = contents
            .windows(NEXT_FILE.len())
            .position(|window| window == NEXT_FILE)
            .unwrap_or(contents.len());
        rest = &contents[end..];
        Some((String::from_utf8_lossy(name).into_owned(), contents[..end].to_vec()))
    })
    // A caller's files have no list among them: `write` makes it.
    .filter(|(name, _)| name != LIST_FILE)
}

fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

/// Bytes as weights, or as their header and their data.
pub fn weights(input: &[u8]) {
    let Some((&mode, rest)) = input.split_first() else {
        return;
    };
    let bytes = match mode % 2 {
        0 => rest.to_vec(),
        _ => {
            let (header, data) = cut(rest, b"\n\n").unwrap_or((rest, &[]));
            [&(header.len() as u64).to_le_bytes(), header, data].concat()
        }
    };
    let shape = TransducerShape {
        width: 4,
        layers: 1,
        heads: 2,
        task_tokens: 2,
        reply_tokens: 0,
        edge_kinds: vec!["AST".to_owned()],
        cpg_schema: 1,
        parts: Parts::Full,
        pooling: Pooling::Attention,
    };
    let Ok(info) = check_weights(&bytes, &shape, 8) else {
        return;
    };
    let mut parameters = 0;
    for tensor in &info.tensors {
        let numbers = [tensor.min, tensor.max, tensor.mean, tensor.rms];
        assert!(numbers.iter().all(|number| number.is_finite()), "{tensor:?}");
        assert!(tensor.min <= tensor.max, "{tensor:?}");
        parameters += tensor.shape.iter().product::<usize>();
    }
    assert_eq!(parameters, info.parameters);
    assert!(parameters * 4 <= bytes.len(), "more numbers than bytes");
}

/// A text as a policy, as a public key, or as a signature.
pub fn policy(input: &[u8]) {
    let Some((&mode, rest)) = input.split_first() else {
        return;
    };
    let place = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, rest).expect("written");
        path
    };
    match mode % 3 {
        0 => {
            let path = write("policy.toml");
            if Policy::open(&path).is_err() {
                return assert!(PolicyFile::open(&path).is_err());
            }
            let mut file = PolicyFile::open(&path).expect("a policy that can be read can be changed");
            let key = PublicKey::parse(KEY, &path).expect("a key");
            let id = key.id();
            let trusted = Trusted {
                key,
                name: "somebody".to_owned(),
                adapters: vec!["a-*".to_owned()],
            };
            match file.trust(&trusted) {
                Ok(()) => {
                    let policy = Policy::open(&path).expect("what was written is a policy");
                    let names = |trusted: &Trusted| trusted.key.id() == id && trusted.name == "somebody";
                    assert!(policy.trusted.iter().any(names));
                    assert!(!policy.revoked.contains(&id));
                }
                Err(_) => assert_eq!(std::fs::read(&path).expect("there"), rest, "half a change"),
            }
        }
        1 => {
            if let Ok(key) = PublicKey::open(&write("some.pub")) {
                let again = PublicKey::parse(key.base64(), Path::new("some.pub")).expect("the same key");
                assert_eq!(again.id(), key.id());
                let id: KeyId = key.id().to_string().parse().expect("a number in its own form");
                assert_eq!(id, key.id());
            }
        }
        _ => {
            let archive = place.path().join("x.tadapter");
            write("x.tadapter.minisig");
            if let Ok(id) = named_signer(&archive, b"archive") {
                let id = id.expect("there is a signature");
                // Nobody has signed these bytes.
                let key = PublicKey::parse(KEY, Path::new("some.pub")).expect("a key");
                assert!(key.check(&archive, b"archive").is_err(), "{id}");
            }
        }
    }
}
