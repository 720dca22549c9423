//! Writes the graphs of the Java corpus into a folder, as seeds for the fuzzer of the wire form.

use std::path::Path;

use transducer_frontend::cpg::wire;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: seeds FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/java");
    for (source, number) in transducer_conformance::sources(&cases).iter().zip(0..) {
        let graph = JavaFrontEnd::parse(source, &ParseLimits::DEFAULT)?;
        std::fs::write(Path::new(&folder).join(format!("{number}.tcpg")), wire::encode(&graph))?;
    }
    Ok(())
}
