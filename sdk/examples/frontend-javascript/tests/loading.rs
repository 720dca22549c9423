//! The library as a host finds it: in a folder, by the extension of a file.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

use transducer_frontend::cpg::{EdgeKind, query};
use transducer_frontends::FrontEnds;

/// The library that cargo built beside this test.
fn library() -> PathBuf {
    let file = format!("{DLL_PREFIX}transducer_frontend_javascript{DLL_SUFFIX}");
    let test = std::env::current_exe().expect("a test knows where it lies");
    let folder = test.parent().expect("a file lies in a folder");
    let places = [folder.join(&file), folder.join("..").join(&file)];
    let found = places.iter().find(|place| place.exists());
    found
        .unwrap_or_else(|| panic!("{file} is built with this test"))
        .clone()
}

#[test]
fn a_host_finds_it_and_gets_a_graph() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = library();
    std::fs::copy(&library, folder.path().join(library.file_name().expect("a file"))).expect("room for a copy");
    let front_ends = FrontEnds::load_dir(folder.path()).unwrap();
    let language = front_ends.by_extension("js").expect("JavaScript's").name.clone();
    let source = "function twice(x) { return 2 * x; }";
    let graph = front_ends.parse(&language, source).unwrap();
    assert_eq!(query::find_methods_named(&graph, "twice").len(), 1);
    for kind in [EdgeKind::Cfg, EdgeKind::ReachingDef, EdgeKind::Ref] {
        assert!(!graph.edges_of(kind).is_empty(), "no {kind}");
    }
}
