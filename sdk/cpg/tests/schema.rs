//! `SCHEMA.md` says what `kinds.rs` says. `BLESS=1` rewrites it.

use std::fmt::Write as _;

use transducer_cpg::{EdgeKind, NodeKind, SCHEMA_VERSION};

/// One row a kind: number, name, meaning.
fn table(title: &str, rows: impl Iterator<Item = (u8, &'static str, &'static str)>) -> String {
    let mut out = format!("\n## {title}\n\n| number | name | meaning |\n|---:|---|---|\n");
    for (number, name, meaning) in rows {
        writeln!(out, "| {number} | `{name}` | {} |", meaning.replace('|', "\\|")).expect("a String takes all");
    }
    out
}

fn schema() -> String {
    let nodes = NodeKind::ALL
        .iter()
        .map(|kind| (*kind as u8, kind.name(), kind.describe()));
    let edges = EdgeKind::ALL
        .iter()
        .map(|kind| (*kind as u8, kind.name(), kind.describe()));
    format!(
        "# Schema of the Code Property Graph, version {SCHEMA_VERSION}\n\n\
         Made from `src/kinds.rs` by `BLESS=1 cargo test -p transducer-cpg --test schema`. The shapes that a syntax tree has\n\
         are told in `src/passes/mod.rs`.\n{}{}",
        table("Nodes", nodes),
        table("Edges", edges)
    )
}

#[test]
fn the_page_tells_every_kind() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SCHEMA.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, schema()).expect("SCHEMA.md can be written");
    }
    let page = std::fs::read_to_string(path)
        .expect("SCHEMA.md can be read")
        .replace("\r\n", "\n");
    assert_eq!(page, schema(), "SCHEMA.md is stale: BLESS=1 rewrites it");
}
