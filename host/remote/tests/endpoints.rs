//! What endpoints do wrong, and what becomes of the requests then.

mod fake;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fake::{FIRST, Fake, LENGTH, MOST, Manner};
use transducer_backbone::{DeviceChoice, DtypeChoice, Embedder, LoadOptions};
use transducer_engine::{
    Completion, Decoding, DecodingOptions, Engine, EngineError, Event, FinishReason, PromptEmbeddings, Request,
    SubmitError,
};
use transducer_remote::{EndpointState, RemoteEngine, RemoteError, RemoteOptions};

/// Longer than any of these servers needs, and shorter than who waits for the test.
const PATIENCE: Duration = Duration::from_millis(700);

fn embedder() -> Arc<Embedder> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny-llama");
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::Bf16,
        ..LoadOptions::default()
    };
    Arc::new(Embedder::load(&model, &options).expect("a valid model"))
}

fn options(fakes: &[&Fake]) -> RemoteOptions {
    RemoteOptions {
        endpoints: fakes.iter().map(|fake| fake.address.clone()).collect(),
        patience: PATIENCE,
        ..RemoteOptions::default()
    }
}

fn engine(fakes: &[&Fake]) -> RemoteEngine {
    RemoteEngine::start(embedder(), options(fakes)).unwrap_or_else(|error| panic!("{error}"))
}

fn prompt() -> PromptEmbeddings {
    let embedder = embedder();
    let embeddings = embedder.embed(&[5, 6, 7]).expect("ids of the vocabulary");
    PromptEmbeddings::new(&embeddings, &embedder).expect("a prompt")
}

fn decoding(change: impl FnOnce(&mut DecodingOptions)) -> Decoding {
    let mut options = DecodingOptions {
        max_new_tokens: MOST,
        ..DecodingOptions::default()
    };
    change(&mut options);
    Decoding::new(options).expect("valid options")
}

/// A request's events, as they come.
fn ask(engine: &RemoteEngine) -> Receiver<Event> {
    let (sender, receiver) = channel();
    let sink = Box::new(move |event| match sender.send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    });
    engine
        .submit(Request::new(prompt(), decoding(|_| ()), sink))
        .expect("there is room");
    receiver
}

/// The end of a request; the pieces of its text are what its completion says.
#[track_caller]
fn end(events: &Receiver<Event>) -> Result<Completion, EngineError> {
    let mut text = String::new();
    loop {
        match events.recv_timeout(Duration::from_secs(20)).expect("an end") {
            Event::Text(piece) => text.push_str(&piece),
            Event::Done(completion) => {
                assert_eq!(text, completion.text);
                return Ok(completion);
            }
            Event::Failed(error) => return Err(error),
        }
    }
}

/// The whole answer, each token once.
#[track_caller]
fn check_whole(completion: &Completion) {
    let ids: Vec<u32> = (FIRST..).take(LENGTH).collect();
    assert_eq!(completion.ids, ids);
    assert_eq!(completion.text, embedder().tokenizer().decode(&ids));
    assert_eq!(completion.finish_reason, FinishReason::EndToken);
    assert_eq!(
        (completion.usage.prompt_tokens, completion.usage.completion_tokens),
        (3, LENGTH + 1)
    );
}

