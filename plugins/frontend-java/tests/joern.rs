//! The Joern view of Java against what Joern 2.0.25 draws, in `tests/conformance/joern/java`.

use std::path::Path;

use transducer_frontend_java::JavaFrontEnd;

#[test]
fn the_view_is_what_joern_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/joern/java");
    transducer_conformance::check_joern_folder::<JavaFrontEnd>(&folder, 32);
}
