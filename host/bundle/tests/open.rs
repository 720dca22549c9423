//! Bundles through the public door: good ones, and each way in which one can be bad.

use std::path::Path;

use expect_test::{Expect, expect};
use tempfile::TempDir;
use transducer_bundle::{Budget, Bundle, MAX_COMPONENT_BYTES, schema};

const MANIFEST: &str = r#"schema = 1

[adapter]
name = "hello"
version = "1.2.0"
summary = "Says what a method does"
license = "Apache-2.0 OR MIT"
authors = ["A. Author"]
homepage = "https://example.org/hello"

[task]
component = "task.wasm"
world = "transducer:task@1.0.0"
languages = ["java"]

[base-model]
id = "SmolLM2-135M-Instruct"
family = "llama"
hidden-size = 576
embedding-sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
tokenizer-sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

[transducer]
weights = "transducer.safetensors"
width = 16
layers = 2
heads = 4
task-tokens = 8
reply-tokens = 4
edge-kinds = ["AST", "CFG"]
cpg-schema = 1
parts = "full"
pooling = "attention"

[limits]
memory-mib = 32
deadline-ms = 500

[requires]
host = ">=0.1, <100"

[train]
source-field = "code"
request = { language = "java" }
answer-end = "\n"
max-prompt-tokens = 256
max-answer-tokens = 64
examples = 2400
batch = 8
batch-tokens = 2048
learning-rate = 0.003
task-rate = 2.0
warmup = 0.1
schedule = "linear"
weight-decay = 0.01
clip = 2.0
seed = 7
validate-every = 50
validate-examples = 100
generate-examples = 20
patience = 3
edges = "real"
"#;

/// What `train` and `eval` would have written into it, of weights with these bytes: `weights`.
const RECORDS: &str = r#"
[provenance]
data-sha256 = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
validation-sha256 = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
weights-sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
seed = 7
host = "0.1.0"
precision = "f32"

[evaluation]
data-sha256 = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
rows = 300
weights-sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
host = "0.1.0"
precision = "bf16"
left-out = 12
scores = { bleu = { value = 12.34, low = 10.0, high = 14.5 } }
"#;

/// A bundle named `hello` with this manifest, in a folder of its own.
fn bundle(manifest: &[u8]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("hello");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("adapter.toml"), manifest).unwrap();
    std::fs::write(dir.join("task.wasm"), b"component").unwrap();
    std::fs::write(dir.join("transducer.safetensors"), b"weights").unwrap();
    root
}

fn error(root: &Path) -> String {
    let error = Bundle::open(&root.join("hello"))
        .expect_err("the bundle is bad")
        .to_string();
    error.replace(root.to_str().unwrap(), "")
}

/// The manifest with one piece of text replaced gives this error.
#[track_caller]
fn check(from: &str, to: &str, expected: Expect) {
    assert!(MANIFEST.contains(from), "the case replaces nothing");
    let root = bundle(MANIFEST.replacen(from, to, 1).as_bytes());
    expected.assert_eq(&error(root.path()));
}

#[test]
fn a_good_bundle_opens() {
    let root = bundle(MANIFEST.as_bytes());
    let bundle = Bundle::open(&root.path().join("hello")).unwrap();
    assert_eq!(bundle.name().as_str(), "hello");
    assert_eq!(bundle.component, b"component");
    assert_eq!(bundle.weights.as_deref(), Some(b"weights".as_slice()));
    assert_eq!(bundle.manifest.budget, Budget::new(32, 500));
    assert_eq!(bundle.manifest.transducer.edge_kinds, ["AST", "CFG"]);
}

#[test]
fn the_generation_names_the_bytes() {
    let generation = |change: &dyn Fn(&Path)| {
        let root = bundle(MANIFEST.as_bytes());
        change(&root.path().join("hello"));
        Bundle::open(&root.path().join("hello")).unwrap().generation
    };
    let same = generation(&|_| ());
    assert_eq!(same, generation(&|_| ()), "the same bytes in another folder");
    assert_eq!(
        same,
        generation(&|dir| std::fs::write(dir.join("README.md"), "a card").unwrap()),
        "not loaded"
    );
    assert_ne!(
        same,
        generation(&|dir| std::fs::write(dir.join("task.wasm"), "Component").unwrap())
    );
    assert_ne!(
        same,
        generation(&|dir| std::fs::write(dir.join("transducer.safetensors"), "Weights").unwrap())
    );
    assert_eq!(same.to_string().len(), 64);
}

