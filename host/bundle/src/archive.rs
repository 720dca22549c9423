//! The `.tadapter` archive: one zstd frame around a tar of plain files, the first of which, `files.json`, is the closed list of
//! the others with their sizes and digests.
//!
//! The form is canonical: from the names and bytes of the files follows every byte of the tar, and [`Archive::read`] accepts no
//! other. So there is no room for links, owners, times, extension headers or anything hidden between entries.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::readable;
use crate::validated::is_plain_file_name;
use crate::{ArchiveError, MAX_COMPONENT_BYTES, MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES};

/// What the file name of an archive ends in, without the dot.
pub const ARCHIVE_EXTENSION: &str = "tadapter";
/// The list of the other files, the first entry of an archive.
pub const LIST_FILE: &str = "files.json";
/// A card or a licence is a few pages; a long attribution is some hundred KB.
pub const MAX_DOCUMENT_BYTES: u64 = 1 << 20;
/// The largest bundle that can be: every file at its limit, with room for the headers of the tar.
pub const MAX_UNPACKED_BYTES: u64 =
    MAX_MANIFEST_BYTES + MAX_COMPONENT_BYTES + MAX_WEIGHTS_BYTES + 4 * MAX_DOCUMENT_BYTES + (64 << 10);
/// zstd makes what it cannot compress larger by less than a thousandth.
pub const MAX_ARCHIVE_BYTES: u64 = MAX_UNPACKED_BYTES + MAX_UNPACKED_BYTES / 1000;
/// Manifest, component, weights, four documents and the list are eight; more is no bundle.
pub const MAX_ENTRIES: usize = 16;

/// Version of the archive's form, in the list.
const FORMAT: u32 = 1;
/// The list of [`MAX_ENTRIES`] files is some 3 KB.
const MAX_LIST_BYTES: u64 = 16 << 10;
/// Archives are written once and fetched often. Weights hardly compress, so that higher levels gain nothing.
const LEVEL: i32 = 19;
/// The window that level 19 uses is 8 MiB; one of 128 MiB, zstd's own limit for decoders, is more than any real archive needs.
const MAX_WINDOW_LOG: u32 = 27;
/// Mode of every entry: whoever unpacks an archive by hand may read its files and change their own copies.
const MODE: u32 = 0o644;

/// One line of an archive's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name, a plain one.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

impl FileEntry {
    /// The line of a file.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        }
    }
}

/// `files.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    files: Vec<FileEntry>,
}

/// The part of [`List`] that every version has.
#[derive(Deserialize)]
struct AnyList {
    format: u32,
}

/// The files of an archive by name, each of them as its list says. Whether they are a bundle is not known yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Bytes by file name; the list is not among them.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Unpacks an archive in memory. Nothing about the bytes is trusted.
    ///
    /// # Errors
    /// [`ArchiveError`] with what is wrong first.
    pub fn read(bytes: &[u8]) -> Result<Self, ArchiveError> {
        if bytes.len() as u64 > MAX_ARCHIVE_BYTES {
            return Err(ArchiveError::TooLarge {
                found: bytes.len() as u64,
                limit: MAX_ARCHIVE_BYTES,
            });
        }
        let tar = decompress(bytes)?;
        let archive = Self::read_tar(&tar)?;
        let canonical = archive.tar().map_err(tar_error)?;
        if let Some(offset) = first_difference(&tar, &canonical) {
            return Err(ArchiveError::NotCanonical { offset });
        }
        Ok(archive)
    }

    /// The archive of these files: the same files give the same bytes, whoever packs them and wherever they lie. (Another
    /// release of zstd may compress the same tar to other bytes, which unpack to the same files.)
    ///
    /// # Errors
    /// [`ArchiveError`] for names and sizes that [`Archive::read`] would not accept.
    pub fn write(&self) -> Result<Vec<u8>, ArchiveError> {
        check_list(&self.list())?;
        let tar = self.tar().map_err(tar_error)?;
        zstd::bulk::compress(&tar, LEVEL).map_err(|source| ArchiveError::NotZstd {
            message: source.to_string(),
        })
    }

    /// The list of the files.
    #[must_use]
    pub fn list(&self) -> Vec<FileEntry> {
        self.files
            .iter()
            .map(|(name, bytes)| FileEntry::of(name, bytes))
            .collect()
    }

    fn tar(&self) -> io::Result<Vec<u8>> {
        let list = List {
            format: FORMAT,
            files: self.list(),
        };
        let mut list = serde_json::to_vec_pretty(&list)?;
        list.push(b'\n');
        let mut tar = tar::Builder::new(Vec::new());
        let files = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        for (name, bytes) in std::iter::once((LIST_FILE, list.as_slice())).chain(files) {
            let mut header = tar::Header::new_ustar();
            header.set_path(name)?;
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(MODE);
            header.set_size(bytes.len() as u64);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            tar.append(&header, bytes)?;
        }
        tar.into_inner()
    }

    fn read_tar(tar: &[u8]) -> Result<Self, ArchiveError> {
        let mut files = BTreeMap::new();
        let mut list: Option<BTreeMap<String, FileEntry>> = None;
        let mut reader = tar::Archive::new(tar);
        // Raw: extension headers, which could rename or resize the entry after them, are entries of their own here, and refused.
        for (index, entry) in reader.entries().map_err(tar_error)?.raw(true).enumerate() {
            if index >= MAX_ENTRIES {
                return Err(ArchiveError::TooManyEntries { limit: MAX_ENTRIES });
            }
            let mut entry = entry.map_err(tar_error)?;
            let name = plain_name(&entry.path_bytes())?;
            let kind = entry.header().entry_type();
            if kind != tar::EntryType::Regular {
                return Err(ArchiveError::NotRegular {
                    name,
                    kind: kind_name(kind),
                });
            }
            let size = entry.header().entry_size().map_err(tar_error)?;
            let Some(list) = &list else {
                if name != LIST_FILE {
                    return Err(ArchiveError::NoList { found: name });
                }
                if size > MAX_LIST_BYTES {
                    return Err(ArchiveError::FileTooLarge {
                        name,
                        found: size,
                        limit: MAX_LIST_BYTES,
                    });
                }
                list = Some(read_list(&contents(&mut entry, &name, size)?)?);
                continue;
            };
            if files.contains_key(&name) || name == LIST_FILE {
                return Err(ArchiveError::Duplicate { name });
            }
            let Some(line) = list.get(&name) else {
                return Err(ArchiveError::Unlisted { name });
            };
            if line.size != size {
                return Err(ArchiveError::Size {
                    name,
                    listed: line.size,
                    found: size,
                });
            }
            let bytes = contents(&mut entry, &name, size)?;
            let found = FileEntry::of(&name, &bytes).sha256;
            if line.sha256 != found {
                return Err(ArchiveError::Digest {
                    name,
                    listed: line.sha256.clone(),
                    found,
                });
            }
            files.insert(name, bytes);
        }
        let Some(list) = list else {
            return Err(ArchiveError::Empty);
        };
        match list.into_keys().find(|name| !files.contains_key(name)) {
            Some(name) => Err(ArchiveError::Missing { name }),
            None => Ok(Self { files }),
        }
    }
}

