//! The queue, cancellation and sinks, with a stand-in for the model that says when it is where.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::running::{Generated, Progress, Runner};
use crate::{DecodingOptions, FinishReason};

/// What the stand-in does with each request, one script a request.
enum Script {
    /// Tokens of text, then done.
    Say(&'static [&'static str]),
    /// Tells that it has begun, then gives a token of text for every message, until the channel is closed.
    Follow(Sender<()>, Receiver<()>),
    /// A bug.
    Panic,
    /// A failed forward pass.
    Fail,
}

struct Scripted(VecDeque<Script>);

/// A script and how far it has come.
struct Playing {
    script: Script,
    said: Vec<String>,
}

impl Runner for Scripted {
    type Sequence = Playing;

    fn begin(&mut self, _: PromptEmbeddings, _: Decoding) -> Result<Playing, EngineError> {
        let script = self.0.pop_front().expect("a script for every request");
        if let Script::Follow(begun, _) = &script {
            begun.send(()).expect("the test listens");
        }
        let said = Vec::new();
        Ok(Playing { script, said })
    }

    fn turn(&mut self, playing: &mut Playing, progress: &mut Progress<'_>) -> Result<Option<Generated>, EngineError> {
        let next = match &playing.script {
            Script::Say(pieces) => pieces.get(playing.said.len()).map(|&piece| piece.to_owned()),
            Script::Follow(_, steps) => steps.recv().ok().map(|()| "x".to_owned()),
            Script::Panic => panic!("the roof fell in"),
            Script::Fail => return Err(EngineError::NotFinite { token: 3 }),
        };
        if let Some(piece) = next {
            progress.text(piece.clone())?;
            playing.said.push(piece);
            return Ok(None);
        }
        progress.check()?;
        let text = playing.said.concat();
        let count = text.len();
        Ok(Some(Generated {
            text,
            ids: vec![7; count],
            finish_reason: FinishReason::EndToken,
            completion_tokens: count + 1,
        }))
    }

    fn together(&mut self, sequences: &mut [&mut Playing]) -> Result<(), EngineError> {
        let broken = |playing: &&mut Playing| matches!(playing.script, Script::Say(&["break"]));
        if sequences.iter().any(broken) {
            return Err(EngineError::NotFinite { token: 9 });
        }
        Ok(())
    }
}

fn engine(queue_bound: usize, scripts: impl IntoIterator<Item = Script>) -> LocalEngine {
    side_by_side(1, queue_bound, scripts)
}

fn side_by_side(running: usize, queue_bound: usize, scripts: impl IntoIterator<Item = Script>) -> LocalEngine {
    let scripted = Scripted(scripts.into_iter().collect());
    let room = Room {
        running,
        tokens: 10_000,
    };
    LocalEngine::spawn(queue_bound, move |shared| work(shared, scripted, room)).expect("a thread starts")
}

fn request(sink: Sink) -> Request {
    let prompt = PromptEmbeddings::unchecked(tch::Tensor::zeros([3, 2], tch::kind::FLOAT_CPU));
    Request::new(
        prompt,
        Decoding::new(DecodingOptions::default()).expect("the default is valid"),
        sink,
    )
}

/// A sink that writes down what it is told, in words.
fn recorded() -> (Sink, Receiver<String>) {
    let (sender, receiver) = channel();
    let sink = Box::new(move |event| {
        let _ = sender.send(match event {
            Event::Text(text) => format!("text {text}"),
            Event::Done(completion) => format!("done {} {:?}", completion.text, completion.usage),
            Event::Failed(error) => format!("failed: {error}"),
        });
        ControlFlow::Continue(())
    });
    (sink, receiver)
}

/// All that a sink is told, once it was dropped.
fn all(events: Receiver<String>) -> Vec<String> {
    events.into_iter().collect()
}

/// A script that the test leads, and its two ends.
fn led() -> (Script, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = channel();
    let (step, steps) = channel();
    (Script::Follow(begun, steps), has_begun, step)
}

const DONE_AB: &str = "done ab Usage { prompt_tokens: 3, completion_tokens: 3 }";

