//! Archives of each released format, as they were packed: every host opens them, for ever.

use std::path::Path;

use transducer_bundle::Package;

#[test]
fn an_archive_of_format_1_is_opened() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives/1.tadapter");
    let package = Package::open(&path).unwrap();
    let (manifest, generation) = (&package.bundle.manifest, package.bundle.generation.to_string());
    assert_eq!(
        (manifest.name.as_str(), manifest.world.as_str()),
        ("everything", "transducer:task@1.0.0")
    );
    assert_eq!(
        generation,
        "bf31bfd9f8ae97fcc1de16523b3d2b02b259519282688377b8dbde03d1a42b1a"
    );
}
