//! Archives made to do harm, each with the very error that refuses it. `host/bundle/README.md` is the table for readers.

mod common;

use std::path::Path;

use common::{MANIFEST, files, weights};
use expect_test::{Expect, expect};
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

/// Opening these bytes fails with this, in the package's words or in those of its weights.
#[track_caller]
fn refused(bytes: Vec<u8>, expected: Expect) {
    let error = match Package::unpack(bytes, Path::new("x.tadapter")) {
        Err(error) => error.to_string(),
        Ok(package) => package.weights().expect_err("the archive is hostile").to_string(),
    };
    expected.assert_eq(&error);
}

#[track_caller]
fn check(forged: &Forged, expected: Expect) {
    refused(zstd(&forged.tar()), expected);
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
fn names_that_lead_elsewhere() {
    let named = |name: &str| Forged::good().listed(name, EntryType::Regular, b"x");
    check(
        &named("../evil"),
        expect![[
            r#"x.tadapter: an entry is named "../evil", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named("/etc/passwd"),
        expect![[
            r#"x.tadapter: an entry is named "/etc/passwd", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named("a/b"),
        expect![[
            r#"x.tadapter: an entry is named "a/b", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named(".bashrc"),
        expect![[
            r#"x.tadapter: an entry is named ".bashrc", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named("a\\b"),
        expect![[
            r#"x.tadapter: an entry is named "a\\b", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named("new\nline"),
        expect![[
            r#"x.tadapter: an entry is named "new\nline", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        &named(&"x".repeat(65)),
        expect![[
            r#"x.tadapter: an entry is named "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    // Where only the entry has the name, the list does not help.
    let mut forged = Forged::good();
    forged.put(b"../evil", EntryType::Regular, b"x");
    check(
        &forged,
        expect![[
            r#"x.tadapter: an entry is named "../evil", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    let mut forged = Forged::good();
    forged.put(b"\xff\xfe", EntryType::Regular, b"x");
    check(
        &forged,
        expect![[
            r#"x.tadapter: an entry is named "\xff\xfe", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
}

#[test]
fn what_is_no_plain_file() {
    let kind = |kind| Forged::good().listed("LICENSE", kind, b"");
    check(
        &kind(EntryType::Symlink),
        expect!["x.tadapter: LICENSE is a symbolic link, archives hold plain files only"],
    );
    check(
        &kind(EntryType::Link),
        expect!["x.tadapter: LICENSE is a hard link, archives hold plain files only"],
    );
    check(
        &kind(EntryType::Char),
        expect!["x.tadapter: LICENSE is a device, archives hold plain files only"],
    );
    check(
        &kind(EntryType::Block),
        expect!["x.tadapter: LICENSE is a device, archives hold plain files only"],
    );
    check(
        &kind(EntryType::Fifo),
        expect!["x.tadapter: LICENSE is a pipe, archives hold plain files only"],
    );
    check(
        &kind(EntryType::Directory),
        expect!["x.tadapter: LICENSE is a folder, archives hold plain files only"],
    );
    // These would rename, link or resize the entry that follows.
    check(
        &kind(EntryType::XHeader),
        expect!["x.tadapter: LICENSE is an extension of tar, archives hold plain files only"],
    );
    check(
        &kind(EntryType::GNULongName),
        expect!["x.tadapter: LICENSE is an extension of tar, archives hold plain files only"],
    );
    check(
        &kind(EntryType::GNUSparse),
        expect!["x.tadapter: LICENSE is an extension of tar, archives hold plain files only"],
    );
}

#[test]
fn files_twice_or_in_two_cases() {
    let mut forged = Forged::good();
    forged.put(b"task.wasm", EntryType::Regular, b"component");
    check(&forged, expect!["x.tadapter: task.wasm is there twice"]);
    check(
        &Forged::good().listed("task.wasm", EntryType::Regular, b"component"),
        expect!["x.tadapter: task.wasm is there twice"],
    );
    check(
        &Forged::with("TASK.wasm", b"component"),
        expect!["x.tadapter: TASK.wasm and task.wasm differ in case only, and are one file on some systems"],
    );
    check(
        &Forged::with("Files.json", b"component"),
        expect!["x.tadapter: files.json and Files.json differ in case only, and are one file on some systems"],
    );
}

#[test]
fn lists_that_lie() {
    let mut forged = Forged::good();
    forged.put(b"LICENSE", EntryType::Regular, b"x");
    check(
        &forged,
        expect!["x.tadapter: LICENSE is in the archive and not in its list, files.json"],
    );
    let mut forged = Forged::good();
    forged.entries.pop();
    check(
        &forged,
        expect!["x.tadapter: transducer.safetensors is in the list, files.json, and not in the archive"],
    );
    let mut forged = Forged::good();
    forged.list[2].size += 1;
    check(
        &forged,
        expect!["x.tadapter: task.wasm has 9 bytes, files.json says 10"],
    );
    let mut forged = Forged::good();
    forged.list[2].sha256 = "0".repeat(64);
    check(
        &forged,
        expect![
            "x.tadapter: task.wasm has the SHA-256 6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa, files.json says 0000000000000000000000000000000000000000000000000000000000000000"
        ],
    );
    // A file swapped for another of the same size.
    let mut forged = Forged::good();
    forged.entries[2].3 = b"Component".to_vec();
    check(
        &forged,
        expect![
            "x.tadapter: task.wasm has the SHA-256 ce54f0e22dbb39de8a6d9ae0b32b3ecac5bc749fddcb78e4f1e572212b338d63, files.json says 6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"
        ],
    );
    check(
        &Forged::with("run.sh", b"rm -rf"),
        expect![
            "x.tadapter: run.sh belongs to no bundle: beside what the manifest names there may be ATTRIBUTION.md, LICENSE, NOTICE, README.md"
        ],
    );
    let mut forged = Forged::with("LICENSE", b"");
    for index in 0..20 {
        forged = forged.listed(&format!("f{index}"), EntryType::Regular, b"");
    }
    check(
        &forged,
        expect!["x.tadapter: the archive has more than 16 entries, a bundle has fewer"],
    );
}

#[test]
fn lists_that_are_none() {
    let list = |list: &str| zstd(&Forged::good().tar_with_list(list));
    refused(
        list("{\"format\": 2}"),
        expect!["x.tadapter: files.json is of format 2, this host reads 1"],
    );
    refused(
        list("{\"format\": 1, \"files\": [], \"run\": \"sh\"}"),
        expect!["x.tadapter: files.json: unknown field `run`, expected `format` or `files` at line 1 column 32"],
    );
    refused(
        list("[["),
        expect!["x.tadapter: files.json: invalid type: sequence, expected u32 at line 1 column 1"],
    );
    refused(
        list(&" ".repeat(20_000)),
        expect!["x.tadapter: files.json has 20000 bytes, the limit is 16384"],
    );
    let mut tar = Vec::new();
    entry(&mut tar, b"task.wasm", EntryType::Regular, 1, b"x");
    refused(
        zstd(&tar),
        expect!["x.tadapter: the first entry is task.wasm, expected `files.json`, the list of the files"],
    );
    refused(
        zstd(&[0; 1024]),
        expect!["x.tadapter: the archive is empty, expected `files.json`, the list of its files"],
    );
}

#[test]
fn sizes_that_lie() {
    // The header promises more than there is.
    let mut forged = Forged::good();
    let last = forged.entries.len() - 1;
    forged.entries[last].2 = 1 << 40;
    forged.list[last].size = 1 << 40;
    check(
        &forged,
        expect!["x.tadapter: the archive ends within transducer.safetensors: fetch it again"],
    );
}

#[test]
fn what_is_truncated_or_goes_on() {
    let good = zstd(&Forged::good().tar());
    refused(
        good[..good.len() / 2].to_vec(),
        expect!["x.tadapter: the archive ends within the zstd frame: fetch it again"],
    );
    refused(
        Vec::new(),
        expect!["x.tadapter: the archive ends within the zstd frame: fetch it again"],
    );
    let tar = Forged::good().tar();
    refused(
        zstd(&tar[..1300]),
        expect!["x.tadapter: the archive ends within the tar: fetch it again"],
    );
    refused(
        [good.as_slice(), b"#!/bin/sh"].concat(),
        expect!["x.tadapter: 9 bytes follow the end of the archive, expected none"],
    );
    refused(
        [good.as_slice(), good.as_slice()].concat(),
        expect!["x.tadapter: 1008 bytes follow the end of the archive, expected none"],
    );
    // Behind the end of the tar, but within the frame.
    refused(
        zstd(&[tar.as_slice(), &[7; 512]].concat()),
        expect![
            "x.tadapter: the tar is not the one that `pack` makes of these files, from byte 7168 on: owners, times, order or padding differ"
        ],
    );
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert!(Package::unpack(flipped, Path::new("x.tadapter")).is_err());
    refused(
        b"PK\x03\x04 a zip file".to_vec(),
        expect!["x.tadapter: not an archive of this host: Unknown frame descriptor (expected one zstd frame)"],
    );
}

#[test]
fn what_the_tar_could_hide() {
    let (tar, owned) = (
        Forged::good().tar(),
        |tar: &mut Vec<u8>, field: std::ops::Range<usize>, text: &[u8]| {
            tar[field].copy_from_slice(text);
            let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
            header.set_cksum();
            tar[..512].copy_from_slice(header.as_bytes());
        },
    );
    let mut setuid = tar.clone();
    owned(&mut setuid, 100..108, b"0004755\0");
    refused(
        zstd(&setuid),
        expect![
            "x.tadapter: the tar is not the one that `pack` makes of these files, from byte 103 on: owners, times, order or padding differ"
        ],
    );
    let mut user = tar.clone();
    owned(&mut user, 265..269, b"root");
    refused(
        zstd(&user),
        expect![
            "x.tadapter: the tar is not the one that `pack` makes of these files, from byte 150 on: owners, times, order or padding differ"
        ],
    );
    let mut bad_sum = tar.clone();
    bad_sum[100] = b'7';
    refused(
        zstd(&bad_sum),
        expect!["x.tadapter: the zstd frame holds no tar: archive header checksum mismatch"],
    );
    let mut order = Forged::good();
    order.entries.reverse();
    check(
        &order,
        expect![
            "x.tadapter: the tar is not the one that `pack` makes of these files, from byte 1536 on: owners, times, order or padding differ"
        ],
    );
}

#[test]
fn a_bomb_does_not_go_off() {
    // Some 10 KB that unpack to more than any bundle is.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), MAX_UNPACKED_BYTES + 1),
        &mut encoder,
    )
    .unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    refused(
        bomb,
        expect!["x.tadapter: the archive unpacks to more than 105185280 bytes, the most that a bundle can have"],
    );
}

#[test]
fn manifests_and_documents_of_absurd_size() {
    let manifest = |from: &str, to: &str| Forged::with("adapter.toml", MANIFEST.replace(from, to).as_bytes());
    check(
        &manifest("Says what", &"x".repeat(100_000)),
        expect![[
            r#"x.tadapter/adapter.toml: `adapter.summary` is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… (100014 bytes), expected one line of 1 to 512 bytes"#
        ]],
    );
    check(
        &Forged::with("adapter.toml", &vec![b'#'; 300_000]),
        expect!["x.tadapter: adapter.toml has 300000 bytes, the limit is 262144"],
    );
    check(
        &Forged::with("LICENSE", &vec![b'#'; (1 << 20) + 1]),
        expect!["x.tadapter: LICENSE has 1048577 bytes, the limit is 1048576"],
    );
    check(
        &manifest("\"hello\"", "\"../hello\""),
        expect![[
            r#"x.tadapter/adapter.toml: `adapter.name` is "../hello", expected lower-case letters, digits and single hyphens, at most 64 characters"#
        ]],
    );
    check(
        &manifest("\"task.wasm\"", "\"absent.wasm\""),
        expect!["x.tadapter: absent.wasm is not in the archive, and the bundle needs it"],
    );
}

#[test]
fn weights_that_no_transducer_has() {
    let weighted = |bytes: &[u8]| Forged::with("transducer.safetensors", bytes);
    let good = weights(4, [1.0, 2.0, 3.0, 4.0]);
    check(
        &weighted(&good[..good.len() - 4]),
        expect!["not safetensors: incomplete metadata, file not fully covered"],
    );
    check(&weighted(b""), expect!["not safetensors: header too small"]);
    check(
        &weighted(b"\xff\xff\xff\xff\xff\xff\xff\xff{}"),
        expect!["not safetensors: header too large"],
    );
    check(
        &weighted(&weights(4, [1.0, f32::NAN, 3.0, 4.0])),
        expect!["fusion.query[1] is NaN, expected a finite number: the training has diverged or the file is damaged"],
    );
    check(
        &weighted(&weights(4, [1.0, 2.0, 3.0, f32::NEG_INFINITY])),
        expect!["fusion.query[3] is -inf, expected a finite number: the training has diverged or the file is damaged"],
    );
    check(
        &weighted(&weights(32, [1.0; 4])),
        expect!["the weights have `width` = 32, the manifest says 4"],
    );
    // A pickle, as `torch.save` writes it.
    check(
        &weighted(b"\x80\x02}q\x00."),
        expect!["not safetensors: header too small"],
    );
}