#[track_caller]
fn check_failure(events: &Receiver<Event>, expected: &str) {
    let error = end(events).expect_err("it fails").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_answer_comes_in_pieces_and_ends() {
    let fake = Fake::start(Manner::Well);
    let engine = engine(&[&fake]);
    check_whole(&end(&ask(&engine)).expect("an answer"));
    let stats = engine.stats();
    assert_eq!(
        (stats.completed, stats.running, stats.completion_tokens),
        (1, 0, 1 + LENGTH as u64)
    );
    assert_eq!(engine.context(), Some(100));
}

#[test]
fn stop_strings_and_lengths_end_an_answer() {
    let fake = Fake::start(Manner::Well);
    let engine = engine(&[&fake]);
    let tokenizer_text = |ids: &[u32]| embedder().tokenizer().decode(ids);
    let stop = tokenizer_text(&[FIRST + 3, FIRST + 4]);
    let stopped = engine
        .generate(prompt(), decoding(|options| options.stop = vec![stop]))
        .expect("an answer");
    assert_eq!(stopped.finish_reason, FinishReason::StopString);
    assert_eq!(stopped.text, tokenizer_text(&[FIRST, FIRST + 1, FIRST + 2]));
}

#[test]
fn what_an_endpoint_loses_another_goes_on_with() {
    for lost_after in [0, 1, 7, LENGTH] {
        let (dying, well) = (Fake::start(Manner::DiesAfter(lost_after)), Fake::start(Manner::Well));
        let engine = engine(&[&dying, &well]);
        let asked: Vec<_> = (0..6).map(|_| ask(&engine)).collect();
        for events in &asked {
            check_whole(&end(events).expect("an answer"));
        }
        assert!(dying.streams() > 0, "it was asked");
        let states: Vec<_> = engine.endpoints().iter().map(|endpoint| endpoint.state).collect();
        assert_eq!(states, [EndpointState::Down, EndpointState::Up]);
    }
}

#[test]
fn what_goes_wrong_in_a_stream_is_asked_for_elsewhere() {
    for manner in [Manner::Garbage, Manner::GivesUp, Manner::Hangs] {
        let (bad, well) = (Fake::start(manner), Fake::start(Manner::Well));
        let engine = engine(&[&bad, &well]);
        let asked = [ask(&engine), ask(&engine)];
        for events in &asked {
            check_whole(&end(events).expect("an answer"));
        }
        assert_eq!((bad.streams(), well.streams()), (1, 2), "{manner:?}");
    }
}

#[test]
fn one_that_is_busy_is_asked_again() {
    let fake = Fake::start(Manner::BusyFor(2));
    let engine = engine(&[&fake]);
    check_whole(&end(&ask(&engine)).expect("an answer"));
    assert_eq!(fake.streams(), 3);
}

#[test]
fn a_request_that_is_refused_fails_at_once() {
    let (a, b) = (Fake::start(Manner::Refuses), Fake::start(Manner::Refuses));
    let engine = engine(&[&a, &b]);
    let failed = end(&ask(&engine)).expect_err("it fails");
    assert!(matches!(failed, EngineError::Refused(_)), "{failed}");
    assert!(
        failed.to_string().contains("(400): hidden_size 32 does not match"),
        "{failed}"
    );
    assert_eq!(a.streams() + b.streams(), 1);
}

#[test]
fn when_all_are_lost_requests_fail_by_name() {
    let fake = Fake::start(Manner::DiesAfter(2));
    let engine = engine(&[&fake]);
    let error = end(&ask(&engine)).expect_err("nobody is left");
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
    let error = error.to_string();
    assert!(error.starts_with("no endpoint can be used, for "), "{error}");
    assert!(error.contains(&format!(" now: {}: ", fake.address)), "{error}");
    // From now on nobody waits.
    let begun = Instant::now();
    check_failure(&ask(&engine), "no endpoint can be used");
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(engine.stats().failed, 2);
}

#[test]
fn one_that_fails_every_time_is_not_asked_for_ever() {
    let fake = Fake::start(Manner::BusyFor(usize::MAX));
    let engine = engine(&[&fake]);
    check_failure(&ask(&engine), "given up after 5 attempts; at the last, ");
    assert_eq!(fake.streams(), 5);
}

#[test]
fn an_answer_that_nobody_wants_is_given_up_there_too() {
    let fake = Fake::start(Manner::Slow(Duration::from_millis(50)));
    let engine = engine(&[&fake]);
    let (sender, receiver) = channel();
    let sink = Box::new(move |event| {
        sender.send(event).expect("this test reads");
        ControlFlow::Continue(())
    });
    let ticket = engine
        .submit(Request::new(prompt(), decoding(|_| ()), sink))
        .expect("there is room");
    assert!(matches!(receiver.recv(), Ok(Event::Text(_))));
    ticket.cancel.cancel();
    let last = receiver.iter().last();
    assert!(matches!(last, Some(Event::Failed(EngineError::Cancelled))), "{last:?}");
    let begun = Instant::now();
    while fake.dropped() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the server goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_deadline_ends_a_request_that_waits() {
    let fake = Fake::start(Manner::Hangs);
    let engine = engine(&[&fake]);
    let (sender, receiver) = channel();
    let sink = Box::new(move |event| {
        sender.send(event).expect("this test reads");
        ControlFlow::Continue(())
    });
    let deadline = Instant::now() + Duration::from_millis(100);
    let request = Request::new(prompt(), decoding(|_| ()), sink).with_deadline(deadline);
    engine.submit(request).expect("there is room");
    let last = receiver.iter().last();
    assert!(
        matches!(last, Some(Event::Failed(EngineError::DeadlineExceeded { .. }))),
        "{last:?}"
    );
}

/// While the only endpoint is busy: whoever has left makes room, and a deadline is a deadline.
#[test]
fn those_who_wait_are_given_up_while_endpoints_are_busy() {
    let fake = Fake::start(Manner::Hangs);
    let narrow = RemoteOptions {
        requests: 1,
        ..options(&[&fake])
    };
    let engine = RemoteEngine::start(embedder(), narrow).expect("it is up");
    let _asked = ask(&engine);
    while fake.streams() == 0 {
        std::thread::yield_now();
    }
    let wait = |deadline: Option<Instant>| {
        let (sender, receiver) = channel();
        let sink = Box::new(move |event| {
            sender.send(event).expect("this test reads");
            ControlFlow::Continue(())
        });
        let mut request = Request::new(prompt(), decoding(|_| ()), sink);
        request.deadline = deadline;
        (engine.submit(request).expect("there is room"), receiver)
    };
    let (ticket, left) = wait(None);
    let (_, late) = wait(Some(Instant::now() + Duration::from_millis(100)));
    ticket.cancel.cancel();
    assert!(matches!(end(&left), Err(EngineError::Cancelled)));
    assert!(matches!(end(&late), Err(EngineError::DeadlineExceeded { .. })));
    let stats = engine.stats();
    assert_eq!((stats.queued, stats.running, stats.failed), (0, 1, 2));
}

#[test]
fn what_is_too_much_is_refused() {
    let fake = Fake::start(Manner::Slow(Duration::from_millis(20)));
    let narrow = RemoteOptions {
        requests: 1,
        queue_bound: 1,
        ..options(&[&fake])
    };
    let engine = RemoteEngine::start(embedder(), narrow).expect("it is up");
    let asked = [ask(&engine), ask(&engine)];
    let sink = Box::new(|_| ControlFlow::Continue(()));
    let third = engine.submit(Request::new(prompt(), decoding(|_| ()), sink));
    assert_eq!(third.err(), Some(SubmitError::QueueFull { bound: 1 }));
    for events in &asked {
        check_whole(&end(events).expect("an answer"));
    }

    let small = RemoteOptions {
        prompt_bytes: Some(700),
        ..options(&[&fake])
    };
    let engine = RemoteEngine::start(embedder(), small).expect("it is up");
    check_failure(&ask(&engine), "and 700 may be sent (--backbone-prompt-bytes)");
    let beams = engine.generate(prompt(), decoding(|options| options.beams = 2));
    let error = beams.expect_err("no server has them").to_string();
    assert!(error.contains("2 beams"), "{error}");
}

#[test]
fn an_engine_starts_with_servers_that_fit_only() {
    let start = |fakes: &[&Fake]| RemoteEngine::start(embedder(), options(fakes)).map(|_| ());
    let (well, absent) = (Fake::start(Manner::Well), Fake::start(Manner::Absent));
    // One is enough.
    assert_eq!(start(&[&well, &absent]), Ok(()));
    let none = start(&[&absent]).expect_err("nobody is there");
    assert!(matches!(none, RemoteError::NoEndpoint { .. }), "{none}");
    assert!(none.to_string().contains("no connection"), "{none}");
    let other = start(&[&well, &Fake::start(Manner::OtherModel)]).expect_err("another model");
    assert!(
        other
            .to_string()
            .contains("goes on with [0, 2, 3] after a prompt's token ids, and with [1, 2, 3]"),
        "{other}"
    );
    let no_ids = start(&[&Fake::start(Manner::NoTokenIds)]).expect_err("text only");
    assert!(no_ids.to_string().contains("return_token_ids"), "{no_ids}");
    let named = RemoteOptions {
        model: Some("other".to_owned()),
        ..options(&[&well])
    };
    let error = RemoteEngine::start(embedder(), named)
        .map(|_| ())
        .expect_err("no such model");
    assert!(
        error
            .to_string()
            .contains("does not serve \"other\", but [\"counting\"]"),
        "{error}"
    );
}

/// An engine that is dropped tells those who wait.
#[test]
fn an_engine_that_goes_ends_its_requests() {
    let fake = Fake::start(Manner::Hangs);
    let engine = engine(&[&fake]);
    let events = ask(&engine);
    while fake.streams() == 0 {
        std::thread::yield_now();
    }
    drop(engine);
    check_failure(&events, "shutting down");
}
