//! The flat form in which a graph crosses a boundary: one buffer, little endian, versioned.
//!
//! ```text
//! magic "TCPG" · wire version u32 · schema version u32 · source length u32
//! section table: 6 × (length u32), in the order below
//! LANGUAGE     UTF-8
//! NODES        24 bytes each: kind u32 · start u32 · end u32 · line u32 · order u32 · name u32
//! EDGES        16 bytes each: kind u32 · source u32 · target u32 · label u32
//! NAME ENDS     4 bytes each: one past the last byte of each name in NAME TEXT; the first name is empty
//! NAME TEXT    UTF-8, the names back to back
//! DIAGNOSTICS  each: severity u32 · start u32 · end u32 · line u32 · length u32, then the message in UTF-8
//! ```
//!
//! The form is canonical: sections follow each other without gaps to the last byte, so that a graph has one encoding
//! and a decoded buffer encodes to itself. Nothing is allocated that the buffer's own length does not bound.

use crate::model::Parts;
use crate::names::Names;
use crate::{Cpg, Diagnostic, Edge, EdgeKind, InvalidCpg, NameId, Node, NodeKind, SCHEMA_VERSION, Severity, Span};

/// First bytes of every encoded graph.
pub const MAGIC: [u8; 4] = *b"TCPG";
/// Version of this layout. The meaning of the kinds has a version of its own, [`SCHEMA_VERSION`].
pub const WIRE_VERSION: u32 = 1;

const SECTIONS: [&str; 6] = ["language", "nodes", "edges", "name ends", "name text", "diagnostics"];
const HEADER_BYTES: usize = 16 + 4 * SECTIONS.len();
const NODE_BYTES: usize = 24;
const EDGE_BYTES: usize = 16;
const DIAGNOSTIC_BYTES: usize = 20;

