//! The top level, and what the map says about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "adapters",
        "host",
        "plugins",
        "sdk",
        "target",
        "tests",
    ];
    for entry in std::fs::read_dir(root()).expect("the repository can be listed") {
        let name = entry
            .expect("an entry can be read")
            .file_name()
            .into_string()
            .expect("a name in UTF-8");
        assert!(
            name.starts_with('.') || agreed.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
}

/// Every folder of `host/`, `sdk/` and `plugins/` stands on the map, and everything on the map exists.
#[test]
fn the_map_names_every_room() {
    let map = std::fs::read_to_string(root().join("host/README.md")).expect("host/README.md, the map, exists");
    let mut rooms = BTreeSet::new();
    for floor in ["host", "sdk", "plugins"] {
        for entry in std::fs::read_dir(root().join(floor)).expect("a floor can be listed") {
            let entry = entry.expect("an entry can be read");
            if entry.path().is_dir() {
                rooms.insert(format!("{floor}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    let mapped: BTreeSet<_> = map
        .split('`')
        .filter(|word| {
            word.split('/').count() == 2
                && ["host/", "sdk/", "plugins/"]
                    .iter()
                    .any(|floor| word.starts_with(floor))
        })
        .filter(|word| !word.contains(['.', '*']) && !word.ends_with('/'))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        rooms, mapped,
        "rooms on disk (left) and on the map in host/README.md (right)"
    );
}

/// Each case that the table of `tests/conformance` names exists.
#[test]
fn the_cases_that_are_named_exist() {
    let folder = root().join("tests/conformance");
    let text = std::fs::read_to_string(folder.join("README.md")).expect("the table exists");
    let cases: Vec<&str> = text
        .split('`')
        .filter(|word| word.starts_with("java/") || word.starts_with("python/"))
        .collect();
    assert!(cases.len() >= 20, "{cases:?}");
    for case in cases {
        assert!(folder.join(format!("{case}.txt")).is_file(), "no case {case}");
    }
}

/// The kinds of hostile bundles that there have to be, as the table's headings and lines name them.
#[test]
fn the_hostile_table_has_every_kind() {
    let table = std::fs::read_to_string(root().join("sdk/HOSTILE.md")).expect("the table exists");
    let attempts: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    let cases = attempts
        .iter()
        .filter(|line| **line != "| attempt | refused as |")
        .count();
    assert!(cases >= 100, "{cases} cases");
    let told = table.to_lowercase();
    for kind in [
        "path traversal",
        "not utf-8",
        "symbolic link",
        "hard link",
        "zip bomb",
        "duplicate entries",
        "case collision",
        "another size in the list",
        "another digest in the list",
        "truncated",
        "nan",
        "inf",
        "wrong shape",
        "extra import",
        "start function",
        "giant memories and tables",
        "recursion",
        "loop in describe",
        "output flood",
        "a name of 1 mb",
        "swapped after signing",
        "downgrade",
    ] {
        assert!(told.contains(kind), "nothing on {kind:?}");
    }
}

/// What `sdk/SECURITY.md` promises is shown by tests that there are.
#[test]
fn every_promise_names_its_tests() {
    let read = |path: &Path| std::fs::read_to_string(path).expect("a text");
    let promises = read(&root().join("sdk/SECURITY.md"));
    let hostile = read(&root().join("sdk/HOSTILE.md"));
    let mut sources = String::new();
    for folder in [
        "tests/e2e",
        "host/bundle/tests",
        "host/pipeline/tests",
        "host/server/tests/http",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder of tests") {
            let path = entry.expect("an entry can be read").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &read(&path);
            }
        }
    }
    let mut lines = 0;
    for line in promises
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |"))
    {
        let shown = line.rsplit('|').nth(1).expect("a last column").trim();
        lines += 1;
        if shown == "-" {
            continue;
        }
        for test in shown.split(", `").flat_map(|part| part.split(", \"")) {
            let name = test.trim_matches(['`', '"']);
            let there = match test.ends_with('`') {
                true => sources.contains(&format!("#[test]\nfn {name}()")),
                false => hostile.contains(&format!("\n### {name}")),
            };
            assert!(there, "{name:?} is no test: {line}");
        }
    }
    assert!(lines > 20, "{lines} promises");
}

/// Every page's links to other files of the repository.
#[test]
fn links_between_pages_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)").expect("a pattern");
    let (mut links, mut dead) = (0, Vec::new());
    // Without what git ignores.
    for entry in ignore::Walk::new(root()) {
        let page = entry.expect("an entry can be read").into_path();
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).expect("a page in UTF-8");
        for found in link.captures_iter(&text) {
            links += 1;
            if !page.with_file_name(&found[1]).exists() {
                dead.push(format!("{}: {}", page.display(), &found[1]));
            }
        }
    }
    assert!(links > 50, "{links} links");
    assert!(dead.is_empty(), "lead nowhere: {dead:#?}");
}
