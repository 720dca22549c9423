//! What bytes must look like before they are compiled and linked.

use wasmparser::{BinaryReaderError, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::limits::MAX_LOCALS;
use crate::{TaskError, TaskLimits, World};

/// `\0asm`, then version and layer: a component.
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
/// `\0asm`, then the version of core modules.
const MODULE_HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Compiles a component, after it was seen to be one, of a world that this host has.
pub(crate) fn compile(engine: &Engine, wasm: &[u8], limits: &TaskLimits) -> Result<(Component, World), TaskError> {
    if wasm.len() > limits.component_bytes {
        return Err(TaskError::ComponentTooLarge {
            found: wasm.len(),
            limit: limits.component_bytes,
        });
    }
    if !wasm.starts_with(COMPONENT_HEADER) {
        return Err(TaskError::NotAComponent { found: guess(wasm) });
    }
    let world = World::of(wasm)?;
    let found = locals(wasm).map_err(|error| TaskError::InvalidComponent {
        message: error.to_string(),
    })?;
    if found > MAX_LOCALS {
        let limit = MAX_LOCALS;
        return Err(TaskError::TooManyLocals { found, limit });
    }
    // Only ever from source: to deserialize precompiled code would be to run whatever machine code it holds.
    let component = Component::from_binary(engine, wasm).map_err(|error| TaskError::InvalidComponent {
        message: format!("{error:#}"),
    })?;
    Ok((component, world))
}

/// The local variables of all functions. They are the one thing whose number is not bounded by that of the bytes.
fn locals(wasm: &[u8]) -> Result<u64, BinaryReaderError> {
    let mut sum = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            for run in body.get_locals_reader()? {
                let (count, _) = run?;
                sum += u64::from(count);
            }
        }
    }
    Ok(sum)
}

fn guess(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        "an empty file"
    } else if bytes.starts_with(MODULE_HEADER) {
        "a core WebAssembly module"
    } else if bytes.starts_with(b"\x7fELF") {
        "an ELF file (precompiled WebAssembly is not accepted)"
    } else if bytes.starts_with(b"\0asm") {
        "WebAssembly of an unknown version"
    } else if bytes.trim_ascii_start().starts_with(b"(") {
        "WebAssembly text"
    } else {
        "bytes that are no WebAssembly"
    }
}
