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

/// One method: every second line defines a variable, and every tenth may redefine the last one. The data flow has as many edges
/// as the source has lines, a few times over; where one variable is redefined under thousands of conditions, its uses have
/// thousands of definitions each, and the answer itself grows with the square.
fn long_method(lines: usize) -> String {
    let mut source = String::from("int m(int a) {\n  int v0 = a;\n");
    for number in 0..lines / 2 {
        if number % 5 == 0 {
            let _ = writeln!(source, "  if (v{number} > {number}) v{number} = a + v{number};");
        } else {
            let _ = writeln!(source, "  use(v{number}, a);");
        }
        let _ = writeln!(source, "  int v{} = v{number} + a;", number + 1);
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
