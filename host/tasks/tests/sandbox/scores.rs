//! A task's own metrics: who has them, what they may say, and that the budgets hold for them.

use std::sync::Arc;

use crate::guest::{ENGINE, Guest, METRICS, OneNode, SCORES, the_next_request_works};
use transducer_tasks::{Call, Task, TaskError, World};

fn load(guest: &Guest) -> Task {
    ENGINE.compile(&guest.component()).expect("a task")
}

/// The scores of an answer of this task.
fn scores(guest: &Guest) -> Result<Vec<f64>, TaskError> {
    let task = ENGINE.compile(&guest.component())?;
    let prepared = task.prepare("{}", Arc::new(OneNode)).expect("a prompt");
    let answer = task.finish(&prepared.state, "").expect("an answer");
    task.score(&prepared.state, &answer, "reference", Arc::new(OneNode))
}

#[track_caller]
fn fails(guest: &Guest, variant: &str, call: Call, expected: &str) {
    let error = scores(guest).expect_err(expected);
    let (debug, message) = (format!("{error:?}"), error.to_string());
    assert!(debug.starts_with(variant), "expected {variant}: {debug}");
    assert!(
        message.contains(expected) && message.contains(&format!("`{call}`")),
        "{message}"
    );
    the_next_request_works();
}

#[test]
fn a_task_of_1_1_has_metrics_and_one_of_1_0_has_none() {
    let old = load(&Guest::good());
    assert_eq!((old.world(), old.info().metrics.len()), (World::V1_0, 0));
    assert_eq!(scores(&Guest::good()), Ok(vec![]));

    let task = load(&Guest::measured());
    assert_eq!(task.world(), World::V1_1);
    let metrics = task.info().metrics.iter();
    let metrics: Vec<_> = metrics
        .map(|metric| (metric.name.as_str(), metric.summary.as_str()))
        .collect();
    assert_eq!(metrics, [("first", "The first"), ("second", "The second")]);
    assert_eq!(scores(&Guest::measured()), Ok(vec![0.25, 1.0]));
}

#[test]
fn a_task_of_1_1_without_metrics_is_never_asked() {
    let mut guest = Guest::measured();
    guest.words(METRICS, &[0, 0]);
    guest.scorer = Some([String::new(), "(unreachable)".to_owned()]);
    assert_eq!(scores(&guest), Ok(vec![]));
}

#[test]
fn what_a_score_may_be() {
    for (wrong, expected) in [
        (&[0.5][..], "1 scores for 2 metrics"),
        (&[0.5, 0.5, 0.5], "3 scores for 2 metrics"),
        (&[f64::NAN, 0.5], "\"first\" is NaN; expected a number from 0 to 1"),
        (&[0.5, 1.5], "\"second\" is 1.5; expected a number from 0 to 1"),
        (&[-0.1, 0.5], "\"first\" is -0.1; expected a number from 0 to 1"),
    ] {
        let mut guest = Guest::measured();
        guest.scores(wrong);
        fails(&guest, "InvalidOutput", Call::Score, expected);
    }
}

#[test]
fn what_a_metric_may_be_called() {
    let long = "m".repeat(33);
    for (names, expected) in [
        (&["Big", "x"][..], "a metric is named \"Big\""),
        (&["", "x"], "a metric is named \"\""),
        (&["9th", "x"], "a metric is named \"9th\""),
        (&["a-b", "x"], "a metric is named \"a-b\""),
        (&[&long, "x"], "expected 1 to 32 lower-case letters"),
        (&["one", "x", "one", "y"], "two metrics are named \"one\""),
        (&["one", ""], "the summary of the metric \"one\" is \"\""),
        (&["one", "two\nlines"], "expected one line"),
    ] {
        let mut guest = Guest::measured();
        let list = guest.strings(names);
        guest.words(METRICS, &[list[0], list[1] / 2]);
        fails(&guest, "InvalidOutput", Call::Metrics, expected);
    }
    let mut guest = Guest::measured();
    let list = guest.strings(&["x"; 66]);
    guest.words(METRICS, &[list[0], 33]);
    fails(&guest, "OutputTooLarge", Call::Metrics, "the number of metrics");
}

#[test]
fn the_budgets_are_those_of_every_call() {
    let endless = || "(loop $again (br $again))".to_owned();
    let mut guest = Guest::measured();
    guest.scorer = Some([endless(), String::new()]);
    fails(&guest, "DeadlineExceeded", Call::Metrics, "ran longer");
    guest.scorer = Some([String::new(), endless()]);
    fails(&guest, "DeadlineExceeded", Call::Score, "ran longer");
    guest.scorer = Some([String::new(), "(drop (memory.grow (i32.const 4096)))".to_owned()]);
    fails(&guest, "OutOfMemory", Call::Score, "bytes of memory");
    guest.scorer = Some([String::new(), "(unreachable)".to_owned()]);
    fails(&guest, "Trap", Call::Score, "crashed");
    // A list of numbers beyond what a task may hand over, and one beyond its memory.
    let mut guest = Guest::measured();
    guest.memory = "128".to_owned();
    guest.words(SCORES, &[0, 0, 1 << 20]);
    fails(&guest, "OutputTooLarge", Call::Score, "handed over");
    guest.words(SCORES, &[0, 0x7fff_0000, 2]);
    fails(&guest, "InvalidOutput", Call::Score, "");
}

/// An answer is judged with the state of its request, and with graphs where the task asks for one.
#[test]
fn a_score_may_ask_for_graphs() {
    let mut guest = Guest::measured();
    // The reference is parsed as a language of its own name; without a graph the result is 1, an error.
    guest.scorer = Some([
        String::new(),
        format!(
            "(call $parse (local.get 8) (local.get 9) (local.get 8) (local.get 9) (i32.const {SCRATCH}))
             (if (i32.load8_u (i32.const {SCRATCH})) (then (unreachable)))
             (if (i32.ne (call $nodes (i32.load offset=4 (i32.const {SCRATCH}))) (i32.const 1)) (then (unreachable)))",
            SCRATCH = crate::guest::SCRATCH
        ),
    ]);
    assert_eq!(scores(&guest), Ok(vec![0.25, 1.0]));
}
