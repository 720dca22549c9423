//! The table of what an attacker may try, `sdk/HOSTILE.md`. Every suite that includes this file has a part of it, and is held to that
//! part case by case and word by word. `BLESS=1` writes it.

use std::fmt::Write as _;
use std::path::Path;

/// What is tried, and the error that it ends with.
pub(crate) type Row = (String, String);

/// Holds a suite to its part of the table.
///
/// # Panics
/// Where the part has other cases or other errors.
#[track_caller]
pub(crate) fn hold(part: &str, subjects: &[(&str, Vec<Row>)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/HOSTILE.md");
    let table = std::fs::read_to_string(&path).expect("the table is in the repository");
    let title = format!("\n## {part}\n");
    let begin = table.find(&title).expect("the table has this part") + title.len();
    let end = table[begin..].find("\n## ").map_or(table.len(), |at| begin + at);
    let found = render(subjects);
    let expected = &table[begin..end];
    if found == expected {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        let written = [&table[..begin], &found, &table[end..]].concat();
        return std::fs::write(path, written).expect("the table can be written");
    }
    let differ = |one: &str, other: &str| {
        let lines = one.lines().filter(|line| other.lines().all(|known| known != *line));
        lines.collect::<Vec<_>>().join("\n")
    };
    panic!(
        "sdk/HOSTILE.md, {part}: BLESS=1 writes what is found\nonly in the table:\n{}\nonly in the suite:\n{}",
        differ(expected, &found),
        differ(&found, expected)
    );
}

fn render(subjects: &[(&str, Vec<Row>)]) -> String {
    let mut text = String::new();
    for (subject, rows) in subjects {
        write!(text, "\n### {subject}\n\n| attempt | refused as |\n|---|---|\n").expect("a String takes everything");
        for (attempt, error) in rows {
            let cells = [attempt, error].map(|cell| cell.replace('\n', " ").replace('|', "\\|").replace('<', "&lt;"));
            writeln!(text, "| {} | {} |", cells[0], cells[1]).expect("a String takes everything");
        }
    }
    text
}
