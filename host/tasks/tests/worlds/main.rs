//! Components that were built against each released world, as they were built: every host runs them, for ever.
//!
//! A folder a world, with the component, its source, and what it says. The components are never built again, so that what
//! is tested is what authors have shipped. `BLESS=1` writes `told.txt` of a world that has none yet; a `told.txt` that
//! would change is a broken promise.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use transducer_cpg::{BuildError, Cpg, CpgBuilder, EdgeKind, NodeKind, NodeSpec, Severity, Span};
use transducer_tasks::{CodeParser, ParseFailure, ParsedCode, Segment, Task, TaskEngine, TaskError, TaskLimits, World};

fn folder(world: World) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/worlds")
        .join(world.version())
}

fn load(world: World) -> Task {
    let path = folder(world).join("task.wasm");
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let engine = TaskEngine::new(TaskLimits::default()).expect("an engine");
    engine.compile(&wasm).unwrap_or_else(|error| panic!("{world}: {error}"))
}

/// Graphs with a node and an edge of every kind, whatever the source.
struct EveryKind;

fn every_kind(source: &str) -> Result<Cpg, BuildError> {
    let mut builder = CpgBuilder::new("java", source.len())?;
    let end = source.len() as u32;
    let spec = |builder: &mut CpgBuilder, kind: NodeKind| NodeSpec {
        kind,
        span: Span { start: end.min(1), end },
        line: 2,
        order: 1,
        name: builder.intern(kind.name()),
    };
    let method = spec(&mut builder, NodeKind::Method);
    let method = builder.add(0, method);
    for &kind in NodeKind::ALL {
        if !matches!(kind, NodeKind::File | NodeKind::Method) {
            let node = spec(&mut builder, kind);
            builder.add(method, node);
        }
    }
    for (&kind, target) in EdgeKind::ALL.iter().zip(2..) {
        if kind != EdgeKind::Ast {
            builder.edge(kind, method, target);
            builder.edge(kind, target, method);
        }
    }
    builder.diagnostic(Severity::Warning, Span { start: 0, end }, 3, "unclear");
    builder.finish()
}

impl CodeParser for EveryKind {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        if language != "java" {
            return Err(ParseFailure::UnknownLanguage {
                language: language.to_owned(),
                known: vec!["java".to_owned()],
            });
        }
        Ok(Arc::new(ParsedCode {
            language: language.to_owned(),
            source: source.to_owned(),
            cpg: Arc::new(every_kind(source).expect("a graph")),
        }))
    }
}

/// All that a host gets to see of the task.
fn told(task: &Task) -> String {
    let mut text = String::new();
    let mut say = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes everything");
    let info = task.info();
    say(format_args!("{}: {} {:?}", info.name, info.summary, info.languages));
    say(format_args!("{} {}", info.request_schema, info.answer_schema));
    for example in &info.examples {
        say(format_args!(
            "{}: {} -> {}",
            example.title, example.request, example.answer
        ));
    }
    for metric in &info.metrics {
        say(format_args!("metric {}: {}", metric.name, metric.summary));
    }
    for wish in [
        "greedy",
        "beams",
        "sampled",
        "refuse",
        "fail",
        "fail-later",
        "trap",
        "other",
    ] {
        say(format_args!("\n== {wish}"));
        let request = format!(r#"{{"code": "int f", "wish": "{wish}"}}"#);
        let prepared = match task.prepare(&request, Arc::new(EveryKind)) {
            Ok(prepared) => prepared,
            Err(error) => {
                say(format_args!("{}", fate(&error)));
                continue;
            }
        };
        say(format_args!("{:?} {:?}", prepared.system, prepared.reply_start));
        for segment in &prepared.segments {
            match segment {
                // The whole graph once is enough.
                Segment::Text(told) if wish == "greedy" => say(format_args!("{told}")),
                Segment::Text(told) => say(format_args!("{} bytes", told.len())),
                Segment::Code(code) => say(format_args!("code {:?}", code.source)),
            }
        }
        let decoding = &prepared.decoding;
        say(format_args!(
            "{} tokens, stop {:?}",
            decoding.max_new_tokens, decoding.stop
        ));
        let (temperature, top_p) = (decoding.temperature, decoding.top_p);
        say(format_args!(
            "temperature {temperature}, top k {}, top p {top_p}",
            decoding.top_k
        ));
        say(format_args!("{} beams", decoding.beams));
        let answer = match task.finish(&prepared.state, "one two") {
            Ok(answer) => answer,
            Err(error) => {
                say(format_args!("{}", fate(&error)));
                continue;
            }
        };
        say(format_args!("{:?} {}", answer.text, answer.data));
        for diagnostic in &answer.diagnostics {
            say(format_args!(
                "{} {}: {}",
                diagnostic.severity, diagnostic.code, diagnostic.message
            ));
        }
        match task.score(&prepared.state, &answer, "two three four", Arc::new(EveryKind)) {
            Ok(scores) => say(format_args!("scores {scores:?}")),
            Err(error) => say(format_args!("{}", fate(&error))),
        }
    }
    text
}

/// What the guest did, in its own words: those of the host may change.
fn fate(error: &TaskError) -> String {
    match error {
        TaskError::Rejected { message } => format!("rejected: {message}"),
        TaskError::Failed { call, message } => format!("failed in {call}: {message}"),
        TaskError::Trap { call, .. } => format!("trapped in {call}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_released_world_is_served() {
    for world in World::ALL {
        let task = load(world);
        assert_eq!(task.world(), world);
        let (path, found) = (folder(world).join("told.txt"), told(&task));
        if std::env::var_os("BLESS").is_some() && !path.exists() {
            std::fs::write(&path, &found).expect("the folder can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            found, expected,
            "{world} as this host serves it (left) and as it did when it was released"
        );
    }
}

#[test]
fn every_world_of_the_sdk_has_its_component() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/wit");
    let entries = std::fs::read_dir(wit).expect("the worlds' folder");
    let mut folders: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    folders.sort();
    assert_eq!(folders, World::ALL.map(World::version));
    for world in World::ALL {
        let text = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../sdk/wit")
                .join(world.version())
                .join("world.wit"),
        );
        assert!(
            text.expect("world.wit").contains(&format!("\npackage {world};\n")),
            "{world}"
        );
    }
}
