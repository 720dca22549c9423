//! `transducer-host cpg`: the code property graph of a file.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use transducer_cpg::{EdgeKind, export, joern};

use crate::FrontEndOptions;
use crate::source::SourceArgs;

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,

    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Edge kinds to show, by their names in the CPG specification or the short forms cfg, cdg, ddg and ast [default: all; in a picture cfg,
    /// cdg and ddg]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = edge_kind)]
    edges: Vec<EdgeKind>,

    /// Whose graph: this project's own, or for comparison the one that Joern 2.0.25 draws, as a table or JSON
    #[arg(long, value_enum, default_value_t)]
    view: View,

    #[command(flatten)]
    frontends: FrontEndOptions,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum View {
    /// What the language says
    #[default]
    Own,
    /// What Joern says
    Joern,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON object
    Json,
    /// For Graphviz
    Dot,
    /// For graph tools
    Graphml,
    /// A picture: statements, and the control flow, control dependence and data flow between them
    Svg,
}

/// `DDG` is what everybody calls the edges that the specification names `REACHING_DEF`.
fn edge_kind(text: &str) -> Result<EdgeKind, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    let name = if name == "DDG" { "REACHING_DEF" } else { name.as_str() };
    name.parse().map_err(|_| {
        let known: Vec<_> = EdgeKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("no such edge kind; there are {}", known.join(", "))
    })
}

/// Prints the graph.
///
/// # Errors
/// Where there is no such file, language or method, or no front end.
pub fn run(args: &Args) -> Result<()> {
    let front_ends = args.frontends.load()?;
    let source = args.source.read(&front_ends)?;
    let cpg = front_ends.parse(&source.language, &source.text)?;
    let kinds = match (args.edges.as_slice(), args.format) {
        ([], Format::Svg) => &[EdgeKind::Cfg, EdgeKind::Cdg, EdgeKind::ReachingDef],
        ([], _) => EdgeKind::ALL,
        (chosen, _) => chosen,
    };
    let text = match (args.view, args.format) {
        (View::Joern, Format::Table) => joern::view(&cpg, &source.text)?.table(kinds),
        (View::Joern, Format::Json) => joern::view(&cpg, &source.text)?.json(kinds),
        (View::Joern, _) => bail!("the Joern view has two forms, --format table and json"),
        (View::Own, Format::Table) => export::table(&cpg, &source.text, kinds),
        (View::Own, Format::Json) => export::json(&cpg, &source.text, kinds)?,
        (View::Own, Format::Dot) => export::dot(&cpg, &source.text, kinds),
        (View::Own, Format::Graphml) => export::graphml(&cpg, &source.text, kinds),
        (View::Own, Format::Svg) => export::svg(&cpg, &source.text, kinds)?,
    };
    // The JSON holds the diagnostics itself, the other forms have no place for them.
    if !matches!(args.format, Format::Json | Format::Table) {
        for diagnostic in cpg.diagnostics() {
            eprintln!("line {}: {}", diagnostic.line, diagnostic.message);
        }
    }
    print(&text).context("cannot write to standard output")
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}