#[test]
fn events_come_in_order_and_end_once() {
    let engine = engine(4, [Script::Say(&["a", "", "b"])]);
    let (sink, events) = recorded();
    engine.submit(request(sink)).expect("there is room");
    assert_eq!(all(events), ["text a", "text b", DONE_AB]);
    let stats = engine.stats();
    assert_eq!((stats.completed, stats.failed, stats.queued), (1, 0, 0));
    assert_eq!((stats.prompt_tokens, stats.completion_tokens), (3, 3));
}

#[test]
fn one_request_too_many_is_refused() {
    let (script, begun, step) = led();
    let engine = engine(1, [script, Script::Say(&["a", "b"])]);
    let (first, first_events) = recorded();
    engine.submit(request(first)).expect("nothing waits");
    begun.recv().expect("the first runs");
    let (second, second_events) = recorded();
    engine.submit(request(second)).expect("one may wait");
    assert_eq!((engine.stats().queued, engine.stats().running), (1, 1));
    let (third, third_events) = recorded();
    assert_eq!(
        engine.submit(request(third)).expect_err("full"),
        SubmitError::QueueFull { bound: 1 }
    );
    assert!(all(third_events).is_empty());
    drop(step);
    assert_eq!(
        all(first_events),
        ["done  Usage { prompt_tokens: 3, completion_tokens: 1 }"]
    );
    assert_eq!(all(second_events).last().map(String::as_str), Some(DONE_AB));
    assert_eq!(engine.stats().refused, 1);
}

#[test]
fn a_ticket_cancels_while_running_and_while_waiting() {
    let (script, begun, step) = led();
    let engine = engine(4, [script, Script::Say(&["a", "b"])]);
    let (running, running_events) = recorded();
    let (waiting, waiting_events) = recorded();
    let (last, last_events) = recorded();
    let running = engine.submit(request(running)).expect("there is room");
    let waiting = engine.submit(request(waiting)).expect("there is room");
    assert!(running.id < waiting.id);
    engine.submit(request(last)).expect("there is room");
    begun.recv().expect("the first runs");
    step.send(()).expect("it listens");
    assert_eq!(running_events.recv().as_deref(), Ok("text x"));
    waiting.cancel.cancel();
    running.cancel.cancel();
    step.send(()).expect("it listens");
    assert_eq!(all(running_events), ["failed: the request was cancelled"]);
    // It never reaches the model: the next script is the last request's.
    assert_eq!(all(waiting_events), ["failed: the request was cancelled"]);
    assert_eq!(all(last_events).last().map(String::as_str), Some(DONE_AB));
}

#[test]
fn a_sink_that_breaks_is_not_called_again() {
    let engine = engine(4, [Script::Say(&["a", "b"]), Script::Say(&["a", "b"])]);
    let (sender, calls) = channel();
    let sink: Sink = Box::new(move |event| {
        sender.send(matches!(event, Event::Text(_))).expect("the test listens");
        ControlFlow::Break(())
    });
    engine.submit(request(sink)).expect("there is room");
    assert_eq!(calls.into_iter().collect::<Vec<_>>(), [true]);
    let (sink, events) = recorded();
    engine.submit(request(sink)).expect("there is room");
    assert_eq!(all(events).len(), 3);
    assert_eq!(engine.stats().failed, 1);
}

#[test]
fn a_deadline_passes_in_the_queue_too() {
    let (script, begun, step) = led();
    let engine = engine(4, [script]);
    let (running, running_events) = recorded();
    let (waiting, waiting_events) = recorded();
    engine.submit(request(running)).expect("there is room");
    begun.recv().expect("the first runs");
    engine
        .submit(request(waiting).with_deadline(Instant::now()))
        .expect("there is room");
    drop(step);
    assert_eq!(all(running_events).len(), 1);
    let events = all(waiting_events);
    assert_eq!(events.len(), 1);
    assert!(
        events[0].starts_with("failed: the request's deadline passed after"),
        "{events:?}"
    );
}

#[test]
fn trouble_stays_with_its_request() {
    let engine = engine(
        8,
        [
            Script::Panic,
            Script::Fail,
            Script::Say(&["a", "b"]),
            Script::Say(&["a", "b"]),
        ],
    );
    let (panicking, panicked) = recorded();
    let (failing, failed) = recorded();
    let bad_sink: Sink = Box::new(|_| panic!("a sink with a bug"));
    let (good, good_events) = recorded();
    for sink in [panicking, failing, bad_sink, good] {
        engine.submit(request(sink)).expect("there is room");
    }
    assert_eq!(all(panicked), ["failed: a bug stopped this request: the roof fell in"]);
    assert_eq!(
        all(failed),
        ["failed: the model's logits for token 3 of the answer are not finite"]
    );
    assert_eq!(all(good_events), ["text a", "text b", DONE_AB]);
    let stats = engine.stats();
    assert_eq!((stats.completed, stats.failed), (1, 3));
}

