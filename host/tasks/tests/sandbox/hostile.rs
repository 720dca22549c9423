//! Hostile guests: each fails with a named error, the host lives, and the next request works.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::guest::{
    ANSWER_DATA, ANSWER_DIAGNOSTICS, ANSWER_TEXT, BEAMS, ENGINE, GOOD, Guest, INFO, MAX_NEW_TOKENS, OneNode, PREPARED,
    SCRATCH, SEGMENT, SEGMENTS, STATE, STOP, TEMPERATURE, TOP_P, component, limits, run, the_next_request_works, wit,
};
use transducer_tasks::{Call, CodeParser, ParseFailure, ParsedCode, Segment, TaskError, TaskLimits};

const FOREVER: &str = "(loop $again (br $again))";

/// What is done to a good guest, the variant of the error, and a part of its message.
type Case = (&'static str, fn(&mut Guest), &'static str, &'static str);

fn check(cases: &[Case]) {
    for (name, spoil, variant, message) in cases {
        let mut guest = Guest::good();
        spoil(&mut guest);
        fails(name, &guest.component(), variant, message);
    }
}

fn fails(name: &str, component: &[u8], variant: &str, message: &str) {
    let error = run(component).expect_err(name);
    assert!(
        format!("{error:?}").starts_with(variant),
        "{name}: expected {variant}, found {error:?}"
    );
    assert!(
        error.to_string().contains(message),
        "{name}: expected {message:?} in: {error}"
    );
    the_next_request_works();
}

fn set(place: &mut String, body: &str) {
    body.clone_into(place);
}

#[test]
fn endless_guests_are_stopped() {
    check(&[
        (
            "loop in describe",
            |g| set(&mut g.describe, FOREVER),
            "DeadlineExceeded",
            "in `describe`",
        ),
        (
            "loop in prepare",
            |g| set(&mut g.prepare, FOREVER),
            "DeadlineExceeded",
            "200ms in `prepare`",
        ),
        (
            "loop in finish",
            |g| set(&mut g.finish, FOREVER),
            "DeadlineExceeded",
            "in `finish`",
        ),
        (
            "loop in the start function",
            |g| set(&mut g.items, &format!("(func $start {FOREVER}) (start $start)")),
            "DeadlineExceeded",
            "in `describe`",
        ),
        (
            "loop in the allocator",
            |g| set(&mut g.realloc, &format!("{FOREVER} (i32.const 0)")),
            "DeadlineExceeded",
            "prepare",
        ),
        (
            "loop after the result",
            |g| {
                let name = "cabi_post_transducer:task/handler@1.0.0#prepare";
                g.items = format!("(func (export \"{name}\") (param i32) {FOREVER})");
            },
            "DeadlineExceeded",
            "in `prepare`",
        ),
        (
            "loop of calls to the host",
            |g| {
                set(
                    &mut g.prepare,
                    "(loop $again (call $log (i32.const 0) (i32.const 0) (i32.const 1)) (br $again))",
                );
            },
            "DeadlineExceeded",
            "in `prepare`",
        ),
        (
            "loop of parsing",
            |g| {
                let parse = format!(
                    "(call $parse (i32.const {INFO}) (i32.const 4) (i32.const 0) (i32.const 9) (i32.const {SCRATCH}))"
                );
                g.prepare = format!("(loop $again {parse} (global.set $heap (i32.const 0x8000)) (br $again))");
            },
            "DeadlineExceeded",
            "in `prepare`",
        ),
    ]);
}

#[test]
fn greedy_guests_are_stopped() {
    check(&[
        (
            "memory bomb",
            |g| {
                set(
                    &mut g.prepare,
                    "(loop $again (drop (memory.grow (i32.const 16))) (br $again))",
                );
            },
            "OutOfMemory",
            "the limit is 33554432",
        ),
        (
            "4 GiB to begin with",
            |g| set(&mut g.memory, "65536"),
            "OutOfMemory",
            "wanted 4294967296 bytes",
        ),
        (
            "table bomb",
            |g| {
                set(&mut g.items, "(table $table 0 funcref)");
                set(
                    &mut g.finish,
                    "(drop (table.grow $table (ref.null func) (i32.const 10000000)))",
                );
            },
            "TableTooLarge",
            "wanted 10000",
        ),
        (
            "a large table to begin with",
            |g| set(&mut g.items, "(table 1000000 funcref)"),
            "TableTooLarge",
            "describe",
        ),
        (
            "deep recursion",
            |g| {
                set(
                    &mut g.items,
                    "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))",
                );
                set(&mut g.prepare, "(drop (call $deep))");
            },
            "StackOverflow",
            "524288 bytes is full",
        ),
    ]);
    let narrow = TaskLimits {
        instances: 0,
        ..limits()
    };
    let error = ENGINE
        .compile_with(&Guest::good().component(), narrow)
        .expect_err("no instance is allowed");
    assert!(
        matches!(error, TaskError::TooManyInstances { limit: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn crashing_guests_are_reported() {
    check(&[
        (
            "unreachable",
            |g| set(&mut g.prepare, "unreachable"),
            "Trap",
            "`unreachable` instruction",
        ),
        (
            "unreachable in describe",
            |g| set(&mut g.describe, "unreachable"),
            "Trap",
            "in `describe`",
        ),
        (
            "division by zero",
            |g| set(&mut g.finish, "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            "Trap",
            "divide by zero",
        ),
        (
            "reading outside of the memory",
            |g| set(&mut g.finish, "(drop (i32.load (i32.const -8)))"),
            "Trap",
            "out of bounds memory",
        ),
        (
            "a trap in a named function",
            |g| {
                set(&mut g.items, "(func $parse_request unreachable)");
                set(&mut g.prepare, "(call $parse_request)");
            },
            "Trap",
            "(in parse_request < ",
        ),
    ]);
}

#[test]
fn large_outputs_are_refused() {
    check(&[
        (
            "an answer of 5 MB",
            |g| {
                set(&mut g.memory, "100");
                g.words(ANSWER_TEXT, &[0, 5_000_000]);
            },
            "OutputTooLarge",
            "larger than the limit of 4194304",
        ),
        (
            "a million empty segments",
            |g| {
                set(&mut g.memory, "400");
                g.words(SEGMENTS, &[0x1_0000, 1_000_000]);
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
        (
            "2,000 segments",
            |g| {
                g.words(SEGMENTS, &[0x1_0000, 2000]);
            },
            "OutputTooLarge",
            "the number of segments in `prepare` is 2000, above the limit of 1024",
        ),
        (
            "the same text 200 times",
            |g| {
                for index in 0..200 {
                    g.words(SEGMENT + 12 * index, &[0, 0x1_0000, 0x1_0000]);
                }
                g.words(SEGMENTS, &[SEGMENT as u32, 200]);
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
        (
            "a state of 2 MB",
            |g| {
                set(&mut g.memory, "100");
                g.words(STATE, &[0, 2 << 20]);
            },
            "OutputTooLarge",
            "the state, in bytes, in `prepare` is 2097152, above the limit of 1048576",
        ),
        (
            "a thousand diagnostics",
            |g| {
                g.words(ANSWER_DIAGNOSTICS, &[0x1_0000, 1000]);
            },
            "OutputTooLarge",
            "the number of diagnostics in `finish` is 1000",
        ),
        (
            "a log line of 5 MB",
            |g| {
                set(&mut g.memory, "100");
                set(
                    &mut g.prepare,
                    "(call $log (i32.const 0) (i32.const 0) (i32.const 5000000))",
                );
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
    ]);
}

#[test]
fn senseless_outputs_are_refused() {
    check(&[
        (
            "a text that is no UTF-8",
            |g| {
                g.text(ANSWER_TEXT, b"ab\xff\xfe");
            },
            "BadUtf8",
            "from byte 2 on",
        ),
        (
            "a name that is no UTF-8",
            |g| {
                g.text(INFO, b"\xc3\x28");
            },
            "BadUtf8",
            "in `describe`",
        ),
        (
            "a text outside of the memory",
            |g| {
                g.words(ANSWER_TEXT, &[0x1_fff0, 0x20]);
            },
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "a list outside of the memory",
            |g| {
                g.words(SEGMENTS, &[0xffff_fff0, 2]);
            },
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "a list that is not aligned",
            |g| {
                g.words(SEGMENTS, &[0x401, 1]);
            },
            "InvalidOutput",
            "aligned",
        ),
        (
            "a variant that does not exist",
            |g| {
                g.words(SEGMENT, &[7]);
            },
            "InvalidOutput",
            "discriminant",
        ),
        (
            "a result outside of the memory",
            |g| set(&mut g.prepare, "(return (i32.const -4))"),
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "memory for the request outside of the memory",
            |g| set(&mut g.realloc, "(i32.const -16)"),
            "InvalidOutput",
            "beyond end of memory",
        ),
        (
            "data that is no JSON",
            |g| {
                g.text(ANSWER_DATA, b"{");
            },
            "InvalidOutput",
            "`data` is not JSON",
        ),
        (
            "data nested without end",
            |g| {
                g.text(ANSWER_DATA, &[b'['; 9999]);
            },
            "InvalidOutput",
            "recursion limit",
        ),
        (
            "a schema that is no object",
            |g| {
                g.text(INFO + 24, b"3");
            },
            "InvalidOutput",
            "request schema must be an object",
        ),
        (
            "a name with a line break",
            |g| {
                g.text(INFO, b"a\nb");
            },
            "InvalidOutput",
            "the name is",
        ),
        (
            "no languages",
            |g| {
                g.words(INFO + 16, &[0, 0]);
            },
            "InvalidOutput",
            "the languages are []",
        ),
        (
            "no prompt",
            |g| {
                g.words(SEGMENTS, &[0, 0]);
            },
            "InvalidOutput",
            "the prompt is empty",
        ),
        (
            "no tokens",
            |g| {
                g.words(MAX_NEW_TOKENS, &[0]);
            },
            "InvalidOutput",
            "max-new-tokens is 0",
        ),
        (
            "endless tokens",
            |g| {
                g.words(MAX_NEW_TOKENS, &[u32::MAX]);
            },
            "InvalidOutput",
            "allowed are 1 to 4096",
        ),
        (
            "temperature NaN",
            |g| {
                g.words(TEMPERATURE, &[f32::NAN.to_bits()]);
            },
            "InvalidOutput",
            "temperature is NaN",
        ),
        (
            "temperature -1",
            |g| {
                g.words(TEMPERATURE, &[(-1.0_f32).to_bits()]);
            },
            "InvalidOutput",
            "temperature is -1",
        ),
        (
            "top-p 0",
            |g| {
                g.words(TOP_P, &[0]);
            },
            "InvalidOutput",
            "top-p is 0",
        ),
        (
            "top-p infinite",
            |g| {
                g.words(TOP_P, &[f32::INFINITY.to_bits()]);
            },
            "InvalidOutput",
            "top-p is inf",
        ),
        (
            "a thousand beams",
            |g| {
                g.words(BEAMS, &[1000]);
            },
            "InvalidOutput",
            "beams is 1000",
        ),
        (
            "an empty stop string",
            |g| {
                let stop = g.strings(&[""]);
                g.words(STOP, &stop);
            },
            "InvalidOutput",
            "a stop string has 0 bytes",
        ),
        (
            "a graph that never was",
            |g| {
                g.words(SEGMENT, &[1, 12345]);
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "the same graph twice",
            |g| {
                set(&mut g.prepare, &parse_to(SEGMENT + 4));
                g.words(SEGMENTS, &[SEGMENT as u32, 2]);
                g.words(SEGMENT, &[1, 0, 0, 1]);
                g.prepare += &format!(
                    "(i32.store (i32.const {}) (i32.load (i32.const {})))",
                    SEGMENT + 16,
                    SEGMENT + 4
                );
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "a graph that was dropped",
            |g| {
                g.words(SEGMENT, &[1]);
                let drop = format!("(call $drop (i32.load (i32.const {})))", SEGMENT + 4);
                g.prepare = parse_to(SEGMENT + 4) + &drop;
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "asking a graph that never was",
            |g| set(&mut g.prepare, "(drop (call $nodes (i32.const 77)))"),
            "InvalidOutput",
            "handle",
        ),
    ]);
}

/// WebAssembly text that parses five bytes and stores the graph's handle.
fn parse_to(at: usize) -> String {
    format!(
        "(call $parse (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 5) (i32.const {SCRATCH}))
         (if (i32.load8_u (i32.const {SCRATCH})) (then unreachable))
         (i32.store (i32.const {at}) (i32.load (i32.const {})))",
        SCRATCH + 4
    )
}

#[test]
fn a_graph_goes_into_the_prompt() {
    let mut guest = Guest::good();
    guest.words(SEGMENT, &[1]);
    guest.prepare = parse_to(SEGMENT + 4);
    let task = ENGINE.compile(&guest.component()).expect("a good task");
    let prepared = task.prepare("{}", Arc::new(OneNode)).expect("a prompt");
    let [Segment::Code(code)] = &prepared.segments[..] else {
        panic!("{prepared:?}");
    };
    assert_eq!((code.language.as_str(), code.source.as_str()), ("\0", "\0\0\0\0\0"));
}

/// Counts what reaches the front end.
#[derive(Default)]
struct Counting {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

impl CodeParser for Counting {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(source.len(), Ordering::Relaxed);
        OneNode.parse(language, source)
    }
}

#[test]
fn a_flood_of_parsing_does_not_reach_the_front_end() {
    for (bytes, calls, total) in [(10, 64, 640), (300_000, 3, 900_000), (2_000_000, 0, 0)] {
        let mut guest = Guest::good();
        set(&mut guest.memory, "40");
        guest.prepare = format!(
            "(local $left i32) (local.set $left (i32.const 1000))
             (loop $again
                (call $parse (i32.const 0) (i32.const 1) (i32.const 0x10000) (i32.const {bytes}) (i32.const {SCRATCH}))
                (global.set $heap (i32.const 0x8000))
                (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
        );
        let limits = TaskLimits {
            call_time: TaskLimits::default().call_time * 10,
            ..limits()
        };
        let task = ENGINE.compile_with(&guest.component(), limits).expect("a task");
        let parser = Arc::new(Counting::default());
        task.prepare("{}", parser.clone())
            .expect("the guest may go on without graphs");
        let reached = (
            parser.calls.load(Ordering::Relaxed),
            parser.bytes.load(Ordering::Relaxed),
        );
        assert_eq!(reached, (calls, total), "{bytes} bytes a call");
    }
}

#[test]
fn finish_has_no_graphs() {
    let mut guest = Guest::good();
    guest.finish = parse_to(SCRATCH);
    fails(
        "parsing in finish",
        &guest.component(),
        "Trap",
        "`unreachable` instruction",
    );
}

#[test]
fn nothing_leaks_from_one_call_to_the_next() {
    let mut guest = Guest::good();
    let state = guest.strings(&["0"])[0] + 8;
    guest.words(STATE, &[state, 1]);
    guest.prepare =
        format!("(i32.store8 (i32.const {state}) (i32.add (i32.load8_u (i32.const {state})) (i32.const 1)))");
    let task = ENGINE.compile(&guest.component()).expect("a task");
    for _ in 0..3 {
        let prepared = task.prepare("{}", Arc::new(OneNode)).expect("a prompt");
        assert_eq!(prepared.state, b"1");
    }
}

#[test]
fn a_refusal_is_the_users_business() {
    let mut guest = Guest::good();
    guest.words(PREPARED, &[1, 0]).text(PREPARED + 8, b"`code` is missing");
    let task = ENGINE.compile(&guest.component()).expect("a task");
    let error = task.prepare("{}", Arc::new(OneNode)).expect_err("refused");
    let message = "`code` is missing".to_owned();
    assert_eq!(error, TaskError::Rejected { message });
    let mut guest = Guest::good();
    guest.words(PREPARED, &[1, 1]).text(PREPARED + 8, b"a bug");
    let task = ENGINE.compile(&guest.component()).expect("a task");
    let error = task.prepare("{}", Arc::new(OneNode)).expect_err("failed");
    let (call, message) = (Call::Prepare, "a bug".to_owned());
    assert_eq!(error, TaskError::Failed { call, message });
}

#[test]
fn a_large_request_does_not_reach_the_guest() {
    let request = " ".repeat((1 << 20) + 1);
    let error = GOOD.prepare(&request, Arc::new(OneNode)).expect_err("too large");
    assert_eq!(
        error,
        TaskError::RequestTooLarge {
            found: (1 << 20) + 1,
            limit: 1 << 20
        }
    );
}

#[test]
fn hostile_guests_do_not_hold_up_others() {
    let mut guest = Guest::good();
    set(&mut guest.prepare, FOREVER);
    let hostile = ENGINE.compile(&guest.component()).expect("it loads");
    thread::scope(|scope| {
        let stuck: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| hostile.prepare("{}", Arc::new(OneNode))))
            .collect();
        for _ in 0..100 {
            the_next_request_works();
        }
        for thread in stuck {
            let error = thread.join().expect("the thread lives").expect_err("it is stopped");
            assert!(matches!(error, TaskError::DeadlineExceeded { .. }), "{error:?}");
        }
    });
}

#[test]
fn what_is_no_task_is_refused() {
    let good = Guest::good().component();
    let module = Guest::good().module();
    fails("an empty file", b"", "NotAComponent", "found an empty file");
    fails(
        "garbage",
        b"PK\x03\x04 not wasm at all",
        "NotAComponent",
        "no WebAssembly",
    );
    fails("text", b"(component)", "NotAComponent", "found WebAssembly text");
    fails(
        "precompiled",
        b"\x7fELF\x02\x01\x01",
        "NotAComponent",
        "precompiled WebAssembly is not accepted",
    );
    fails(
        "a core module",
        &module,
        "NotAComponent",
        "found a core WebAssembly module",
    );
    fails(
        "an empty component",
        &good[..8],
        "MissingExport",
        "does not export `transducer:task/handler`",
    );
    fails(
        "half a component",
        &good[..good.len() / 2],
        "InvalidComponent",
        "not valid",
    );
    let large = TaskLimits {
        component_bytes: 100,
        ..limits()
    };
    let error = ENGINE.compile_with(&good, large).expect_err("too large");
    assert!(
        matches!(error, TaskError::ComponentTooLarge { limit: 100, .. }),
        "{error:?}"
    );

    for (version, variant, expected) in [
        (
            "2.3.0",
            "NewerWorld",
            "built for `transducer:task@2.3.0`, which is newer than this host: it has `transducer:task@1.0.0` and \
             `transducer:task@1.1.0`. Update the host",
        ),
        (
            "1.2.0",
            "NewerWorld",
            "`transducer:task@1.2.0`, which is newer than this host",
        ),
        (
            "0.9.0",
            "UnsupportedWorld",
            "built for `transducer:task@0.9.0`; this host has `transducer:task@1.0.0` and",
        ),
        (
            "1.0.1",
            "UnsupportedWorld",
            "built for `transducer:task@1.0.1`; this host has",
        ),
    ] {
        let other = wit("1.0.0").replace("transducer:task@1.0.0;", &format!("transducer:task@{version};"));
        fails(version, &dummy_component(&other, "task"), variant, expected);
    }

    let wasi = "package wasi:cli@0.2.0; interface environment { cwd: func() -> u32; }
        world task { import environment; }";
    let text = "(module (import \"wasi:cli/environment@0.2.0\" \"cwd\" (func (result i32))))";
    let component = component(wat::parse_str(text).expect("valid text"), wasi, "task");
    fails(
        "WASI",
        &component,
        "UnknownImport",
        "imports `wasi:cli/environment@0.2.0`",
    );

    let other = wit("1.0.0").replace("generated: string", "generated: u64");
    fails(
        "other types",
        &dummy_component(&other, "task"),
        "WrongType",
        "does not fit `transducer:task@1.0.0`",
    );
    let other = wit("1.1.0").replace("result<list<f64>, error>", "result<list<f32>, error>");
    fails(
        "other types of the metrics",
        &dummy_component(&other, "measured-task"),
        "WrongType",
        "does not fit `transducer:task@1.1.0`",
    );
}

/// A host that is too old for a component says so, whatever else is in the component that it does not understand.
#[test]
fn the_world_is_read_before_anything_is_compiled() {
    let text = r#"(component
        (core module (func (result i32) (f32.const 1)))
        (import "transducer:task/log@VERSION" (instance))
        (component (import "transducer:task/cpg@7.0.0" (instance)))
        (instance $empty)
        (export "transducer:task/handler@1.2.0" (instance $empty)))"#;
    let component = |version: &str| wat::parse_str(text.replace("VERSION", version)).expect("valid text");
    fails("a newer world", &component("1.2.0"), "NewerWorld", "1.2.0");
    fails(
        "two worlds",
        &component("1.1.0"),
        "MixedWorlds",
        "names both `transducer:task@1.2.0` and `transducer:task@1.1.0`",
    );
    // With a world that this host has, the module in it is what is wrong.
    let old = wat::parse_str(text.replace("VERSION", "1.0.0").replace("1.2.0", "1.0.0")).expect("valid text");
    fails("a module that is not valid", &old, "InvalidComponent", "type mismatch");
}

/// A component that has the exports of a world and does nothing.
fn dummy_component(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("valid WIT");
    let id = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in the WIT");
    let abi = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    component(wit_component::dummy_module(&resolve, id, abi), wit, world)
}

#[test]
fn damaged_components_never_crash_the_host() {
    let good = Guest::good().component();
    for len in (0..good.len()).step_by(good.len() / 97 + 1) {
        if let Ok(task) = ENGINE.compile(&good[..len]) {
            panic!("{len} bytes of {} are a task: {task:?}", good.len());
        }
    }
    let mut damaged = good.clone();
    for at in (8..good.len()).step_by(good.len() / 193 + 1) {
        damaged[at] ^= 0x55;
        // It may still be a task, such as when a letter of its summary changed; it must not be a crash.
        let _ = run(&damaged);
        damaged[at] = good[at];
    }
    the_next_request_works();
}