/// Why bytes are no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The buffer does not start with [`MAGIC`].
    #[error("not an encoded graph: it starts with {found:02x?}, expected {MAGIC:02x?} (\"TCPG\")")]
    Magic {
        /// The first bytes, up to four.
        found: Vec<u8>,
    },
    /// It was written by another version of this layout.
    #[error("wire version {found}, this library reads {WIRE_VERSION}: build both sides from the same release")]
    WireVersion {
        /// The version found.
        found: u32,
    },
    /// Its kinds are those of another schema.
    #[error("CPG schema version {found}, this library reads {SCHEMA_VERSION}: build both sides from the same release")]
    SchemaVersion {
        /// The version found.
        found: u32,
    },
    /// The buffer is shorter or longer than its section table says.
    #[error("{bytes} bytes, but the header and its sections make {expected}: the buffer is cut or has a tail")]
    Length {
        /// Bytes of the buffer.
        bytes: usize,
        /// Bytes that there should be.
        expected: u64,
    },
    /// A section does not divide into its records.
    #[error("section `{section}`: {bytes} bytes do not divide into records of {record}")]
    Records {
        /// Which section.
        section: &'static str,
        /// Its bytes.
        bytes: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// A number names no kind or severity.
    #[error("section `{section}`, record {index}: {value} is no kind of this schema")]
    Kind {
        /// Which section.
        section: &'static str,
        /// Which record.
        index: usize,
        /// The number found.
        value: u32,
    },
    /// Text is not UTF-8.
    #[error("section `{section}`: not UTF-8 after byte {valid_up_to}")]
    Utf8 {
        /// Which section.
        section: &'static str,
        /// Bytes before the first wrong one.
        valid_up_to: usize,
    },
    /// The ends of the names do not cut the text of the names.
    #[error("the {count} ends of the names do not cut their {bytes} bytes of text")]
    Names {
        /// How many ends.
        count: usize,
        /// Bytes of text.
        bytes: usize,
    },
    /// A diagnostic is cut.
    #[error("diagnostic {index} is cut: it needs {needed} bytes, {left} are left")]
    Diagnostic {
        /// Which one.
        index: usize,
        /// Bytes it needs.
        needed: u64,
        /// Bytes left in the section.
        left: usize,
    },
    /// The tables are whole but are no graph.
    #[error(transparent)]
    Invalid(#[from] InvalidCpg),
}

/// The encoded graph.
pub fn encode(cpg: &Cpg) -> Vec<u8> {
    let diagnostics_bytes: usize = cpg.diagnostics.iter().map(|d| DIAGNOSTIC_BYTES + d.message.len()).sum();
    let lengths = [
        cpg.language.len(),
        cpg.nodes.len() * NODE_BYTES,
        cpg.edges.len() * EDGE_BYTES,
        cpg.names.ends().len() * 4,
        cpg.names.text().len(),
        diagnostics_bytes,
    ];
    let mut out = Vec::with_capacity(HEADER_BYTES + lengths.iter().sum::<usize>());
    out.extend_from_slice(&MAGIC);
    put(&mut out, [WIRE_VERSION, SCHEMA_VERSION, cpg.source_len]);
    put(&mut out, lengths.map(|length| length as u32));
    out.extend_from_slice(cpg.language.as_bytes());
    for &Node {
        kind,
        span,
        line,
        order,
        name,
    } in &cpg.nodes
    {
        put(&mut out, [kind as u32, span.start, span.end, line, order, name.0]);
    }
    for &Edge {
        source,
        target,
        kind,
        label,
    } in &cpg.edges
    {
        put(&mut out, [kind as u32, source, target, label.0]);
    }
    for &end in cpg.names.ends() {
        put(&mut out, [end]);
    }
    out.extend_from_slice(cpg.names.text().as_bytes());
    for Diagnostic {
        severity,
        span,
        line,
        message,
    } in &cpg.diagnostics
    {
        put(
            &mut out,
            [*severity as u32, span.start, span.end, *line, message.len() as u32],
        );
        out.extend_from_slice(message.as_bytes());
    }
    out
}

/// The graph in `bytes`, which may come from anywhere.
///
/// # Errors
/// [`WireError`], naming the first thing that is wrong.
pub fn decode(bytes: &[u8]) -> Result<Cpg, WireError> {
    let Some(magic) = bytes.first_chunk::<4>().filter(|magic| **magic == MAGIC) else {
        return Err(WireError::Magic {
            found: bytes[..bytes.len().min(4)].to_vec(),
        });
    };
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(WireError::Length {
            bytes: bytes.len(),
            expected: HEADER_BYTES as u64,
        });
    };
    let header = words(&header[magic.len()..]);
    let [wire_version, schema_version, source_len, lengths @ ..] = header.as_slice() else {
        return Err(WireError::Length {
            bytes: bytes.len(),
            expected: HEADER_BYTES as u64,
        });
    };
    if *wire_version != WIRE_VERSION {
        return Err(WireError::WireVersion { found: *wire_version });
    }
    if *schema_version != SCHEMA_VERSION {
        return Err(WireError::SchemaVersion { found: *schema_version });
    }
    let expected = HEADER_BYTES as u64 + lengths.iter().map(|&length| u64::from(length)).sum::<u64>();
    if expected != bytes.len() as u64 {
        return Err(WireError::Length {
            bytes: bytes.len(),
            expected,
        });
    }
    let mut sections = [&[] as &[u8]; SECTIONS.len()];
    for (section, &length) in sections.iter_mut().zip(lengths) {
        (*section, rest) = rest.split_at(length as usize);
    }
    let [language, nodes, edges, name_ends, name_text, diagnostics] = sections;

    let name_text = utf8(4, name_text)?.to_owned();
    let (name_bytes, name_ends) = (name_text.len(), words(records::<4>(3, name_ends)?.as_flattened()));
    let name_count = name_ends.len();
    Ok(Cpg::validated(Parts {
        language: utf8(0, language)?.to_owned(),
        source_len: *source_len,
        nodes: decode_nodes(nodes)?,
        edges: decode_edges(edges)?,
        diagnostics: decode_diagnostics(diagnostics)?,
        names: Names::from_parts(name_text, name_ends).ok_or(WireError::Names {
            count: name_count,
            bytes: name_bytes,
        })?,
    })?)
}

