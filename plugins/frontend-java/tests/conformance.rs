//! The corpus in `tests/conformance/java`; its form is told in `transducer_conformance`.

use std::path::Path;

use transducer_frontend_java::JavaFrontEnd;

#[test]
fn every_case_has_exactly_its_edges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/java");
    transducer_conformance::check_folder::<JavaFrontEnd>(&folder, 290);
}
