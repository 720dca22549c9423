//! Libraries that were built against each interface, as they were built: they are never built again.
//!
//! `abi/I-S-W` holds the one for interface I, CPG schema S and wire version W, of `examples/lines_frontend.rs` as it was then.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use transducer_cpg::{NodeKind, SCHEMA_VERSION, wire};
use transducer_frontend::INTERFACE_VERSION;
use transducer_frontends::{FrontEnds, LoadError, ParseError, ParseFailure};

/// The versions of this host, as a folder is named.
fn current() -> String {
    format!("{INTERFACE_VERSION}-{SCHEMA_VERSION}-{}", wire::WIRE_VERSION)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi")
}

fn library(versions: &str) -> PathBuf {
    folder().join(versions).join("libtransducer_frontend_lines.so")
}

#[test]
fn a_library_of_these_versions_works_as_it_was_built() {
    let path = library(&current());
    assert!(
        path.exists(),
        "a new interface, schema or wire version: build the first library for it, {}",
        path.display()
    );
    let frontends = FrontEnds::load(&path).unwrap();
    let [language] = frontends.languages() else {
        panic!("one language: {frontends:?}")
    };
    assert_eq!((language.name.as_str(), language.version.as_str()), ("lines", "0.1.0"));
    assert_eq!(language.extensions, ["txt", "lines"]);
    let graph = frontends.parse("lines", "one\ntwo\n").unwrap();
    let nodes: Vec<_> = graph
        .nodes()
        .iter()
        .map(|node| (node.kind, node.span.start, node.line))
        .collect();
    assert_eq!(
        nodes,
        [(NodeKind::File, 0, 1), (NodeKind::Block, 0, 1), (NodeKind::Block, 4, 2)]
    );
    // Errors cross the boundary too.
    let error = frontends.parse("lines", "PANIC").unwrap_err();
    assert!(
        matches!(&error, ParseFailure::FrontEnd { error: ParseError::Panicked { message }, .. } if message == "the source asked for it"),
        "{error}"
    );
}

#[test]
fn a_library_of_other_versions_is_refused_by_name() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let versions = entry.unwrap().file_name().into_string().unwrap();
        if versions != current() {
            let error = FrontEnds::load(&library(&versions)).unwrap_err();
            assert!(matches!(error, LoadError::Version { .. }), "{versions}: {error}");
        }
    }
}
