//! The Joern view of Java against what Joern 2.0.25 draws, in `tests/conformance/joern/java`.

use std::path::Path;

use transducer_frontend::cpg::joern;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

#[test]
fn the_view_is_what_joern_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/joern/java");
    transducer_conformance::check_joern_folder::<JavaFrontEnd>(&folder, 32);
}

#[test]
fn broken_and_deeply_nested_code_is_drawn_too() {
    let nested = format!(
        "class A {{ void m() {{ {}a.b.c();{} }} }}",
        "if (x) {".repeat(2000),
        "}".repeat(2000)
    );
    let made = format!("void m() {{ x = {}{}; }}", "new A(".repeat(1000), ")".repeat(1000));
    let broken = "for (;;) for (x : ) switch () { case } try catch new ( ) a = new ; int x = , y = ; label: label2: }";
    for source in [nested.as_str(), &made, broken, ""] {
        let graph = JavaFrontEnd::parse(source, &ParseLimits::DEFAULT).expect("text has a graph");
        let view = joern::view(&graph, source).expect("the texts are small");
        assert_eq!(view.methods.is_empty(), source.is_empty());
    }
}

#[test]
fn text_beyond_the_limit_is_an_error() {
    let source = format!("void m() {{ {}{} }}", "if (x) {".repeat(9000), "}".repeat(9000));
    let graph = JavaFrontEnd::parse(&source, &ParseLimits::DEFAULT).expect("text has a graph");
    let error = joern::view(&graph, &source).expect_err("half a gigabyte of text");
    assert!(error.to_string().contains("bytes of text"), "{error}");
}
