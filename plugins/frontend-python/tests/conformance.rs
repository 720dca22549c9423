//! The corpus in `tests/conformance/python`; its form is told in `transducer_conformance`.

use std::path::Path;

use transducer_frontend_python::PythonFrontEnd;

#[test]
fn every_case_has_exactly_its_edges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/python");
    transducer_conformance::check_folder::<PythonFrontEnd>(&folder, 120);
}
