//! A guest written as WebAssembly text, so that a test can make it misbehave: a valid task to begin with, of which a
//! test replaces one part.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use transducer_cpg::CpgBuilder;
use transducer_tasks::{CodeParser, ParseFailure, ParsedCode, Task, TaskEngine, TaskError, TaskLimits};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// Where `describe` finds what it returns: name, summary, languages, two schemas, examples, each pointer and length.
pub(crate) const INFO: usize = 0x100;
/// Where `prepare` finds what it returns: 0 for ok, then `prepared`.
pub(crate) const PREPARED: usize = 0x200;
/// Pointer and length of the segments.
pub(crate) const SEGMENTS: usize = PREPARED + 16;
/// The numbers of `decoding`.
pub(crate) const MAX_NEW_TOKENS: usize = PREPARED + 36;
pub(crate) const STOP: usize = PREPARED + 40;
pub(crate) const TEMPERATURE: usize = PREPARED + 48;
pub(crate) const TOP_P: usize = PREPARED + 56;
pub(crate) const BEAMS: usize = PREPARED + 60;
/// Pointer and length of the state.
pub(crate) const STATE: usize = PREPARED + 64;
/// Where `finish` finds what it returns: 0 for ok, then text, data and diagnostics.
pub(crate) const ANSWER: usize = 0x300;
pub(crate) const ANSWER_TEXT: usize = ANSWER + 4;
pub(crate) const ANSWER_DATA: usize = ANSWER + 12;
pub(crate) const ANSWER_DIAGNOSTICS: usize = ANSWER + 20;
/// Two segments: kind, then handle, or pointer and length.
pub(crate) const SEGMENT: usize = 0x400;
/// For results of imports.
pub(crate) const SCRATCH: usize = 0x500;
/// Where `metrics` finds what it returns: pointer and length of names and summaries, each pointer and length.
pub(crate) const METRICS: usize = 0x600;
/// Where `score` finds what it returns: 0 for ok, then pointer and length of the numbers.
pub(crate) const SCORES: usize = 0x700;
/// Texts start here.
const TEXTS: usize = 0x1000;

/// The parts of a guest. Bodies are run before the export returns its prepared result.
pub(crate) struct Guest {
    pub(crate) describe: String,
    pub(crate) prepare: String,
    pub(crate) finish: String,
    /// The bodies of `metrics` and `score`, in a task that has them.
    pub(crate) scorer: Option<[String; 2]>,
    pub(crate) realloc: String,
    /// More items of the module: functions, a start function, tables.
    pub(crate) items: String,
    /// More imports, which have to be in the world.
    pub(crate) imports: String,
    /// Smallest and largest size of the memory, in pages of 64 KiB.
    pub(crate) memory: String,
    memory_image: Vec<u8>,
}

impl Guest {
    /// A valid task: its prompt is `hello`, its answer `good`.
    pub(crate) fn good() -> Self {
        let mut guest = Self {
            describe: String::new(),
            prepare: String::new(),
            finish: String::new(),
            scorer: None,
            realloc: "(local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (local.get $at)"
                .to_owned(),
            items: String::new(),
            imports: String::new(),
            memory: "2".to_owned(),
            memory_image: vec![0; TEXTS],
        };
        let languages = guest.strings(&["java"]);
        guest.text(INFO, b"good");
        guest.text(INFO + 8, b"Does nothing");
        guest.words(INFO + 16, &languages);
        guest.text(INFO + 24, b"{}");
        guest.text(INFO + 32, b"{}");
        guest.words(SEGMENTS, &[SEGMENT as u32, 1]);
        guest.text(SEGMENT + 4, b"hello");
        guest.words(MAX_NEW_TOKENS, &[8]);
        guest.words(TOP_P, &[1.0_f32.to_bits(), 1]);
        guest.text(STATE, b"state");
        guest.text(ANSWER_TEXT, b"good");
        guest.text(ANSWER_DATA, b"{}");
        guest
    }

    /// A valid task with the metrics `first` and `second`, by which every answer is worth 0.25 and 1.
    pub(crate) fn measured() -> Self {
        let mut guest = Self::good();
        guest.scorer = Some([String::new(), String::new()]);
        let names = guest.strings(&["first", "The first", "second", "The second"]);
        guest.words(METRICS, &[names[0], names[1] / 2]);
        guest.scores(&[0.25, 1.0]);
        guest
    }

    /// Puts what `score` returns into the memory.
    pub(crate) fn scores(&mut self, scores: &[f64]) -> &mut Self {
        self.memory_image.resize(self.memory_image.len().next_multiple_of(8), 0);
        let pointer = self.memory_image.len() as u32;
        self.memory_image
            .extend(scores.iter().flat_map(|score| score.to_le_bytes()));
        self.words(SCORES, &[0, pointer, scores.len() as u32])
    }

