//! What a component says about itself: what it imports and exports, and what made it. Its bytes are not trusted, and nothing is
//! compiled or run to read them.

use std::collections::BTreeMap;

use wasmparser::{BinaryReaderError, KnownCustom, Parser, Payload};

/// The outside of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Names of what it imports, in order.
    pub imports: Vec<String>,
    /// Names of what it exports, in order.
    pub exports: Vec<String>,
    /// Compilers and encoders by name, with their versions, as far as they have written themselves down.
    pub tools: BTreeMap<String, String>,
}

/// Reads a component's outside.
///
/// # Errors
/// Where the bytes are no WebAssembly.
pub fn interface(component: &[u8]) -> Result<Interface, BinaryReaderError> {
    let mut interface = Interface::default();
    // What is inside of the component's modules is not its own; only the names of tools are taken from there.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    interface.imports.push(plain(import?.name.name));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    interface.exports.push(plain(export?.name.name));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(fields) = section.as_known() {
                    for field in fields {
                        for value in field?.values {
                            let value = value?;
                            interface.tools.insert(plain(value.name), plain(value.version));
                        }
                    }
                }
            }
            _ => (),
        }
    }
    Ok(interface)
}

/// A name that can be printed: a component may call itself anything.
fn plain(name: &str) -> String {
    name.escape_debug().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipped_task_imports_its_world_and_names_what_made_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../adapters/summarize-java/task.wasm");
        let interface = interface(&std::fs::read(path).expect("a task")).expect("a component");
        let world = |names: &[String]| names.iter().all(|name| name.starts_with("transducer:task/"));
        assert!(
            world(&interface.imports) && interface.imports.len() > 1,
            "{interface:?}"
        );
        assert!(
            interface
                .exports
                .iter()
                .any(|name| name.starts_with("transducer:task/handler@"))
        );
        assert!(interface.tools.contains_key("wit-component"), "{interface:?}");
    }

    #[test]
    fn what_is_no_webassembly_is_refused() {
        interface(b"component").expect_err("a text");
        let empty = interface(b"\0asm\x0d\0\x01\0").expect("an empty component");
        assert_eq!(empty, Interface::default());
    }
}
