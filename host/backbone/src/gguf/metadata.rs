//! Metadata values, and the bounded cursor that reads them.

use super::error::Fault;

/// Entries of one metadata array: the largest vocabularies have some 260,000 tokens, their merges under 1,000,000.
/// A string costs the file 8 bytes and us 24, so that the limit bounds the memory a small hostile file can ask for.
const MAX_ARRAY_ITEMS: u64 = 4_000_000;

/// A metadata value. Integer types are widened to `i64`, float types to `f64`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any of the eight integer types.
    Int(i64),
    /// `f32` or `f64`.
    Float(f64),
    /// A flag.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// An array of one type.
    Array(Array),
}

/// A metadata array. Integer types are widened to `i64`; floats are kept as `f32`.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// Any of the eight integer types.
    Ints(Vec<i64>),
    /// `f32` or `f64`.
    Floats(Vec<f32>),
    /// Flags.
    Bools(Vec<bool>),
    /// UTF-8 texts.
    Strings(Vec<String>),
}

impl Value {
    /// The value's type, and for single values the value, as an error message shows it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Int(number) => format!("integer {number}"),
            Self::Float(number) => format!("float {number}"),
            Self::Bool(flag) => format!("bool {flag}"),
            Self::String(text) => format!("string {:?}", text.chars().take(40).collect::<String>()),
            Self::Array(Array::Ints(items)) => format!("array of {} integers", items.len()),
            Self::Array(Array::Floats(items)) => format!("array of {} floats", items.len()),
            Self::Array(Array::Bools(items)) => format!("array of {} bools", items.len()),
            Self::Array(Array::Strings(items)) => format!("array of {} strings", items.len()),
        }
    }
}

/// Reads little-endian items and refuses to pass the end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    fn take(&mut self, what: &'static str, size: u64) -> Result<&'a [u8], Fault> {
        let left = self.left();
        match usize::try_from(size) {
            Ok(size) if size <= left => {
                let taken = &self.bytes[self.offset..self.offset + size];
                self.offset += size;
                Ok(taken)
            }
            _ => Err(Fault::Truncated {
                what,
                offset: self.offset,
                needed: size,
                left,
            }),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Fault> {
        let mut item = [0; N];
        item.copy_from_slice(self.take(what, N as u64)?);
        Ok(item)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of at most `limit`, each counted item taking at least `item_size` bytes of the file.
    pub(super) fn count(&mut self, what: &'static str, limit: u64, item_size: u64) -> Result<usize, Fault> {
        let offset = self.offset;
        let found = self.u64(what)?;
        if found > limit {
            return Err(Fault::TooMany {
                what,
                offset,
                found,
                limit,
            });
        }
        // Before anything is reserved for the items: they must fit into what is left of the file.
        let needed = found * item_size;
        if needed > self.left() as u64 {
            return Err(Fault::Truncated {
                what,
                offset,
                needed,
                left: self.left(),
            });
        }
        usize::try_from(found).map_err(|_| Fault::TooMany {
            what,
            offset,
            found,
            limit: usize::MAX as u64,
        })
    }

    pub(super) fn string(&mut self, what: &'static str) -> Result<String, Fault> {
        let size = self.u64(what)?;
        let offset = self.offset;
        let bytes = self.take(what, size)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| Fault::NotUtf8 { what, offset })
    }

    /// The value of the entry `key`: its type code, then its bytes.
    pub(super) fn value(&mut self, key: &str) -> Result<Value, Fault> {
        let code = self.u32("metadata value type")?;
        match code {
            ARRAY => self.array_value(key).map(Value::Array),
            STRING => self.string("metadata string").map(Value::String),
            BOOL => self.bool(key).map(Value::Bool),
            F32 | F64 => self.float(code).map(Value::Float),
            _ => self.int(key, code).map(Value::Int),
        }
    }

    fn array_value(&mut self, key: &str) -> Result<Array, Fault> {
        const WHAT: &str = "metadata array length";
        let code = self.u32("metadata array type")?;
        let item_size = match code {
            U8 | I8 | BOOL => 1,
            U16 | I16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 | STRING => 8,
            // Nothing that models are described with is an array of arrays.
            _ => {
                return Err(Fault::ValueType {
                    key: key.to_owned(),
                    code,
                });
            }
        };
        let items = self.count(WHAT, MAX_ARRAY_ITEMS, item_size)?;
        match code {
            STRING => (0..items)
                .map(|_| self.string("metadata string"))
                .collect::<Result<_, _>>()
                .map(Array::Strings),
            BOOL => (0..items)
                .map(|_| self.bool(key))
                .collect::<Result<_, _>>()
                .map(Array::Bools),
            F32 | F64 => (0..items)
                .map(|_| self.float(code).map(|number| number as f32))
                .collect::<Result<_, _>>()
                .map(Array::Floats),
            _ => (0..items)
                .map(|_| self.int(key, code))
                .collect::<Result<_, _>>()
                .map(Array::Ints),
        }
    }

    fn bool(&mut self, key: &str) -> Result<bool, Fault> {
        let [byte] = self.array("metadata bool")?;
        match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Value {
                key: key.to_owned(),
                found: byte.into(),
                expected: "bool",
            }),
        }
    }

    fn float(&mut self, code: u32) -> Result<f64, Fault> {
        const WHAT: &str = "metadata float";
        Ok(if code == F32 {
            f32::from_le_bytes(self.array(WHAT)?).into()
        } else {
            f64::from_le_bytes(self.array(WHAT)?)
        })
    }

    fn int(&mut self, key: &str, code: u32) -> Result<i64, Fault> {
        const WHAT: &str = "metadata integer";
        Ok(match code {
            U8 => u8::from_le_bytes(self.array(WHAT)?).into(),
            I8 => i8::from_le_bytes(self.array(WHAT)?).into(),
            U16 => u16::from_le_bytes(self.array(WHAT)?).into(),
            I16 => i16::from_le_bytes(self.array(WHAT)?).into(),
            U32 => u32::from_le_bytes(self.array(WHAT)?).into(),
            I32 => i32::from_le_bytes(self.array(WHAT)?).into(),
            I64 => i64::from_le_bytes(self.array(WHAT)?),
            U64 => {
                let found = u64::from_le_bytes(self.array(WHAT)?);
                i64::try_from(found).map_err(|_| Fault::Value {
                    key: key.to_owned(),
                    found,
                    expected: "signed 64-bit integer",
                })?
            }
            _ => {
                return Err(Fault::ValueType {
                    key: key.to_owned(),
                    code,
                });
            }
        })
    }
}

// `enum gguf_metadata_value_type` of the format.
const U8: u32 = 0;
const I8: u32 = 1;
const U16: u32 = 2;
const I16: u32 = 3;
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;
const I64: u32 = 11;
const F64: u32 = 12;
