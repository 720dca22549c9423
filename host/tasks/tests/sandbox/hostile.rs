//! Hostile guests: each fails with the error that `sdk/HOSTILE.md` names, the host lives, and the next request works.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::guest::{
    ENGINE, GOOD, Guest, INFO, OneNode, PREPARED, SCRATCH, SEGMENT, STATE, limits, run, the_next_request_works,
};
use crate::{components, outputs, table};
use transducer_tasks::{Call, CodeParser, ParseFailure, ParsedCode, Segment, TaskError, TaskLimits};

const FOREVER: &str = "(loop $again (br $again))";

/// What is tried, and its component.
pub(crate) type Case = (&'static str, Vec<u8>);

/// What is tried, and what is done to a good guest.
pub(crate) type Spoil = (&'static str, fn(&mut Guest));

pub(crate) fn spoilt(cases: &[Spoil]) -> Vec<Case> {
    let component = |(name, spoil): &Spoil| {
        let mut guest = Guest::good();
        spoil(&mut guest);
        (*name, guest.component())
    };
    cases.iter().map(component).collect()
}

fn refused((name, component): Case) -> (String, String) {
    let error = run(&component).expect_err(name);
    the_next_request_works();
    (name.to_owned(), error.to_string())
}

#[test]
fn every_case_is_refused_as_the_table_says() {
    let subjects = [
        (
            "Endless calls, in `describe`, the start function and elsewhere",
            endless(),
        ),
        ("Giant memories and tables, recursion", greedy()),
        ("Crashes", crashing()),
        ("Output floods", outputs::large()),
        ("Senseless outputs, texts that are not UTF-8", outputs::senseless()),
        (
            "Extra imports, and components that are no tasks",
            components::no_tasks(),
        ),
    ];
    let rows = |(subject, cases): (&'static str, Vec<Case>)| (subject, cases.into_iter().map(refused).collect());
    table::hold("Tasks in the sandbox", &subjects.map(rows));
}

pub(crate) fn set(place: &mut String, body: &str) {
    body.clone_into(place);
}

fn endless() -> Vec<Case> {
    spoilt(&[
        ("loop in describe", |g| set(&mut g.describe, FOREVER)),
        ("loop in prepare", |g| set(&mut g.prepare, FOREVER)),
        ("loop in finish", |g| set(&mut g.finish, FOREVER)),
        ("loop in the start function", |g| {
            set(&mut g.items, &format!("(func $start {FOREVER}) (start $start)"));
        }),
        ("loop in the allocator", |g| {
            set(&mut g.realloc, &format!("{FOREVER} (i32.const 0)"));
        }),
        ("loop after the result", |g| {
            let name = "cabi_post_transducer:task/handler@1.0.0#prepare";
            g.items = format!("(func (export \"{name}\") (param i32) {FOREVER})");
        }),
        ("loop of calls to the host", |g| {
            set(
                &mut g.prepare,
                "(loop $again (call $log (i32.const 0) (i32.const 0) (i32.const 1)) (br $again))",
            );
        }),
        ("loop of parsing", |g| {
            let parse = format!(
                "(call $parse (i32.const {INFO}) (i32.const 4) (i32.const 0) (i32.const 9) (i32.const {SCRATCH}))"
            );
            g.prepare = format!("(loop $again {parse} (global.set $heap (i32.const 0x8000)) (br $again))");
        }),
    ])
}

fn greedy() -> Vec<Case> {
    spoilt(&[
        ("memory bomb", |g| {
            set(
                &mut g.prepare,
                "(loop $again (drop (memory.grow (i32.const 16))) (br $again))",
            );
        }),
        ("4 GiB to begin with", |g| set(&mut g.memory, "65536")),
        ("table bomb", |g| {
            set(&mut g.items, "(table $table 0 funcref)");
            set(
                &mut g.finish,
                "(drop (table.grow $table (ref.null func) (i32.const 10000000)))",
            );
        }),
        ("a large table to begin with", |g| {
            set(&mut g.items, "(table 1000000 funcref)");
        }),
        ("deep recursion", |g| {
            set(
                &mut g.items,
                "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))",
            );
            set(&mut g.prepare, "(drop (call $deep))");
        }),
    ])
}

#[test]
fn parts_of_a_component_are_counted() {
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

fn crashing() -> Vec<Case> {
    spoilt(&[
        ("unreachable", |g| set(&mut g.prepare, "unreachable")),
        ("unreachable in describe", |g| set(&mut g.describe, "unreachable")),
        ("division by zero", |g| {
            set(&mut g.finish, "(drop (i32.div_u (i32.const 1) (i32.const 0)))");
        }),
        ("reading outside of the memory", |g| {
            set(&mut g.finish, "(drop (i32.load (i32.const -8)))");
        }),
        ("a trap in a named function", |g| {
            set(&mut g.items, "(func $parse_request unreachable)");
            set(&mut g.prepare, "(call $parse_request)");
        }),
    ])
}

/// WebAssembly text that parses five bytes and stores the graph's handle.
pub(crate) fn parse_to(at: usize) -> String {
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
    let error = run(&guest.component()).expect_err("parsing in finish");
    assert!(matches!(error, TaskError::Trap { call: Call::Finish, .. }), "{error:?}");
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
