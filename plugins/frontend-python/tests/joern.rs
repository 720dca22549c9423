//! The Joern view of Python against what Joern 2.0.25 draws, in `tests/conformance/joern/python`.

use std::path::Path;

use transducer_frontend_python::PythonFrontEnd;

#[test]
fn the_view_is_what_joern_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/joern/python");
    transducer_conformance::check_joern_folder::<PythonFrontEnd>(&folder, 24);
}
