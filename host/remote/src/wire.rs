//! Embeddings as a file of `torch.save`, which is what vLLM and NVIDIA Dynamo take as `prompt_embeds`.
//!
//! Such a file is a ZIP archive, nothing in it compressed, with these entries:
//!
//! | entry | holds |
//! |---|---|
//! | `archive/data.pkl` | a pickle that rebuilds the tensor: kind, shape and strides over a storage called `0` |
//! | `archive/byteorder` | `little` |
//! | `archive/version` | `3` |
//! | `archive/data/0` | the storage: the tensor's bytes as they are in memory |
//!
//! The storage comes last, so that everything before it is known beforehand and everything behind it has a known length: the file is
//! [`Layout::head`], the tensor's bytes, [`Layout::tail`]. The pickle is a fixed text with five numbers in it. Nothing here reads
//! such a file.

use crc32fast::Hasher;
use tch::Kind;

/// Where the storage begins, at a multiple of this: of 64, as `torch.save` aligns it, and of 3, so that it begins with a group of
/// base64.
const ALIGNMENT: usize = 192;

const FOLDER: &str = "archive/";

/// "PK", then which record of an archive it is.
const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const DATA_DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const CENTRAL_HEADER: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// Version 2.0 of the format.
const NEEDS: u16 = 20;
/// Checksum and lengths stand behind the entry's bytes, for they were not known before.
const DESCRIBED_BEHIND: u16 = 1 << 3;
/// 1 January 1980, the format's first day.
const DATE: u16 = (1 << 5) | 1;
/// Padding, as `torch.save` marks it.
const PADDING: [u8; 2] = *b"FB";

/// Embeddings that cannot be written in this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Other numbers than the form has a name for here.
    #[error("embeddings of the kind {0:?} have no form on the wire; it is for Float, BFloat16 and Half")]
    Kind(Kind),
    /// Beyond the 32 bits in which the form counts.
    #[error("embeddings of [{tokens}, {hidden}] are more than a file of this form holds, which is 2 GiB")]
    TooLarge {
        /// Rows.
        tokens: usize,
        /// Columns.
        hidden: usize,
    },
}

/// The file around a tensor `[tokens, hidden]` that lies row after row in memory.
#[derive(Debug, Clone)]
pub struct Layout {
    head: Vec<u8>,
    /// Entries whose bytes are in the head: name, checksum, length, place.
    entries: Vec<Entry>,
    data: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    flags: u16,
    crc: u32,
    length: u32,
    at: u32,
}

impl Layout {
    /// The file of a tensor of this kind and shape.
    ///
    /// # Errors
    /// [`WireError`] where the form has no place for it.
    pub fn new(kind: Kind, tokens: usize, hidden: usize) -> Result<Self, WireError> {
        let (storage, size) = match kind {
            Kind::BFloat16 => ("BFloat16Storage", 2),
            Kind::Half => ("HalfStorage", 2),
            Kind::Float => ("FloatStorage", 4),
            kind => return Err(WireError::Kind(kind)),
        };
        let too_large = WireError::TooLarge { tokens, hidden };
        let numbers = tokens.checked_mul(hidden).ok_or(too_large.clone())?;
        let data = numbers
            .checked_mul(size)
            .filter(|&bytes| bytes <= i32::MAX as usize)
            .ok_or(too_large)?;

        let mut layout = Self {
            head: Vec::with_capacity(4 * ALIGNMENT),
            entries: Vec::with_capacity(4),
            data,
        };
        layout.add("data.pkl", &pickle(storage, numbers, tokens, hidden));
        layout.add("byteorder", b"little");
        layout.add("version", b"3\n");
        layout.open_data();
        Ok(layout)
    }

    /// What comes before the tensor's bytes; a multiple of three bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The tensor's own bytes.
    pub fn data_bytes(&self) -> usize {
        self.data
    }

    /// The whole file's length in bytes.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.data + self.tail(0).len()
    }

    /// What comes behind the tensor's bytes, whose CRC-32 this is. Its length does not depend on it.
    pub fn tail(&self, crc: u32) -> Vec<u8> {
        let mut tail = Vec::with_capacity(2 * ALIGNMENT);
        let length = self.data as u32;
        tail.extend(DATA_DESCRIPTOR);
        tail.extend(crc.to_le_bytes());
        tail.extend(length.to_le_bytes());
        tail.extend(length.to_le_bytes());

        let directory = self.head.len() + self.data + tail.len();
        let before = tail.len();
        for entry in &self.entries {
            let described_behind = entry.flags & DESCRIBED_BEHIND != 0;
            let (crc, length) = if described_behind {
                (crc, length)
            } else {
                (entry.crc, entry.length)
            };
            tail.extend(CENTRAL_HEADER);
            tail.extend(NEEDS.to_le_bytes());
            tail.extend(entry.fields(crc, length, 0));
            // No comment, the first disk, no attributes.
            tail.extend([0; 10]);
            tail.extend(entry.at.to_le_bytes());
            tail.extend(entry.name.as_bytes());
        }
        let size = (tail.len() - before) as u32;
        let count = self.entries.len() as u16;
        tail.extend(END);
        tail.extend([0; 4]);
        tail.extend(count.to_le_bytes());
        tail.extend(count.to_le_bytes());
        tail.extend(size.to_le_bytes());
        tail.extend((directory as u32).to_le_bytes());
        tail.extend([0; 2]);
        tail
    }

    /// An entry whose bytes are known.
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        let (crc, length) = (hasher.finalize(), bytes.len() as u32);
        let entry = self.entry(name, 0, crc, length);
        self.head.extend(LOCAL_HEADER);
        self.head.extend(entry.fields(crc, length, 0));
        self.head.extend(entry.name.as_bytes());
        self.head.extend(bytes);
        self.entries.push(entry);
    }

    /// The header of the storage, padded.
    fn open_data(&mut self) {
        let entry = self.entry("data/0", DESCRIBED_BEHIND, 0, 0);
        // Signature, fields, name, and the padding's own header.
        let least = self.head.len() + 4 + 26 + entry.name.len() + 4;
        let padding = least.next_multiple_of(ALIGNMENT) - least;
        self.head.extend(LOCAL_HEADER);
        self.head.extend(entry.fields(0, 0, (padding + 4) as u16));
        self.head.extend(entry.name.as_bytes());
        self.head.extend(PADDING);
        self.head.extend((padding as u16).to_le_bytes());
        self.head.resize(self.head.len() + padding, 0);
        self.entries.push(entry);
    }

    fn entry(&self, name: &str, flags: u16, crc: u32, length: u32) -> Entry {
        Entry {
            name: format!("{FOLDER}{name}"),
            flags,
            crc,
            length,
            at: self.head.len() as u32,
        }
    }
}

