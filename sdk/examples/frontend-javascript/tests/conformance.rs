//! The corpus in `tests/conformance/javascript`; its form is told in `transducer_conformance`.

use std::path::Path;

use transducer_frontend_javascript::JavaScriptFrontEnd;

#[test]
fn every_case_has_exactly_its_edges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/conformance/javascript");
    transducer_conformance::check_folder::<JavaScriptFrontEnd>(&folder, 40);
}
