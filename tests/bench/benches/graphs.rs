//! Criterion benches of the CPG front ends beside a bare tree-sitter parse: `cargo bench -p transducer-bench`.
//!
//! One thread, warm. For percentiles over real code there is `cpg-figures`.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use transducer_frontend::cpg::wire;
use transducer_frontend::{FrontEnd, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;
use transducer_frontend_python::PythonFrontEnd;

/// A graph, as it crosses the boundary of a front end.
fn graph<F: FrontEnd>(source: &str) -> Vec<u8> {
    wire::encode(&F::parse(source, &ParseLimits::DEFAULT).expect("the fixtures are code"))
}

fn methods<F: FrontEnd>(criterion: &mut Criterion, grammar: &tree_sitter::Language, fixtures: &[(&str, &str)]) {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(grammar).expect("the grammar fits the library");
    let mut group = criterion.benchmark_group(F::LANGUAGE);
    for &(name, source) in fixtures {
        group.throughput(Throughput::Bytes(source.len() as u64));
        group.bench_with_input(BenchmarkId::new("tree-sitter", name), source, |bencher, source| {
            bencher.iter(|| parser.parse(black_box(source), None));
        });
        group.bench_with_input(BenchmarkId::new("graph", name), source, |bencher, source| {
            bencher.iter(|| graph::<F>(black_box(source)));
        });
    }
    group.finish();
}

fn java(criterion: &mut Criterion) {
    let fixtures = [
        ("short", include_str!("../fixtures/short.java")),
        ("100 lines", include_str!("../fixtures/long.java")),
    ];
    methods::<JavaFrontEnd>(criterion, &tree_sitter_java::LANGUAGE.into(), &fixtures);
}

fn python(criterion: &mut Criterion) {
    let fixtures = [
        ("short", include_str!("../fixtures/short.py")),
        ("100 lines", include_str!("../fixtures/long.py")),
    ];
    methods::<PythonFrontEnd>(criterion, &tree_sitter_python::LANGUAGE.into(), &fixtures);
}

/// One method: every second line defines a variable, every tenth branches.
fn long_method(lines: usize) -> String {
    let mut source = String::from("int m(int a) {\n  int v0 = a;\n");
    for line in (1..lines).step_by(2) {
        let (before, name) = (line.saturating_sub(2) / 2, line / 2 + 1);
        if line % 10 == 1 {
            let _ = writeln!(source, "  if (v{before} > {line}) a = a + v{before};");
        } else {
            let _ = writeln!(source, "  use(v{before}, a);");
        }
        let _ = writeln!(source, "  int v{name} = v{} + a;", name - 1);
    }
    source.push_str("  return a;\n}\n");
    source
}

fn long(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("java, one method");
    group.sample_size(10);
    for lines in [1_000, 2_000, 5_000, 10_000] {
        let source = long_method(lines);
        group.throughput(Throughput::Bytes(source.len() as u64));
        group.bench_with_input(BenchmarkId::new("lines", lines), &source, |bencher, source| {
            bencher.iter(|| graph::<JavaFrontEnd>(black_box(source)));
        });
    }
    group.finish();
}

criterion_group!(benches, java, python, long);
criterion_main!(benches);
