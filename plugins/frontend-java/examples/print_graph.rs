//! Prints the graph of a file (or of standard input) as a table: `print_graph [FILE]`.

use std::io::Read as _;

use transducer_frontend::cpg::{EdgeKind, export};
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
    };
    let graph = JavaFrontEnd::parse(&source, &ParseLimits::DEFAULT)?;
    print!("{}", export::table(&graph, &source, EdgeKind::ALL));
    Ok(())
}
