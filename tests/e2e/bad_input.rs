//! What people get wrong, and what they are told.

use std::path::Path;

use crate::program::{failure, finish, fixture, program, root, run};

fn temporary(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path.display().to_string())
}

#[track_caller]
fn check(args: &[&str], expected: &[&str]) {
    let error = failure(args);
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
    assert!(error.lines().count() <= 8, "too long to read: {error}");
}

#[test]
fn a_file_that_is_not_there() {
    check(
        &["cpg", "nowhere/Foo.java"],
        &["cannot read nowhere/Foo.java", "No such file"],
    );
}

#[test]
fn a_file_in_an_unknown_language() {
    let (_dir, path) = temporary("foo.cobol", b"MOVE A TO B.");
    check(&["cpg", &path], &["foo.cobol", "--language", "java"]);
}

#[test]
fn a_file_that_is_not_utf8() {
    let (_dir, path) = temporary("Foo.java", b"int f() { return 1; } // \xff\xfe");
    check(&["cpg", &path], &["Foo.java", "not UTF-8"]);
}

#[test]
fn an_empty_file() {
    let (_dir, path) = temporary("Foo.java", b"  \n");
    check(
        &["run", "--adapter", "summarize-java", &path],
        &["Foo.java holds no code"],
    );
    assert!(run(&["cpg", &path]).success, "an empty graph is a graph");
}

#[test]
fn half_a_method_is_answered() {
    let (_dir, path) = temporary("Foo.java", b"int twice(int x) { return 2 *");
    let finished = run(&["run", "--adapter", "summarize-java", &path]);
    assert!(finished.success, "{}", finished.stderr);
    assert!(!finished.stdout.trim().is_empty());
}

#[test]
fn a_method_that_is_not_there_or_not_alone() {
    let file = fixture("Fraction.java");
    check(
        &["cpg", &file, "--method", "minus"],
        &["no method minus", "gcd", "plus", "toString"],
    );
    check(
        &["cpg", &file, "--method", "plus"],
        &["2 methods are named plus", "plus#1 in line", "plus#2 in line"],
    );
    check(&["cpg", &file, "--method", "plus#3"], &["no plus#3"]);
}

#[test]
fn an_unknown_edge_kind() {
    let finished = run(&["cpg", &fixture("Fraction.java"), "--edges", "pdg"]);
    assert!(
        !finished.success && finished.stderr.contains("REACHING_DEF"),
        "{}",
        finished.stderr
    );
}

#[test]
fn an_adapter_that_is_not_there() {
    check(
        &["run", "--adapter", "sumarize", &fixture("Fraction.java")],
        &["sumarize", "summarize-java"],
    );
}

#[test]
fn a_whole_file_that_is_too_long_for_the_model() {
    let long = format!("class Foo {{ {} }}", "int f(int x) { return x + 1; } ".repeat(2000));
    let (_dir, path) = temporary("Foo.java", long.as_bytes());
    check(
        &["run", "--adapter", "summarize-java", &path],
        &["8192", "one method rather than a file"],
    );
}

#[test]
fn no_model_and_a_broken_one() {
    let without = finish(program().env_remove("TRANSDUCER_MODEL").args(["adapters"]));
    assert!(
        !without.success && without.stderr.contains("--model"),
        "{}",
        without.stderr
    );
    check(&["adapters", "--model", "nowhere.gguf"], &["nowhere.gguf"]);
    let (_dir, path) = temporary("model.gguf", b"GGUF\x03\x00\x00\x00");
    check(&["adapters", "--model", &path], &["model.gguf"]);
}

#[test]
fn no_front_ends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    check(&["cpg", &fixture("Fraction.java"), "--frontends", &dir], &["front end"]);
}

/// A copy of the adapters directory with one bundle more, made from `summarize-java` by `change`.
fn adapters_with(name: &str, change: impl Fn(&Path)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for adapter in ["summarize-java", name] {
        let target = dir.path().join(adapter);
        std::fs::create_dir(&target).unwrap();
        for file in ["adapter.toml", "task.wasm", "transducer.safetensors"] {
            std::fs::copy(root().join("adapters/summarize-java").join(file), target.join(file)).unwrap();
        }
    }
    let manifest = dir.path().join(name).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("summarize-java", name)).unwrap();
    change(&dir.path().join(name));
    dir
}

/// The bundle is named with its error, and the good one beside it is listed as ready.
#[track_caller]
fn check_bundle(change: impl Fn(&Path), expected: &[&str]) {
    let dir = adapters_with("broken", change);
    let finished = run(&["adapters", "--adapters", &dir.path().display().to_string()]);
    assert!(!finished.success);
    assert!(finished.stdout.contains("summarize-java"), "{}", finished.stdout);
    for text in expected.iter().chain(&["1 of 2 adapters cannot be used", "broken: "]) {
        assert!(
            finished.stderr.contains(text),
            "{text:?} is not in: {}",
            finished.stderr
        );
    }
}

/// Replaces text in a bundle's manifest.
fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("adapter.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "nothing to replace");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn broken_bundles_are_named_and_the_others_serve() {
    check_bundle(
        |dir| std::fs::write(dir.join("task.wasm"), b"\0asm\x01\0\0\0").unwrap(),
        &["component"],
    );
    check_bundle(
        |dir| std::fs::remove_file(dir.join("task.wasm")).unwrap(),
        &["task.wasm", "No such file"],
    );
    check_bundle(
        |dir| edit(dir, "family = \"llama\"", "family = \"qwen2\""),
        &["family", "qwen2", "llama"],
    );
    check_bundle(
        |dir| edit(dir, "embedding-sha256 = \"", "embedding-sha256 = \"f0"),
        &["embedding-sha256", "64 hex"],
    );
    check_bundle(|dir| edit(dir, "[\"java\"]", "[\"cobol\"]"), &["front end for `cobol`"]);
    check_bundle(
        |dir| edit(dir, "task@1.0.0", "task@9.0.0"),
        &["task@9.0.0", "task@1.0.0", "task@1.1.0"],
    );
    check_bundle(
        |dir| edit(dir, "task@1.0.0", "task@1.1.0"),
        &["`task.world` is", "task@1.1.0", "was built for", "task@1.0.0"],
    );
    check_bundle(|dir| edit(dir, "\"CFG\"", "\"PDG\""), &["PDG"]);
    let weights =
        |bytes: &'static [u8]| move |dir: &Path| std::fs::write(dir.join("transducer.safetensors"), bytes).unwrap();
    check_bundle(weights(b""), &["transducer"]);
    check_bundle(weights(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"), &["transducer"]);
}
