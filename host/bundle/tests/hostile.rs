//! Archives made to do harm. What each is refused with stands in `sdk/HOSTILE.md`.

mod common;
#[path = "../../../tests/hostile.rs"]
mod table;

use std::path::Path;

use common::{MANIFEST, files, weights};
use tar::EntryType;
use transducer_bundle::{Archive, FileEntry, MAX_UNPACKED_BYTES, Package};

/// An archive as an attacker writes it: any entry, any list.
struct Forged {
    list: Vec<FileEntry>,
    entries: Vec<(Vec<u8>, EntryType, u64, Vec<u8>)>,
}

impl Forged {
    /// A good archive, to be spoilt.
    fn good() -> Self {
        let Archive { files } = files("1.2.0", 1.0);
        let list = files.iter().map(|(name, bytes)| FileEntry::of(name, bytes)).collect();
        let mut forged = Self {
            list,
            entries: Vec::new(),
        };
        for (name, bytes) in files {
            forged.put(name.as_bytes(), EntryType::Regular, &bytes);
        }
        forged
    }

    /// A good archive with another file in place of, or beside, its own; listed as it is.
    fn with(name: &str, bytes: &[u8]) -> Self {
        let mut files = files("1.2.0", 1.0);
        files.files.insert(name.to_owned(), bytes.to_vec());
        let mut forged = Self {
            list: files.list(),
            entries: Vec::new(),
        };
        for (name, bytes) in files.files {
            forged.put(name.as_bytes(), EntryType::Regular, &bytes);
        }
        forged
    }

    fn put(&mut self, name: &[u8], kind: EntryType, bytes: &[u8]) {
        self.entries
            .push((name.to_vec(), kind, bytes.len() as u64, bytes.to_vec()));
    }

    /// One more entry, and a line of the list for it.
    fn listed(mut self, name: &str, kind: EntryType, bytes: &[u8]) -> Self {
        self.list.push(FileEntry::of(name, bytes));
        self.put(name.as_bytes(), kind, bytes);
        self
    }

    fn tar(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct List<'a> {
            format: u32,
            files: &'a [FileEntry],
        }
        let list = List {
            format: 1,
            files: &self.list,
        };
        self.tar_with_list(&(serde_json::to_string_pretty(&list).unwrap() + "\n"))
    }

    fn tar_with_list(&self, list: &str) -> Vec<u8> {
        let mut tar = Vec::new();
        let list = (
            b"files.json".to_vec(),
            EntryType::Regular,
            list.len() as u64,
            list.as_bytes().to_vec(),
        );
        for (name, kind, size, bytes) in std::iter::once(&list).chain(&self.entries) {
            entry(&mut tar, name, *kind, *size, bytes);
        }
        tar.extend([0; 1024]);
        tar
    }
}