/// One zstd frame and nothing after it.
fn decompress(bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let zstd_error = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated {
            what: "the zstd frame".to_owned(),
        },
        _ => ArchiveError::NotZstd {
            message: source.to_string(),
        },
    };
    let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(zstd_error)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(zstd_error)?;
    let mut tar = Vec::new();
    // A frame may say any size for itself; only what it gives is counted, and one byte beyond the limit is enough.
    (&mut decoder)
        .take(MAX_UNPACKED_BYTES + 1)
        .read_to_end(&mut tar)
        .map_err(zstd_error)?;
    if tar.len() as u64 > MAX_UNPACKED_BYTES {
        return Err(ArchiveError::Bomb {
            limit: MAX_UNPACKED_BYTES,
        });
    }
    match decoder.finish().len() {
        0 => Ok(tar),
        bytes => Err(ArchiveError::TrailingBytes { bytes }),
    }
}

/// An entry's bytes, as many as its header says.
fn contents(entry: &mut impl Read, name: &str, size: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(tar_error)?;
    if bytes.len() as u64 == size {
        return Ok(bytes);
    }
    Err(ArchiveError::Truncated { what: name.to_owned() })
}

fn read_list(json: &[u8]) -> Result<BTreeMap<String, FileEntry>, ArchiveError> {
    let syntax = |error: serde_json::Error| ArchiveError::List {
        message: readable(&error.to_string()),
    };
    let AnyList { format } = serde_json::from_slice(json).map_err(syntax)?;
    if format != FORMAT {
        return Err(ArchiveError::Format {
            found: format,
            expected: FORMAT,
        });
    }
    let List { files, .. } = serde_json::from_slice(json).map_err(syntax)?;
    check_list(&files)?;
    Ok(files.into_iter().map(|line| (line.name.clone(), line)).collect())
}

/// Names that any file system can hold side by side, and not too many of them.
fn check_list(files: &[FileEntry]) -> Result<(), ArchiveError> {
    if files.len() >= MAX_ENTRIES {
        return Err(ArchiveError::TooManyEntries { limit: MAX_ENTRIES });
    }
    let mut seen = BTreeMap::from([(LIST_FILE.to_owned(), LIST_FILE)]);
    for line in files {
        let name = plain_name(line.name.as_bytes())?;
        match seen.insert(name.to_ascii_lowercase(), &line.name) {
            Some(first) if *first == name => return Err(ArchiveError::Duplicate { name }),
            Some(first) => {
                let first = first.to_owned();
                return Err(ArchiveError::Case { first, second: name });
            }
            None => (),
        }
    }
    Ok(())
}

fn plain_name(name: &[u8]) -> Result<String, ArchiveError> {
    match std::str::from_utf8(name) {
        Ok(name) if is_plain_file_name(name) => Ok(name.to_owned()),
        _ => Err(ArchiveError::Name {
            name: name.escape_ascii().take(80).map(char::from).collect(),
        }),
    }
}

fn kind_name(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Link => "a hard link",
        tar::EntryType::Symlink => "a symbolic link",
        tar::EntryType::Char | tar::EntryType::Block => "a device",
        tar::EntryType::Fifo => "a pipe",
        tar::EntryType::Directory => "a folder",
        _ => "an extension of tar",
    }
}

/// Where two byte strings part, if they do.
fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let parted = a.iter().zip(b).position(|(a, b)| a != b);
    parted.or_else(|| (a.len() != b.len()).then(|| a.len().min(b.len())))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where map_err hands over the error"
)]
fn tar_error(source: io::Error) -> ArchiveError {
    let message = source.to_string();
    // The tar crate has words for this, and no kind.
    if message.contains("unexpected EOF") {
        return ArchiveError::Truncated {
            what: "the tar".to_owned(),
        };
    }
    ArchiveError::NotTar { message }
}
