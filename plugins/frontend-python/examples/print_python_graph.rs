//! Prints the graph of standard input as a table, or in another format: `print_python_graph [table|json|dot|graphml]`.

use std::io::Read as _;

use transducer_frontend::cpg::{EdgeKind, export};
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_python::PythonFrontEnd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut source = String::new();
    std::io::stdin().read_to_string(&mut source)?;
    let graph = PythonFrontEnd::parse(&source, &ParseLimits::DEFAULT)?;
    let text = match std::env::args().nth(1).as_deref() {
        None | Some("table") => export::table(&graph, &source, EdgeKind::ALL),
        Some("json") => export::json(&graph, &source, EdgeKind::ALL)?,
        Some("dot") => export::dot(&graph, &source, EdgeKind::ALL),
        Some("graphml") => export::graphml(&graph, &source, EdgeKind::ALL),
        Some(other) => return Err(format!("no format `{other}`: table, json, dot or graphml").into()),
    };
    print!("{text}");
    Ok(())
}
