//! What bytes must look like before they are compiled and linked.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::{TaskError, TaskLimits, WORLD};

/// The package of the world, without its version.
const PACKAGE: &str = "transducer:task/";

/// What a task may import. The interface `types` holds no function: it is there for the types of the others.
const IMPORTS: [&str; 3] = [
    "transducer:task/cpg@1.0.0",
    "transducer:task/log@1.0.0",
    "transducer:task/types@1.0.0",
];

/// What a task must export.
const EXPORT: &str = "transducer:task/handler@1.0.0";

/// `\0asm`, then version and layer: a component.
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
/// `\0asm`, then the version of core modules.
const MODULE_HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Compiles a component, after it was seen to be one.
pub(crate) fn compile(engine: &Engine, wasm: &[u8], limits: &TaskLimits) -> Result<Component, TaskError> {
    if wasm.len() > limits.component_bytes {
        return Err(TaskError::ComponentTooLarge {
            found: wasm.len(),
            limit: limits.component_bytes,
        });
    }
    if !wasm.starts_with(COMPONENT_HEADER) {
        return Err(TaskError::NotAComponent { found: guess(wasm) });
    }
    // Only ever from source: to deserialize precompiled code would be to run whatever machine code it holds.
    let component = Component::from_binary(engine, wasm).map_err(|error| TaskError::InvalidComponent {
        message: format!("{error:#}"),
    })?;
    check_world(engine, &component)?;
    Ok(component)
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

/// Imports and exports by name. The linker checks their types after this.
fn check_world(engine: &Engine, component: &Component) -> Result<(), TaskError> {
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
    // A wrong version first: it explains the imports that are unknown because of it.
    for name in exports.iter().chain(&imports) {
        let version = name
            .strip_prefix(PACKAGE)
            .and_then(|rest| rest.rsplit_once('@'))
            .map(|(_, version)| version);
        if let Some(version) = version
            && !WORLD.ends_with(&format!("@{version}"))
        {
            return Err(TaskError::UnsupportedWorld {
                found: format!("transducer:task@{version}"),
                supported: WORLD,
            });
        }
    }
    if let Some(name) = imports.iter().find(|name| !IMPORTS.contains(name)) {
        return Err(TaskError::UnknownImport {
            name: (*name).to_owned(),
        });
    }
    if !exports.contains(&EXPORT) {
        return Err(TaskError::MissingExport { name: EXPORT });
    }
    Ok(())
}
