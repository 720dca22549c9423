//! What a guest's log lines become: cut, escaped, and no more than the budget.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use crate::guest::{ENGINE, Guest, OneNode, SCRATCH};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps each event's fields as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").expect("a String takes everything");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "transducer_tasks::guest"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("no test panicked").push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The lines that one call of a guest logs, which writes a message so many times.
fn logged(times: u32, message: &[u8]) -> Vec<String> {
    let mut guest = Guest::good();
    guest.text(SCRATCH, message);
    guest.prepare = format!(
        "(local $left i32) (local.set $left (i32.const {times}))
         (loop $again
            (call $log (i32.const 2) (i32.load (i32.const {SCRATCH})) (i32.load offset=4 (i32.const {SCRATCH})))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
    );
    let task = ENGINE.compile(&guest.component()).expect("a task");
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        task.prepare("{}", Arc::new(OneNode)).expect("logging is no fault");
    });
    lines.0.lock().expect("no test panicked").clone()
}

#[test]
fn a_line_names_its_task_and_call() {
    let lines = logged(1, b"hello");
    assert_eq!(lines, ["message=hello task=\"good\" call=prepare "]);
}

#[test]
fn a_line_cannot_forge_another() {
    let lines = logged(1, b"a\nERROR all is lost\x1b[2J");
    assert_eq!(
        lines,
        ["message=a\\nERROR all is lost\\u{1b}[2J task=\"good\" call=prepare "]
    );
}

#[test]
fn short_lines_end_at_the_number_of_lines() {
    let lines = logged(10_000, b"x");
    assert_eq!(lines.len(), 100 + 1);
    assert!(lines[100].contains("dropped=9900"), "{}", lines[100]);
}

#[test]
fn long_lines_are_cut_and_end_at_the_number_of_bytes() {
    let lines = logged(50, &[b'x'; 3000]);
    assert_eq!(lines.len(), 16 + 1);
    assert!(
        lines[..16].iter().all(|line| line.matches('x').count() == 1024),
        "{}",
        lines[0].len()
    );
    assert!(lines[16].contains("dropped=34"), "{}", lines[16]);
}