#[test]
fn draining_finishes_what_was_accepted() {
    let (script, begun, step) = led();
    let engine = engine(4, [script, Script::Say(&["a", "b"])]);
    let (first, first_events) = recorded();
    let (second, second_events) = recorded();
    engine.submit(request(first)).expect("there is room");
    engine.submit(request(second)).expect("there is room");
    begun.recv().expect("the first runs");
    assert!(!engine.drain(Duration::ZERO));
    let (late, late_events) = recorded();
    assert_eq!(
        engine.submit(request(late)).expect_err("closed"),
        SubmitError::ShuttingDown
    );
    assert!(all(late_events).is_empty());
    drop(step);
    assert!(engine.drain(Duration::from_secs(60)));
    assert_eq!(all(first_events).len(), 1);
    assert_eq!(all(second_events).last().map(String::as_str), Some(DONE_AB));
}

#[test]
fn dropping_gives_up_what_runs_and_what_waits() {
    let (script, begun, step) = led();
    let engine = engine(4, [script]);
    let (first, first_events) = recorded();
    let (second, second_events) = recorded();
    engine.submit(request(first)).expect("there is room");
    engine.submit(request(second)).expect("there is room");
    begun.recv().expect("the first runs");
    engine.stop();
    drop(step);
    drop(engine);
    assert_eq!(all(first_events), ["failed: the engine is shutting down"]);
    assert_eq!(all(second_events), ["failed: the engine is shutting down"]);
}

#[test]
fn generate_waits_for_the_end() {
    let engine = engine(4, [Script::Say(&["a", "b"]), Script::Fail]);
    let Request { prompt, decoding, .. } = request(Box::new(|_| ControlFlow::Continue(())));
    assert_eq!(engine.generate(prompt, decoding).expect("an answer").text, "ab");
    let Request { prompt, decoding, .. } = request(Box::new(|_| ControlFlow::Continue(())));
    assert!(matches!(
        engine.generate(prompt, decoding),
        Err(GenerateError::Engine(EngineError::NotFinite { token: 3 }))
    ));
}

#[test]
fn requests_take_turns() {
    let (led, begun, step) = led();
    let engine = side_by_side(2, 8, [led, Script::Say(&["a", "b"]), Script::Say(&["a", "b"])]);
    let (slow, slow_events) = recorded();
    engine.submit(request(slow)).expect("there is room");
    begun.recv().expect("the first runs");
    let (second, second_events) = recorded();
    let (third, third_events) = recorded();
    engine.submit(request(second)).expect("there is room");
    engine.submit(request(third)).expect("there is room");
    // Each turn of the first lets the others have one; the third joins when the second is done.
    for events in [second_events, third_events] {
        for expected in ["text a", "text b", DONE_AB] {
            loop {
                step.send(()).expect("it listens");
                if let Ok(event) = events.recv_timeout(Duration::from_millis(20)) {
                    assert_eq!(event, expected);
                    break;
                }
            }
        }
    }
    drop(step);
    let events = all(slow_events);
    assert!(
        events.last().is_some_and(|event| event.starts_with("done xxxxx")),
        "{events:?}"
    );
    assert_eq!((engine.stats().completed, engine.stats().running), (3, 0));
}

#[test]
fn a_request_that_needs_all_the_memory_runs_alone() {
    let (led, begun, step) = led();
    let engine = side_by_side(4, 8, [led, Script::Say(&["a", "b"])]);
    let (slow, slow_events) = recorded();
    engine.submit(request(slow)).expect("there is room");
    begun.recv().expect("the first runs");
    let (sink, events) = recorded();
    let Request { prompt, sink, .. } = request(sink);
    let decoding = Decoding::new(DecodingOptions {
        max_new_tokens: 10_000,
        ..DecodingOptions::default()
    });
    engine
        .submit(Request::new(prompt, decoding.expect("valid"), sink))
        .expect("there is room");
    for _ in 0..5 {
        step.send(()).expect("it listens");
    }
    assert_eq!((engine.stats().queued, engine.stats().running), (1, 1));
    drop(step);
    assert_eq!(all(slow_events).len(), 6);
    assert_eq!(all(events).last().map(String::as_str), Some(DONE_AB));
}