    /// Writes words to the memory that the guest starts with.
    pub(crate) fn words(&mut self, at: usize, words: &[u32]) -> &mut Self {
        for (place, word) in self.memory_image[at..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self
    }

    /// Puts a text into the memory, and its pointer and length to `at`.
    pub(crate) fn text(&mut self, at: usize, text: &[u8]) -> &mut Self {
        let pointer = self.memory_image.len() as u32;
        self.memory_image.extend_from_slice(text);
        self.memory_image.resize(self.memory_image.len().next_multiple_of(4), 0);
        self.words(at, &[pointer, text.len() as u32])
    }

    /// Puts a list of texts into the memory; its pointer and length.
    pub(crate) fn strings(&mut self, texts: &[&str]) -> [u32; 2] {
        let list = self.memory_image.len();
        self.memory_image.resize(list + 8 * texts.len(), 0);
        for (index, text) in texts.iter().enumerate() {
            self.text(list + 8 * index, text.as_bytes());
        }
        [list as u32, texts.len() as u32]
    }

    /// The core module.
    pub(crate) fn module(&self) -> Vec<u8> {
        let Self {
            describe,
            prepare,
            finish,
            scorer,
            realloc,
            items,
            imports,
            memory,
            memory_image,
        } = self;
        let version = self.version();
        let scorer = match scorer {
            None => String::new(),
            Some([metrics, score]) => format!(
                r#"(func (export "transducer:task/scorer@{version}#metrics") (result i32) {metrics} (i32.const {METRICS}))
                (func (export "transducer:task/scorer@{version}#score")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {score} (i32.const {SCORES}))"#
            ),
        };
        let data: String = memory_image.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = format!(
            r#"(module
                (import "transducer:task/log@{version}" "write" (func $log (param i32 i32 i32)))
                (import "transducer:task/cpg@{version}" "parse" (func $parse (param i32 i32 i32 i32 i32)))
                (import "transducer:task/cpg@{version}" "[method]graph.node-count" (func $nodes (param i32) (result i32)))
                (import "transducer:task/cpg@{version}" "[resource-drop]graph" (func $drop (param i32)))
                {imports}
                (memory (export "memory") {memory})
                (global $heap (mut i32) (i32.const 0x8000))
                (data (i32.const 0) "{data}")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "transducer:task/handler@{version}#describe") (result i32) {describe} (i32.const {INFO}))
                (func (export "transducer:task/handler@{version}#prepare") (param i32 i32) (result i32)
                    {prepare} (i32.const {PREPARED}))
                (func (export "transducer:task/handler@{version}#finish") (param i32 i32 i32 i32) (result i32)
                    {finish} (i32.const {ANSWER}))
                {scorer}
                {items})"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        let world = if self.scorer.is_some() { "measured-task" } else { "task" };
        component(self.module(), &wit(self.version()), world)
    }

    /// The version of the world that it is built for.
    fn version(&self) -> &'static str {
        match self.scorer {
            None => "1.0.0",
            Some(_) => "1.1.0",
        }
    }
}

/// A version of the WIT as one text, for tests that change it.
pub(crate) fn wit(version: &str) -> String {
    let read = |name| {
        let path = format!("{}/../../sdk/wit/{version}/{name}.wit", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the WIT is in the repository")
    };
    ["world", "types", "log", "cpg"].map(read).concat()
}

/// Makes a component of a core module, for a world of a WIT text.
pub(crate) fn component(mut module: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("valid WIT");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in the WIT");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default().module(&module).expect("a core module");
    encoder.encode().expect("a component")
}

/// Short times and small memories, so that the tests are quick.
pub(crate) fn limits() -> TaskLimits {
    TaskLimits {
        call_time: Duration::from_millis(200),
        memory_bytes: 32 << 20,
        ..TaskLimits::default()
    }
}

/// The engine that every test shares, as a host's tasks do.
pub(crate) static ENGINE: LazyLock<TaskEngine> = LazyLock::new(|| TaskEngine::new(limits()).expect("an engine"));

/// A task that behaves, loaded before any other does its worst.
pub(crate) static GOOD: LazyLock<Task> =
    LazyLock::new(|| ENGINE.compile(&Guest::good().component()).expect("a good task"));

/// Runs a good task: after whatever happened before, everything must work.
pub(crate) fn the_next_request_works() {
    let prepared = GOOD.prepare("{}", Arc::new(OneNode)).expect("the next request works");
    assert_eq!(prepared.user_text(), "hello");
    let answer = GOOD.finish(&prepared.state, "").expect("the next request works");
    assert_eq!(answer.text, "good");
}

/// Loads a component and runs a request through it, to the first error.
pub(crate) fn run(component: &[u8]) -> Result<(), TaskError> {
    let task = ENGINE.compile(component)?;
    let prepared = task.prepare("{}", Arc::new(OneNode))?;
    task.finish(&prepared.state, "generated").map(drop)
}

/// Parses any source to a graph of one node: what a language is does not matter here.
pub(crate) struct OneNode;

impl CodeParser for OneNode {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        let failed = |error: transducer_cpg::BuildError| ParseFailure::Failed {
            language: language.to_owned(),
            message: error.to_string(),
        };
        let cpg = CpgBuilder::new(language, source.len())
            .and_then(CpgBuilder::finish)
            .map_err(failed)?;
        Ok(Arc::new(ParsedCode {
            language: language.to_owned(),
            source: source.to_owned(),
            cpg: Arc::new(cpg),
        }))
    }
}