impl Entry {
    /// What a local and a central header have in common, from the version on: 26 bytes.
    fn fields(&self, crc: u32, length: u32, extra: u16) -> Vec<u8> {
        let mut fields = Vec::with_capacity(26);
        fields.extend(NEEDS.to_le_bytes());
        fields.extend(self.flags.to_le_bytes());
        // Stored as it is, at midnight.
        fields.extend([0; 4]);
        fields.extend(DATE.to_le_bytes());
        fields.extend(crc.to_le_bytes());
        fields.extend(length.to_le_bytes());
        fields.extend(length.to_le_bytes());
        fields.extend((self.name.len() as u16).to_le_bytes());
        fields.extend(extra.to_le_bytes());
        fields
    }
}

/// `_rebuild_tensor_v2(storage "0" on the CPU, offset 0, shape, strides, no gradient, no hooks)`, in pickle's protocol 2.
fn pickle(storage: &str, numbers: usize, tokens: usize, hidden: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(192);
    // PROTO 2; GLOBAL; MARK, MARK
    text.extend(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((");
    // The storage by its name, for BINPERSID to look up.
    string(&mut text, "storage");
    text.extend(format!("ctorch\n{storage}\n").bytes());
    string(&mut text, "0");
    string(&mut text, "cpu");
    number(&mut text, numbers);
    // TUPLE, BINPERSID
    text.extend(b"tQ");
    number(&mut text, 0);
    for pair in [[tokens, hidden], [hidden, 1]] {
        number(&mut text, pair[0]);
        number(&mut text, pair[1]);
        // TUPLE2
        text.push(b'\x86');
    }
    // NEWFALSE; GLOBAL, EMPTY_TUPLE, REDUCE; TUPLE, REDUCE, STOP
    text.extend(b"\x89ccollections\nOrderedDict\n)RtR.");
    text
}

/// BINUNICODE
fn string(text: &mut Vec<u8>, string: &str) {
    text.push(b'X');
    text.extend((string.len() as u32).to_le_bytes());
    text.extend(string.bytes());
}

/// BININT: four bytes whatever the number, which [`Layout::new`] has seen to be in range.
fn number(text: &mut Vec<u8>, number: usize) {
    text.push(b'J');
    text.extend((number as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use zip::ZipArchive;

    use super::*;

    fn file(kind: Kind, tokens: usize, hidden: usize, data: &[u8]) -> Vec<u8> {
        let layout = Layout::new(kind, tokens, hidden).expect("it has a form");
        assert_eq!(layout.data_bytes(), data.len());
        let tail = layout.tail(crc32fast::hash(data));
        let file = [layout.head(), data, &tail].concat();
        assert_eq!(file.len(), layout.bytes());
        file
    }

    /// Another program's reader, which checks the checksums.
    #[test]
    fn the_file_is_an_archive() {
        let data: Vec<u8> = (0..12).collect();
        let file = file(Kind::BFloat16, 2, 3, &data);
        let mut archive = ZipArchive::new(Cursor::new(&file)).expect("an archive");
        let mut read = |name: &str| {
            let mut bytes = Vec::new();
            let mut entry = archive.by_name(name).expect("an entry");
            let at = entry.data_start();
            entry.read_to_end(&mut bytes).expect("whole");
            (at, bytes)
        };
        assert_eq!(read("archive/byteorder").1, b"little");
        assert_eq!(read("archive/version").1, b"3\n");
        assert!(read("archive/data.pkl").1.ends_with(b"\n)RtR."));
        let (at, bytes) = read("archive/data/0");
        assert_eq!(bytes, data);
        assert_eq!(at.map(|at| at as usize % ALIGNMENT), Some(0));
    }

    #[test]
    fn what_the_form_has_no_place_for_is_named() {
        let error = |kind, tokens, hidden| Layout::new(kind, tokens, hidden).expect_err("has no form").to_string();
        assert!(error(Kind::Double, 1, 1).contains("the kind Double"));
        assert!(error(Kind::BFloat16, 1 << 20, 1 << 10).contains("[1048576, 1024]"));
        assert!(Layout::new(Kind::BFloat16, (1 << 20) - 1, 1 << 10).is_ok());
    }
}