fn decode_nodes(bytes: &[u8]) -> Result<Vec<Node>, WireError> {
    let decode_one = |(index, record): (usize, &[u8; NODE_BYTES])| {
        let [value, start, end, line, order, name] = fields(record);
        let kind = narrow(value).and_then(NodeKind::from_u8);
        let kind = kind.ok_or(WireError::Kind {
            section: SECTIONS[1],
            index,
            value,
        })?;
        Ok(Node {
            kind,
            span: Span { start, end },
            line,
            order,
            name: NameId(name),
        })
    };
    records(1, bytes)?.iter().enumerate().map(decode_one).collect()
}

fn decode_edges(bytes: &[u8]) -> Result<Vec<Edge>, WireError> {
    let decode_one = |(index, record): (usize, &[u8; EDGE_BYTES])| {
        let [value, source, target, label] = fields(record);
        let kind = narrow(value).and_then(EdgeKind::from_u8);
        let kind = kind.ok_or(WireError::Kind {
            section: SECTIONS[2],
            index,
            value,
        })?;
        Ok(Edge {
            source,
            target,
            kind,
            label: NameId(label),
        })
    };
    records(2, bytes)?.iter().enumerate().map(decode_one).collect()
}

fn decode_diagnostics(mut bytes: &[u8]) -> Result<Vec<Diagnostic>, WireError> {
    let mut diagnostics = Vec::new();
    while !bytes.is_empty() {
        let index = diagnostics.len();
        let cut = |needed| WireError::Diagnostic {
            index,
            needed,
            left: bytes.len(),
        };
        let Some((record, rest)) = bytes.split_first_chunk::<DIAGNOSTIC_BYTES>() else {
            return Err(cut(DIAGNOSTIC_BYTES as u64));
        };
        let [value, start, end, line, length] = fields(record);
        let severity = narrow(value).and_then(Severity::from_u8);
        let severity = severity.ok_or(WireError::Kind {
            section: SECTIONS[5],
            index,
            value,
        })?;
        let Some((message, rest)) = rest.split_at_checked(length as usize) else {
            return Err(cut(DIAGNOSTIC_BYTES as u64 + u64::from(length)));
        };
        let message = utf8(5, message)?.to_owned();
        diagnostics.push(Diagnostic {
            severity,
            span: Span { start, end },
            line,
            message,
        });
        bytes = rest;
    }
    Ok(diagnostics)
}

fn put<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// The words of `bytes`; a tail of fewer than four bytes is left out (callers check lengths first).
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&word| u32::from_le_bytes(word))
        .collect()
}

/// A record's words. `N` words are exactly the record's bytes.
fn fields<const BYTES: usize, const N: usize>(record: &[u8; BYTES]) -> [u32; N] {
    const { assert!(BYTES == 4 * N, "a record is its fields") };
    std::array::from_fn(|field| u32::from_le_bytes(std::array::from_fn(|byte| record[4 * field + byte])))
}

fn narrow(value: u32) -> Option<u8> {
    u8::try_from(value).ok()
}

fn records<const BYTES: usize>(section: usize, bytes: &[u8]) -> Result<&[[u8; BYTES]], WireError> {
    match bytes.as_chunks::<BYTES>() {
        (records, []) => Ok(records),
        _ => Err(WireError::Records {
            section: SECTIONS[section],
            bytes: bytes.len(),
            record: BYTES,
        }),
    }
}

fn utf8(section: usize, bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|error| WireError::Utf8 {
        section: SECTIONS[section],
        valid_up_to: error.valid_up_to(),
    })
}
