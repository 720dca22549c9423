//! The header: version, metadata and tensor directory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::Fault;
use super::metadata::{Cursor, Value};
use super::quant::QuantType;
use super::tensor::TensorInfo;

/// Metadata entries: real files have 20 to 60.
const MAX_METADATA_ENTRIES: u64 = 65_536;

/// Tensors: a dense model has about 10 a layer, the largest mixtures of experts some 10,000.
const MAX_TENSORS: u64 = 65_536;

/// Dimensions of a tensor, `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;

/// `GGUF_DEFAULT_ALIGNMENT`.
const DEFAULT_ALIGNMENT: i64 = 32;

/// Largest `general.alignment`: a huge page; more would only be padding.
const MAX_ALIGNMENT: i64 = 2 << 20;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: HashMap<String, Value>,
    pub(super) tensors: Vec<TensorInfo>,
    pub(super) by_name: HashMap<String, usize>,
}

/// A directory entry whose data has not been located yet.
struct DirectoryEntry {
    name: String,
    shape: Vec<usize>,
    quant: QuantType,
    offset: u64,
    size: u64,
}

impl Header {
    pub(super) fn parse(file: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(file);
        if !file.starts_with(b"GGUF") {
            return Err(Fault::Magic {
                found: file[..file.len().min(4)].to_vec(),
            });
        }
        cursor.u32("magic")?;
        let version = cursor.u32("format version")?;
        if !(2..=3).contains(&version) {
            return Err(Fault::Version { found: version });
        }
        // The smallest entries: a tensor is an empty name, one dimension, a type and an offset; a metadata entry is
        // an empty key, a type and one byte.
        let tensor_count = cursor.count("tensor count", MAX_TENSORS, 8 + 4 + 8 + 4 + 8)?;
        let entry_count = cursor.count("metadata count", MAX_METADATA_ENTRIES, 8 + 4 + 1)?;
        let metadata = read_metadata(&mut cursor, entry_count)?;
        let entries = (0..tensor_count)
            .map(|_| DirectoryEntry::read(&mut cursor))
            .collect::<Result<Vec<_>, _>>()?;
        let data = aligned(cursor.offset(), alignment(&metadata)?);
        let tensors = locate(entries, data, file.len(), alignment(&metadata)?)?;
        let mut by_name = HashMap::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            if by_name.insert(tensor.name.clone(), index).is_some() {
                return Err(Fault::Duplicate {
                    what: "tensor",
                    name: tensor.name.clone(),
                });
            }
        }
        Ok(Self {
            metadata,
            tensors,
            by_name,
        })
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, count: usize) -> Result<HashMap<String, Value>, Fault> {
    let mut metadata = HashMap::with_capacity(count);
    for _ in 0..count {
        let key = cursor.string("metadata key")?;
        let value = cursor.value(&key)?;
        match metadata.entry(key) {
            Entry::Vacant(slot) => slot.insert(value),
            Entry::Occupied(slot) => {
                return Err(Fault::Duplicate {
                    what: "metadata entry",
                    name: slot.key().clone(),
                });
            }
        };
    }
    Ok(metadata)
}

fn alignment(metadata: &HashMap<String, Value>) -> Result<u64, Fault> {
    let found = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(Value::Int(found)) => *found,
        Some(_) => 0,
    };
    match u64::try_from(found) {
        Ok(alignment) if alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&found) => Ok(alignment),
        _ => Err(Fault::Alignment {
            found,
            limit: MAX_ALIGNMENT,
        }),
    }
}

fn aligned(offset: usize, alignment: u64) -> u64 {
    (offset as u64).next_multiple_of(alignment)
}

impl DirectoryEntry {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let name = cursor.string("tensor name")?;
        let offset = cursor.offset();
        let dimensions = cursor.u32("dimension count")?;
        if dimensions > MAX_DIMENSIONS {
            let (found, limit) = (dimensions.into(), MAX_DIMENSIONS.into());
            return Err(Fault::TooMany {
                what: "dimension count",
                offset,
                found,
                limit,
            });
        }
        let stored = (0..dimensions)
            .map(|_| cursor.u64("dimension"))
            .collect::<Result<Vec<_>, _>>()?;
        let code = cursor.u32("tensor type")?;
        let offset = cursor.u64("tensor offset")?;
        let Some(quant) = QuantType::from_code(code) else {
            return Err(Fault::TensorType { tensor: name, code });
        };
        match shape_and_size(&stored, quant) {
            Ok((shape, size)) => Ok(Self {
                name,
                shape,
                quant,
                offset,
                size,
            }),
            Err(reason) => Err(Fault::TensorShape {
                tensor: name,
                shape: stored,
                reason,
            }),
        }
    }
}

/// The shape outermost first, and the size of the data in bytes.
fn shape_and_size(stored: &[u64], quant: QuantType) -> Result<(Vec<usize>, u64), &'static str> {
    let [row, ..] = stored else {
        return Err("a tensor needs a dimension");
    };
    let elements = stored
        .iter()
        .try_fold(1_u64, |product, &dimension| product.checked_mul(dimension))
        // Four bytes each must still be countable, since every type is dequantized to f32.
        .filter(|&elements| elements <= isize::MAX as u64 / 4)
        .ok_or("it has more values than can be addressed")?;
    if elements == 0 {
        return Err("a dimension is 0");
    }
    if !row.is_multiple_of(quant.block_values() as u64) {
        return Err("a row does not fill whole quantization blocks");
    }
    let size = elements / quant.block_values() as u64 * quant.block_bytes() as u64;
    let shape = stored
        .iter()
        .rev()
        .map(|&dimension| usize::try_from(dimension))
        .collect::<Result<_, _>>();
    Ok((
        shape.map_err(|_| "a dimension does not fit this machine's addresses")?,
        size,
    ))
}

/// Turns offsets into ranges of the file, and refuses those outside it, off the alignment or over each other.
fn locate(entries: Vec<DirectoryEntry>, data: u64, file: usize, alignment: u64) -> Result<Vec<TensorInfo>, Fault> {
    let section = (file as u64).saturating_sub(data);
    let fault = |entry: &DirectoryEntry, reason| Fault::TensorRange {
        tensor: entry.name.clone(),
        offset: entry.offset,
        size: entry.size,
        section,
        reason,
    };
    let mut order = (0..entries.len()).collect::<Vec<_>>();
    order.sort_by_key(|&index| entries[index].offset);
    let mut used = 0;
    for index in order {
        let entry = &entries[index];
        if !entry.offset.is_multiple_of(alignment) {
            return Err(fault(entry, "the offset is off the alignment"));
        }
        if entry.offset < used {
            return Err(fault(entry, "it overlaps another tensor"));
        }
        match entry.offset.checked_add(entry.size) {
            Some(end) if end <= section => used = end,
            _ => return Err(fault(entry, "it ends past the file; the file may be cut off")),
        }
    }
    Ok(entries
        .into_iter()
        .map(|entry| {
            // Within the file, as just checked, so that both fit a usize.
            let start = (data + entry.offset) as usize;
            let range = start..start + entry.size as usize;
            TensorInfo {
                name: entry.name,
                shape: entry.shape,
                quant: entry.quant,
                range,
            }
        })
        .collect())
}
