//! Writes a fuzzer's seeds into a folder: for `wire` the graphs of the Java corpus, else those of a door.

use std::path::Path;

use transducer_frontend::cpg::wire;
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (args.next(), args.next()) else {
        return Err("usage: seeds TARGET FOLDER".into());
    };
    std::fs::create_dir_all(&folder)?;
    let seeds = match target.as_str() {
        "wire" => graphs()?,
        door => transducer_fuzz::doors::seeds(door),
    };
    for (seed, number) in seeds.iter().zip(0..) {
        std::fs::write(Path::new(&folder).join(format!("{number}.seed")), seed)?;
    }
    Ok(())
}

fn graphs() -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/java");
    let graph = |source: &String| Ok(wire::encode(&JavaFrontEnd::parse(source, &ParseLimits::DEFAULT)?));
    transducer_conformance::sources(&cases).iter().map(graph).collect()
}