#[test]
fn an_untrained_bundle_needs_no_weights() {
    let root = bundle(
        MANIFEST
            .replace("weights = \"transducer.safetensors\"\n", "")
            .as_bytes(),
    );
    assert_eq!(Bundle::open(&root.path().join("hello")).unwrap().weights, None);
}

#[test]
fn values_out_of_range_are_named() {
    check(
        "schema = 1",
        "schema = 2",
        expect!["/hello/adapter.toml: `schema` is 2, expected 1: this bundle needs another version of the host"],
    );
    check(
        "\"hello\"",
        "\"../hello\"",
        expect![[
            r#"/hello/adapter.toml: `adapter.name` is "../hello", expected lower-case letters, digits and single hyphens, at most 64 characters"#
        ]],
    );
    check(
        "\"hello\"",
        "\"other\"",
        expect![[
            r#"/hello/adapter.toml: `adapter.name` is "other", expected "hello", the name of the bundle's folder"#
        ]],
    );
    check(
        "1.2.0",
        "1.2",
        expect![[
            r#"/hello/adapter.toml: `adapter.version` is "1.2", expected MAJOR.MINOR.PATCH (unexpected end of input while parsing minor version number)"#
        ]],
    );
    check(
        "Apache-2.0 OR MIT",
        "Apache 2",
        expect![[
            r#"/hello/adapter.toml: `adapter.license` is "Apache 2", expected an SPDX expression (unknown term)"#
        ]],
    );
    check(
        "Says what a method does",
        "two\\nlines",
        expect![[r#"/hello/adapter.toml: `adapter.summary` is "two\nlines", expected one line of 1 to 512 bytes"#]],
    );
    check(
        "\"task.wasm\"",
        "\"../task.wasm\"",
        expect![[
            r#"/hello/adapter.toml: `task.component` is "../task.wasm", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        "\"task.wasm\"",
        "\"/etc/passwd\"",
        expect![[
            r#"/hello/adapter.toml: `task.component` is "/etc/passwd", expected a plain file name of letters, digits, `.`, `_` and `-`"#
        ]],
    );
    check(
        "[\"java\"]",
        "[]",
        expect!["/hello/adapter.toml: `task.languages` is empty, expected at least one language"],
    );
    check(
        "hidden-size = 576",
        "hidden-size = 0",
        expect!["/hello/adapter.toml: `base-model.hidden-size` is 0, expected 1 to 65536"],
    );
    check(
        "aaaa",
        "zzzz",
        expect![[
            r#"/hello/adapter.toml: `base-model.embedding-sha256` is "zzzzaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", expected 64 hexadecimal digits"#
        ]],
    );
    check(
        "width = 16",
        "width = 0",
        expect!["/hello/adapter.toml: `transducer.width` is 0, expected 1 to 65536"],
    );
    check(
        "memory-mib = 32",
        "memory-mib = 5000",
        expect!["/hello/adapter.toml: `limits.memory-mib` is 5000, expected 1 to 4096"],
    );
    check(
        "deadline-ms = 500",
        "deadline-ms = 0",
        expect!["/hello/adapter.toml: `limits.deadline-ms` is 0, expected 1 to 60000"],
    );
    check(
        "validate-examples = 100",
        "validate-examples = 0",
        expect!["/hello/adapter.toml: `train.validate-examples` is 0, expected 1 to 1073741824"],
    );
}

#[test]
fn component_and_weights_have_names_of_their_own() {
    for name in ["adapter.toml", "files.json", "pack.json", "README.md", "License"] {
        let root = bundle(MANIFEST.replacen("task.wasm", name, 1).as_bytes());
        let found = error(root.path());
        assert!(
            found.contains(&format!("`task.component` is {name:?}, expected another name than")),
            "{found}"
        );
    }
    check(
        "\"transducer.safetensors\"",
        "\"pack.json\"",
        expect![[
            r#"/hello/adapter.toml: `transducer.weights` is "pack.json", expected another name than pack.json, which is another file of a bundle"#
        ]],
    );
    check(
        "\"transducer.safetensors\"",
        "\"Task.wasm\"",
        expect![[
            r#"/hello/adapter.toml: `transducer.weights` is "Task.wasm", expected another name than the component's"#
        ]],
    );
}

#[test]
fn what_is_no_manifest_is_named() {
    check(
        "[limits]",
        "[limit]",
        expect![[r#"
            /hello/adapter.toml: TOML parse error at line 35, column 2
               |
            35 | [limit]
               |  ^^^^^
            unknown field `limit`, expected one of `schema`, `adapter`, `task`, `base-model`, `transducer`, `limits`, `requires`, `train`, `provenance`, `evaluation`"#]],
    );
    check(
        "width = 16",
        "widht = 16",
        expect![[r#"
            /hello/adapter.toml: TOML parse error at line 25, column 1
               |
            25 | widht = 16
               | ^^^^^
            unknown field `widht`, expected one of `weights`, `width`, `layers`, `heads`, `task-tokens`, `reply-tokens`, `edge-kinds`, `cpg-schema`, `parts`, `pooling`"#]],
    );
    check(
        "width = 16",
        "width = \"16\"",
        expect![[r#"
            /hello/adapter.toml: TOML parse error at line 25, column 9
               |
            25 | width = "16"
               |         ^^^^
            invalid type: string "16", expected u32"#]],
    );
    check(
        "schema = 1",
        "schema = ",
        expect![[r#"
            /hello/adapter.toml: TOML parse error at line 1, column 10
              |
            1 | schema = 
              |          ^
            string values must be quoted, expected literal string"#]],
    );
    let root = bundle(b"schema = 1 # \xff");
    expect!["/hello/adapter.toml: not UTF-8: invalid utf-8 sequence of 1 bytes from index 13"]
        .assert_eq(&error(root.path()));
}

#[test]
fn long_values_are_cut_in_the_message() {
    let root = bundle(MANIFEST.replacen("Says", &"x".repeat(100_000), 1).as_bytes());
    assert!(error(root.path()).len() < 300);
}

#[test]
fn missing_linked_and_giant_files_are_named() {
    let root = bundle(MANIFEST.as_bytes());
    let component = root.path().join("hello/task.wasm");
    std::fs::remove_file(&component).unwrap();
    expect!["cannot read /hello/task.wasm: No such file or directory (os error 2)"].assert_eq(&error(root.path()));

    std::os::unix::fs::symlink("/etc/passwd", &component).unwrap();
    expect!["/hello/task.wasm is not a plain file: a bundle holds plain files only, no links"]
        .assert_eq(&error(root.path()));

    std::fs::remove_file(&component).unwrap();
    // A sparse file: its size costs nothing.
    std::fs::File::create(&component)
        .unwrap()
        .set_len(MAX_COMPONENT_BYTES + 1)
        .unwrap();
    expect!["/hello/task.wasm has 16777217 bytes, the limit is 16777216"].assert_eq(&error(root.path()));
}

#[test]
fn a_folder_of_bundles_tells_good_from_bad() {
    let root = bundle(MANIFEST.as_bytes());
    for (folder, text) in [("broken", "schema = 1"), (".staged", MANIFEST)] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
        std::fs::write(root.path().join(folder).join("adapter.toml"), text).unwrap();
    }
    std::fs::create_dir(root.path().join("no-bundle")).unwrap();
    let found = Bundle::open_all(root.path()).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|found| (found.name.as_str(), found.bundle.is_ok()))
        .collect();
    assert_eq!(names, [("broken", false), ("hello", true)]);
    assert!(Bundle::open_all(&root.path().join("nowhere")).is_err());
}

/// As a folder that the host may not enter, which a test that runs as root cannot make.
#[test]
fn a_folder_that_cannot_be_looked_into_is_told_and_not_left_out() {
    let root = bundle(MANIFEST.as_bytes());
    // Nobody's bundle: the first has no adapter's name, the second leads nowhere, the third is a file.
    std::os::unix::fs::symlink("lost+found", root.path().join("lost+found")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
    std::fs::write(root.path().join("readme"), "text").unwrap();
    std::os::unix::fs::symlink("circle", root.path().join("circle")).unwrap();
    let found = Bundle::open_all(root.path()).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|found| {
            let error = found.bundle.as_ref().err().map(ToString::to_string);
            (
                found.name.as_str(),
                error.unwrap_or_default().replace(root.path().to_str().unwrap(), ""),
            )
        })
        .collect();
    expect![[r#"
        [
            (
                "circle",
                "/circle is not a plain file: a bundle holds plain files only, no links",
            ),
            (
                "hello",
                "",
            ),
        ]
    "#]]
    .assert_debug_eq(&told);
}

/// One place documents the manifest; the schema made from it must know every key, with words for each.
#[test]
fn every_key_is_documented_and_the_example_has_them_all() {
    let schema = schema();
    let example: toml::Table = format!("{MANIFEST}{RECORDS}").parse().unwrap();
    let mut tables = vec![(schema.clone(), example)];
    let mut keys = 0;
    while let Some((table, example)) = tables.pop() {
        for (key, property) in table["properties"].as_object().expect("a table has properties") {
            keys += 1;
            assert!(
                property["description"].as_str().is_some_and(|text| text.len() > 10),
                "`{key}` is not documented"
            );
            let value = example
                .get(key)
                .unwrap_or_else(|| panic!("the example of this test lacks `{key}`"));
            // An optional table is one of two things, the second of which is nothing.
            let name = property["$ref"].as_str().or(property["anyOf"][0]["$ref"].as_str());
            if let (Some(name), Some(inner)) = (name, value.as_table()) {
                let definition = schema.pointer(&name[1..]).expect("a reference leads somewhere");
                tables.push((definition.clone(), inner.clone()));
            }
        }
    }
    assert_eq!(
        keys, 70,
        "keys were added or removed: change the number, and the example"
    );
}

#[test]
fn records_are_of_the_weights_that_there_are() {
    let told = format!("{MANIFEST}{RECORDS}");
    let root = bundle(told.as_bytes());
    let opened = Bundle::open(&root.path().join("hello")).unwrap();
    let (provenance, evaluation) = (opened.manifest.provenance.unwrap(), opened.manifest.evaluation.unwrap());
    assert_eq!((provenance.seed, provenance.precision.as_deref()), (7, Some("f32")));
    assert_eq!(evaluation.scores["bleu"].value, 12.34);
    assert_eq!(
        (evaluation.precision.as_deref(), evaluation.left_out),
        (Some("bf16"), Some(12))
    );

    // Hosts before them wrote neither.
    let older = told
        .replace("precision = \"f32\"\n", "")
        .replace("precision = \"bf16\"\nleft-out = 12\n", "");
    assert_ne!(older, told);
    let opened = Bundle::open(&bundle(older.as_bytes()).path().join("hello")).unwrap();
    assert_eq!(opened.manifest.provenance.unwrap().precision, None);

    std::fs::write(root.path().join("hello/transducer.safetensors"), b"others").unwrap();
    let found = error(root.path());
    assert!(
        found.contains("`provenance.weights-sha256`") && found.contains("`train` and `eval --record`"),
        "{found}"
    );
    let wrong = |from: &str, to: &str| error(bundle(told.replacen(from, to, 1).as_bytes()).path());
    expect![[r#"/hello/adapter.toml: `evaluation.scores` is 112.34, expected 0 to 100"#]]
        .assert_eq(&wrong("value = 12.34", "value = 112.34"));
    expect![[
        r#"/hello/adapter.toml: `provenance.host` is "today", expected MAJOR.MINOR.PATCH (unexpected character 't' while parsing major version number)"#
    ]]
    .assert_eq(&wrong("host = \"0.1.0\"", "host = \"today\""));
    let found = wrong("precision = \"f32\"", "precision = \"\\u001b[2J\"");
    assert!(
        found.contains("`precision` is a short word") && found.is_ascii() && !found.contains('\u{1b}'),
        "{found}"
    );
}

#[test]
fn a_bundle_for_another_host_is_refused_by_name_with_both_versions() {
    check(
        ">=0.1, <100",
        ">=7.1",
        expect![
            "/hello/adapter.toml: hello needs transducer-host >=7.1, and this is 0.1.0: use such a host, or another version of the bundle"
        ],
    );
    // Also where it says what only that host understands.
    check(
        "host = \">=0.1, <100\"\n",
        "host = \">=7.1\"\nmoon = \"full\"\n",
        expect![
            "/hello/adapter.toml: hello needs transducer-host >=7.1, and this is 0.1.0: use such a host, or another version of the bundle"
        ],
    );
    check(
        ">=0.1, <100",
        "new",
        expect![[
            r#"/hello/adapter.toml: `requires.host` is "new", expected a range of versions such as ">=0.1, <0.3" (unexpected character 'n' while parsing major version number)"#
        ]],
    );
}
