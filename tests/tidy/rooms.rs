//! "Must not know", the last column of the map: what a crate may not depend on, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// A crate and the packages that it may not depend on in any way.
///
/// One that names a member of this workspace forbids that room; others forbid a technology.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    (
        "transducer-cpg",
        &["tree-sitter", "tch", "wasmtime", "axum", "abi_stable", "libloading"],
    ),
    ("transducer-frontend", &["tree-sitter", "tch", "wasmtime", "axum"]),
    ("transducer-frontends", &["tch", "wasmtime", "axum", "tree-sitter"]),
    ("transducer-mine", &["tch", "wasmtime", "axum", "tree-sitter"]),
    (
        "transducer-tasks",
        &["tch", "tree-sitter", "axum", "libloading", "transducer-frontends"],
    ),
    (
        "transducer-bundle",
        &["tch", "wasmtime", "axum", "tree-sitter", "transducer-cpg"],
    ),
    (
        "transducer-backbone",
        &[
            "wasmtime",
            "tree-sitter",
            "axum",
            "transducer-cpg",
            "transducer-bundle",
            "transducer-core",
        ],
    ),
    (
        "transducer-core",
        &[
            "wasmtime",
            "tree-sitter",
            "axum",
            "transducer-bundle",
            "transducer-frontends",
            "transducer-backbone",
        ],
    ),
    (
        "transducer-engine",
        &[
            "wasmtime",
            "tree-sitter",
            "axum",
            "transducer-cpg",
            "transducer-bundle",
            "transducer-core",
        ],
    ),
    (
        "transducer-remote",
        &[
            "wasmtime",
            "tree-sitter",
            "axum",
            "clap",
            "transducer-cpg",
            "transducer-bundle",
            "transducer-core",
        ],
    ),
    (
        "transducer-registry",
        &[
            "tch",
            "wasmtime",
            "axum",
            "tree-sitter",
            "clap",
            "transducer-bundle",
            "transducer-cpg",
        ],
    ),
    (
        "transducer-access",
        &[
            "tch",
            "wasmtime",
            "axum",
            "tree-sitter",
            "clap",
            "transducer-bundle",
            "transducer-cpg",
        ],
    ),
    ("transducer-pipeline", &["axum", "clap", "tree-sitter"]),
    ("transducer-metrics", &["tch", "wasmtime", "axum"]),
    ("transducer-train", &["axum", "clap"]),
    ("transducer-codebleu", &["tch", "wasmtime", "axum"]),
    (
        "transducer-report",
        &["tch", "wasmtime", "tree-sitter", "axum", "libloading", "transducer-cpg"],
    ),
];

/// Crates that reach a technology through the rooms below them and may not name it themselves.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    (
        "transducer-server",
        &["tch", "wasmtime", "tree-sitter", "libloading", "clap"],
    ),
    (
        "transducer-host",
        &[
            "tch",
            "wasmtime",
            "tree-sitter",
            "libloading",
            "axum",
            "transducer-backbone",
            "transducer-core",
            "transducer-engine",
            "transducer-tasks",
        ],
    ),
];

/// `sdk/` is what others build against: of this repository it may use only itself. So do the plugins.
/// A metric is nobody's but its own, and so is compiling a task.
const OWN_CRATES_OF: &[(&str, &[&str])] = &[
    ("transducer-cpg", &[]),
    ("transducer-frontend", &["transducer-cpg"]),
    ("transducer-conformance", &["transducer-cpg", "transducer-frontend"]),
    ("transducer-treesitter", &["transducer-cpg", "transducer-frontend"]),
    ("transducer-codebleu", &[]),
    ("transducer-metrics", &["transducer-codebleu"]),
    ("transducer-report", &[]),
    ("transducer-guests", &[]),
    ("xtask", &["transducer-guests"]),
    ("transducer-registry", &[]),
    ("transducer-access", &[]),
    (
        "transducer-frontend-python",
        &["transducer-cpg", "transducer-frontend", "transducer-treesitter"],
    ),
    (
        "transducer-frontend-java",
        &["transducer-cpg", "transducer-frontend", "transducer-treesitter"],
    ),
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo metadata runs")
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    let member = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name.as_str() == name);
    member.unwrap_or_else(|| panic!("no crate of the workspace is named {name}: mend the table"))
}

/// Everything that a package depends on at run time, by name, with one way that leads there.
fn reach(metadata: &Metadata, from: &PackageId) -> BTreeMap<String, String> {
    let resolve = metadata.resolve.as_ref().expect("the metadata has a dependency graph");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![(from, String::new())];
    while let Some((id, way)) = open.pop() {
        for dependency in &nodes[id].deps {
            let used = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            if used && seen.insert(&dependency.pkg) {
                let name = metadata[&dependency.pkg].name.to_string();
                let way = format!("{way} -> {name}");
                found.insert(name, way.clone());
                open.push((&dependency.pkg, way));
            }
        }
    }
    found
}

#[test]
fn no_room_reaches_what_it_must_not_know() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for (name, forbidden) in MUST_NOT_KNOW {
        let reached = reach(&metadata, &package(&metadata, name).id);
        broken.extend(
            forbidden
                .iter()
                .filter_map(|other| Some(format!("{name}{}", reached.get(*other)?))),
        );
    }
    assert!(
        broken.is_empty(),
        "must not know (see host/README.md):\n{}",
        broken.join("\n")
    );
}

#[test]
fn no_room_names_what_it_must_not_name() {
    let metadata = metadata();
    for (name, forbidden) in MUST_NOT_NAME {
        for dependency in &package(&metadata, name).dependencies {
            let used = dependency.kind == DependencyKind::Normal;
            assert!(
                !(used && forbidden.contains(&dependency.name.as_str())),
                "{name} names {}",
                dependency.name
            );
        }
    }
}

#[test]
fn the_sdk_and_the_plugins_stand_alone() {
    let metadata = metadata();
    let members: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    for (name, allowed) in OWN_CRATES_OF {
        let reached = reach(&metadata, &package(&metadata, name).id);
        let own: Vec<_> = reached
            .keys()
            .filter(|other| members.contains(*other))
            .map(String::as_str)
            .collect();
        assert_eq!(own, *allowed, "{name} depends on these crates of the repository");
    }
}

/// `anyhow` is for programs; a library says what can go wrong in a type.
#[test]
fn libraries_have_errors_of_their_own() {
    let metadata = metadata();
    for member in metadata.workspace_packages() {
        let program = matches!(member.name.as_str(), "transducer-host" | "transducer-bench" | "xtask");
        let anyhow = member.dependencies.iter().any(|dependency| dependency.name == "anyhow");
        assert!(program || !anyhow, "{} uses anyhow", member.name);
    }
}

/// The tables above are worth something only while they name every room.
#[test]
fn every_crate_has_its_line() {
    let metadata = metadata();
    let named: BTreeSet<_> = MUST_NOT_KNOW
        .iter()
        .chain(MUST_NOT_NAME)
        .chain(OWN_CRATES_OF)
        .map(|(name, _)| *name)
        .collect();
    for member in metadata.workspace_packages() {
        let name = member.name.as_str();
        assert!(
            named.contains(name) || matches!(name, "xtask" | "transducer-tests" | "transducer-bench"),
            "{name} stands in no table"
        );
    }
}