/// An entry whose header says this of it.
fn entry(tar: &mut Vec<u8>, name: &[u8], kind: EntryType, size: u64, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn zstd(tar: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(tar, 1).unwrap()
}

/// What is tried, and its bytes.
type Case = (&'static str, Vec<u8>);

/// The error of opening these bytes, in the package's words or in those of its weights.
#[track_caller]
fn error(bytes: Vec<u8>) -> String {
    match Package::unpack(bytes, Path::new("x.tadapter")) {
        Err(error) => error.to_string(),
        Ok(package) => package.weights().expect_err("the archive is hostile").to_string(),
    }
}

fn packed(forged: &Forged) -> Vec<u8> {
    zstd(&forged.tar())
}

/// A good archive, spoilt in one way.
fn spoilt(spoil: impl FnOnce(&mut Forged)) -> Vec<u8> {
    let mut forged = Forged::good();
    spoil(&mut forged);
    packed(&forged)
}

/// Without this the other tests would show nothing.
#[test]
fn the_forger_writes_good_archives_too() {
    let tar = Forged::good().tar();
    assert!(tar == zstd::decode_all(files("1.2.0", 1.0).write().unwrap().as_slice()).unwrap());
    let package = Package::unpack(zstd(&tar), Path::new("x.tadapter")).unwrap();
    assert_eq!(package.weights().unwrap().unwrap().parameters, 4);
}

#[test]
fn every_case_is_refused_as_the_table_says() {
    let subjects = [
        ("Path traversal, and names that are no plain names", names()),
        ("Links, and whatever else is no plain file", kinds()),
        ("Duplicate entries and case collisions", twice()),
        ("Lists that lie: sizes, digests, files that were swapped", lies()),
        ("Lists that are none", no_lists()),
        ("Archives that are truncated or go on", ends()),
        ("What a tar can hide", hidden()),
        ("Zip bombs", bombs()),
        ("Manifests and documents of absurd size", absurd()),
        ("Weights: truncated, NaN and Inf, of another shape, none", no_weights()),
    ];
    let rows = |(subject, cases): (&'static str, Vec<Case>)| {
        let rows = cases.into_iter().map(|(name, bytes)| (name.to_owned(), error(bytes)));
        (subject, rows.collect())
    };
    table::hold("Archives", &subjects.map(rows));
}

fn names() -> Vec<Case> {
    let listed = |name: &str| packed(&Forged::good().listed(name, EntryType::Regular, b"x"));
    let only = |name: &[u8]| spoilt(|forged| forged.put(name, EntryType::Regular, b"x"));
    vec![
        ("a folder above", listed("../evil")),
        ("a path from the root", listed("/etc/passwd")),
        ("a path below", listed("a/b")),
        ("a hidden file", listed(".bashrc")),
        ("a backslash", listed("a\\b")),
        ("a line break", listed("new\nline")),
        ("a name of 65 letters", listed(&"x".repeat(65))),
        ("a folder above that the list does not name", only(b"../evil")),
        ("a name that is not UTF-8", only(b"\xff\xfe")),
    ]
}

fn kinds() -> Vec<Case> {
    let kind = |kind| packed(&Forged::good().listed("LICENSE", kind, b""));
    vec![
        ("a symbolic link", kind(EntryType::Symlink)),
        ("a hard link", kind(EntryType::Link)),
        ("a character device", kind(EntryType::Char)),
        ("a block device", kind(EntryType::Block)),
        ("a pipe", kind(EntryType::Fifo)),
        ("a folder", kind(EntryType::Directory)),
        // These would rename, link or resize the entry that follows.
        ("a pax header", kind(EntryType::XHeader)),
        ("a pax header for all that follows", kind(EntryType::XGlobalHeader)),
        ("a long name as GNU has it", kind(EntryType::GNULongName)),
        ("a long link as GNU has it", kind(EntryType::GNULongLink)),
        ("a sparse file", kind(EntryType::GNUSparse)),
    ]
}

fn twice() -> Vec<Case> {
    vec![
        (
            "an entry twice",
            spoilt(|forged| forged.put(b"task.wasm", EntryType::Regular, b"component")),
        ),
        (
            "an entry twice, and twice in the list",
            packed(&Forged::good().listed("task.wasm", EntryType::Regular, b"component")),
        ),
        (
            "`task.wasm` and `TASK.wasm`",
            packed(&Forged::with("TASK.wasm", b"component")),
        ),
        (
            "a second list, `Files.json`",
            packed(&Forged::with("Files.json", b"component")),
        ),
    ]
}

fn lies() -> Vec<Case> {
    let mut many = Forged::with("LICENSE", b"");
    for index in 0..20 {
        many = many.listed(&format!("f{index}"), EntryType::Regular, b"");
    }
    vec![
        (
            "a file that is not in the list",
            spoilt(|forged| forged.put(b"LICENSE", EntryType::Regular, b"x")),
        ),
        (
            "a file that is only in the list",
            spoilt(|forged| drop(forged.entries.pop())),
        ),
        ("another size in the list", spoilt(|forged| forged.list[2].size += 1)),
        (
            "another digest in the list",
            spoilt(|forged| forged.list[2].sha256 = "0".repeat(64)),
        ),
        (
            "a file swapped for one of its size",
            spoilt(|forged| forged.entries[2].3 = b"Component".to_vec()),
        ),
        (
            "a terabyte in the header",
            spoilt(|forged| {
                let last = forged.entries.len() - 1;
                forged.entries[last].2 = 1 << 40;
                forged.list[last].size = 1 << 40;
            }),
        ),
        ("a file that no bundle has", packed(&Forged::with("run.sh", b"rm -rf"))),
        ("too many entries", packed(&many)),
    ]
}

fn no_lists() -> Vec<Case> {
    let list = |list: &str| zstd(&Forged::good().tar_with_list(list));
    let mut without = Vec::new();
    entry(&mut without, b"task.wasm", EntryType::Regular, 1, b"x");
    vec![
        ("a list of another format", list("{\"format\": 2}")),
        (
            "a list with a key more",
            list("{\"format\": 1, \"files\": [], \"run\": \"sh\"}"),
        ),
        (
            "a key of 10,000 letters that clears the screen",
            list(&format!(
                "{{\"format\": 1, \"files\": [], \"\\u001b[2J{}\": 1}}",
                "x".repeat(10_000)
            )),
        ),
        ("no JSON object", list("[[")),
        ("a list of 20,000 bytes", list(&" ".repeat(20_000))),
        ("no list first", zstd(&without)),
        ("an empty tar", zstd(&[0; 1024])),
    ]
}

fn ends() -> Vec<Case> {
    let tar = Forged::good().tar();
    let good = zstd(&tar);
    vec![
        ("half an archive", good[..good.len() / 2].to_vec()),
        ("nothing", Vec::new()),
        ("half a tar", zstd(&tar[..1300])),
        ("bytes after the archive", [good.as_slice(), b"#!/bin/sh"].concat()),
        ("two archives", [good.as_slice(), good.as_slice()].concat()),
        // Behind the end of the tar, but within the frame.
        ("bytes after the tar", zstd(&[tar.as_slice(), &[7; 512]].concat())),
        ("a zip file", b"PK\x03\x04 a zip file".to_vec()),
    ]
}

#[test]
fn a_byte_that_fell_over_is_found() {
    let mut flipped = packed(&Forged::good());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert!(Package::unpack(flipped, Path::new("x.tadapter")).is_err());
}

fn hidden() -> Vec<Case> {
    let header = |at: usize, text: &[u8]| {
        let mut tar = Forged::good().tar();
        tar[at..at + text.len()].copy_from_slice(text);
        let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
        header.set_cksum();
        tar[..512].copy_from_slice(header.as_bytes());
        zstd(&tar)
    };
    let mut bad_sum = Forged::good().tar();
    bad_sum[100] = b'7';
    vec![
        ("a file that runs as its owner", header(100, b"0004755\0")),
        ("an owner's name", header(265, b"root")),
        ("a wrong checksum", zstd(&bad_sum)),
        ("another order", spoilt(|forged| forged.entries.reverse())),
    ]
}

fn bombs() -> Vec<Case> {
    // Some 10 KB that unpack to more than any bundle is.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    let zeros = std::io::repeat(0);
    std::io::copy(&mut std::io::Read::take(zeros, MAX_UNPACKED_BYTES + 1), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let large = |name| packed(&Forged::with(name, &vec![0; 40 << 20]));
    vec![
        ("10 KB that unpack to 105 MB", bomb),
        ("a component of 40 MB of zeros", large("task.wasm")),
    ]
}

fn absurd() -> Vec<Case> {
    let manifest = |from: &str, to: &str| packed(&Forged::with("adapter.toml", MANIFEST.replace(from, to).as_bytes()));
    vec![
        (
            "a summary of 100,000 bytes",
            manifest("Says what", &"x".repeat(100_000)),
        ),
        ("a name of 1 MB", manifest("hello", &"x".repeat(1 << 20))),
        (
            "300,000 bytes of comments",
            packed(&Forged::with("adapter.toml", &vec![b'#'; 300_000])),
        ),
        ("10,000 brackets", manifest("[\"java\"]", &"[".repeat(10_000))),
        ("a key that clears the screen", manifest("summary", "\"\\u001b[2J\"")),
        ("a line that clears the screen", manifest("summary", "\u{1b}[2J")),
        (
            "a licence of more than 1 MB",
            packed(&Forged::with("LICENSE", &vec![b'#'; (1 << 20) + 1])),
        ),
        ("a path for a name", manifest("\"hello\"", "\"../hello\"")),
        ("a path for a component", manifest("\"task.wasm\"", "\"../task.wasm\"")),
        (
            "a component that is not there",
            manifest("\"task.wasm\"", "\"absent.wasm\""),
        ),
        (
            "a manifest that is not UTF-8",
            packed(&Forged::with("adapter.toml", b"schema = 1 # \xff")),
        ),
    ]
}

/// Good weights, with another name of their tensor, as JSON has it.
fn renamed(name: &str) -> Vec<u8> {
    let good = weights(4, [1.0; 4]);
    let (header, data) = good[8..].split_at(good.len() - 8 - 16);
    let header = std::str::from_utf8(header).unwrap().replace("fusion.query", name);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn no_weights() -> Vec<Case> {
    let weighted = |bytes: &[u8]| packed(&Forged::with("transducer.safetensors", bytes));
    let good = weights(4, [1.0, 2.0, 3.0, 4.0]);
    vec![
        ("truncated", weighted(&good[..good.len() - 4])),
        ("empty", weighted(b"")),
        (
            "a header of 2^64 bytes",
            weighted(b"\xff\xff\xff\xff\xff\xff\xff\xff{}"),
        ),
        ("a NaN", weighted(&weights(4, [1.0, f32::NAN, 3.0, 4.0]))),
        (
            "an infinite number",
            weighted(&weights(4, [1.0, 2.0, 3.0, f32::NEG_INFINITY])),
        ),
        ("another width than the manifest's", weighted(&weights(32, [1.0; 4]))),
        (
            "a tensor whose name clears the screen",
            weighted(&renamed("\\u001b[2J")),
        ),
        (
            "a tensor whose name has 10,000 letters",
            weighted(&renamed(&"x".repeat(10_000))),
        ),
        // As `torch.save` writes it.
        ("a pickle", weighted(b"\x80\x02}q\x00.")),
    ]
}
