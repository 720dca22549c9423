//! The Joern view of Python against what Joern 2.0.25 draws, in `tests/conformance/joern/python`.

use std::path::Path;

use transducer_frontend::cpg::joern;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_python::PythonFrontEnd;

#[test]
fn the_view_is_what_joern_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/joern/python");
    transducer_conformance::check_joern_folder::<PythonFrontEnd>(&folder, 24);
}

#[test]
fn broken_and_deeply_nested_code_is_drawn_too() {
    let chained = format!(
        "def f():\n    x = a{}\n    y = 1{}\n    z = {}x\n",
        ".b()".repeat(500),
        " < 2".repeat(500),
        "not ".repeat(500)
    );
    let broken = "@\ndef f(:\n  import\n  from x import\n  with : pass\n  for in x: y\n  x = [for]\n  match\n  try:\n  {**\n \"\\";
    for source in [chained.as_str(), broken, ""] {
        let graph = PythonFrontEnd::parse(source, &ParseLimits::DEFAULT).expect("text has a graph");
        let view = joern::view(&graph, source).expect("the texts are small");
        assert_eq!(view.methods.is_empty(), source.is_empty());
    }
}