#[test]
fn a_step_that_fails_ends_those_in_it_and_no_others() {
    let engine = side_by_side(1, 8, [Script::Say(&["break"]), Script::Say(&["a", "b"])]);
    let (first, first_events) = recorded();
    let (second, second_events) = recorded();
    engine.submit(request(first)).expect("there is room");
    engine.submit(request(second)).expect("there is room");
    let failed = "failed: the step that this request shared with others failed: the model's logits for token 9 of the answer are \
                  not finite";
    assert_eq!(all(first_events), ["text break", failed]);
    assert_eq!(all(second_events).last().map(String::as_str), Some(DONE_AB));
}

#[test]
fn a_full_lane_does_not_hold_up_another() {
    let (first, begun, step) = led();
    let says = std::iter::repeat_with(|| Script::Say(&["a"])).take(102);
    let engine = engine(1000, std::iter::once(first).chain(says));
    let (sender, ended) = channel();
    let submit = |lane: &'static str| {
        let sender = sender.clone();
        let sink: Sink = Box::new(move |event| {
            if matches!(event, Event::Done(_)) {
                sender.send(lane).expect("the test listens");
            }
            ControlFlow::Continue(())
        });
        engine.submit(request(sink).in_lane(lane)).expect("there is room");
    };
    for _ in 0..=100 {
        submit("full");
    }
    begun.recv().expect("the first runs");
    submit("other");
    submit("third");
    // The one that runs: 3 tokens of a prompt and 256 of an answer.
    assert_eq!((engine.stats().queued, engine.stats().cache_tokens), (102, 259));
    drop(step);
    let order: Vec<_> = ended.iter().take(103).collect();
    assert_eq!(order[..5], ["full", "full", "other", "third", "full"]);
    assert_eq!(engine.stats().cache_tokens, 0);
}

#[test]
fn those_who_have_left_keep_nobody_out() {
    let (script, begun, step) = led();
    let engine = engine(2, [script, Script::Say(&["a", "b"])]);
    let (first, _first_events) = recorded();
    engine.submit(request(first)).expect("nothing waits");
    begun.recv().expect("the first runs");
    let gone = [(); 2].map(|()| {
        let (sink, events) = recorded();
        let ticket = engine.submit(request(sink)).expect("two may wait");
        (ticket, events)
    });
    for (ticket, _) in &gone {
        ticket.cancel.cancel();
    }
    let (last, last_events) = recorded();
    engine.submit(request(last)).expect("whoever has left has no place");
    for (_, events) in gone {
        assert_eq!(all(events), ["failed: the request was cancelled"]);
    }
    assert_eq!((engine.stats().queued, engine.stats().refused), (1, 0));
    drop(step);
    assert_eq!(all(last_events).last().map(String::as_str), Some(DONE_AB));
}

/// The room is 10,000 tokens here, and a request may come to have 3 and what it asks for.
#[test]
fn a_lane_leaves_some_memory_to_the_others() {
    let scripts = [led(), led()];
    let [(first, first_begun, first_step), (other, other_begun, other_step)] = scripts;
    let engine = side_by_side(4, 4, [first, other, Script::Say(&["a", "b"])]);
    let large = |sink, lane: &str| {
        let decoding = Decoding::new(DecodingOptions {
            max_new_tokens: 4_500,
            ..DecodingOptions::default()
        });
        Request {
            decoding: decoding.expect("a valid number"),
            ..request(sink).in_lane(lane)
        }
    };
    let ((one, _one), (two, two_events), (small, _small)) = (recorded(), recorded(), recorded());
    engine.submit(large(one, "chat")).expect("there is room");
    first_begun.recv().expect("the first runs");
    // Two of them would leave less than an eighth.
    engine.submit(large(two, "chat")).expect("there is room");
    engine
        .submit(request(small).in_lane("summaries"))
        .expect("there is room");
    first_step.send(()).expect("it listens");
    other_begun.recv().expect("another lane's runs before it");
    assert_eq!(engine.stats().queued, 1);
    drop((first_step, other_step));
    assert_eq!(all(two_events).last().map(String::as_str), Some(DONE_AB));
}
