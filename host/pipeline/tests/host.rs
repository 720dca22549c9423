//! A whole host around a tiny random model: what a bundle's weights do to an answer, and which bundles are refused.

mod common;

use std::ops::ControlFlow;
use std::time::Duration;

use common::{Adapters, HIDDEN, REQUEST, ask, weights, written};
use transducer_pipeline::{
    AdapterState, CancelToken, DecodingOptions, Event, GraphForm, GraphRequest, PlainInput, PlainRequest, Request,
    RequestError, Service,
};

#[test]
fn weights_change_the_answer_and_an_untrained_transducer_does_not() {
    let other_shape = |text: String| {
        text.replace("width = 12", "width = 8")
            .replace("layers = 2", "layers = 1")
    };
    let host = Adapters::new()
        .add("untrained", None)
        .add_edited("untrained-too", None, other_shape)
        .add("one", Some(&weights(1, |_| ())))
        .add("two", Some(&weights(2, |_| ())))
        .load();
    let frozen = written(&host, "untrained", REQUEST);
    assert!(!frozen.is_empty());
    assert_eq!(
        frozen,
        written(&host, "untrained-too", REQUEST),
        "whatever its shape, it changes nothing"
    );
    let (one, two) = (written(&host, "one", REQUEST), written(&host, "two", REQUEST));
    assert_ne!(frozen, one);
    assert_ne!(frozen, two);
    assert_ne!(one, two, "each adapter has weights of its own");
    assert_eq!(one, written(&host, "one", REQUEST), "and keeps them");
}

#[test]
fn requests_for_different_adapters_at_once_are_answered_as_if_alone() {
    let host = Adapters::new()
        .add("one", Some(&weights(1, |_| ())))
        .add("two", Some(&weights(2, |_| ())))
        .load();
    let alone = [written(&host, "one", REQUEST), written(&host, "two", REQUEST)];
    std::thread::scope(|scope| {
        let host = &host;
        let asked: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || written(host, ["one", "two"][number % 2], REQUEST)))
            .collect();
        for (number, thread) in asked.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), alone[number % 2]);
        }
    });
}

#[test]
fn an_answer_says_who_gave_it_and_where_the_time_went() {
    let host = Adapters::new().add("one", None).load();
    let (answer, text) = ask(&host, "one", REQUEST).unwrap();
    let AdapterState::Ready(info) = &host.adapters()[0].state else {
        panic!("the bundle is good")
    };
    assert_eq!((answer.adapter.as_str(), &answer.generation), ("one", &info.generation));
    assert!(
        !info.trained && answer.usage.prompt_tokens > REQUEST.len() / 4,
        "{answer:?}"
    );
    assert!(answer.usage.completion_tokens > 0 || text.is_empty());
    let stages: f64 = answer.timings.stages().iter().map(|(_, ms)| ms).sum();
    assert!(
        stages > 0.0 && stages <= answer.timings.total_ms,
        "{:?}",
        answer.timings
    );
}

/// The one bundle is broken, and says why.
#[track_caller]
fn check_broken(adapters: &Adapters, expected: &[&str]) {
    let host = adapters.load();
    let statuses = host.adapters();
    let AdapterState::Broken { error } = &statuses[0].state else {
        panic!("the bundle was accepted")
    };
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
    let refused = ask(&host, &statuses[0].name, REQUEST).unwrap_err();
    assert!(matches!(refused, RequestError::BrokenAdapter { .. }), "{refused}");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let good = weights(1, |_| ());
    check_broken(
        &Adapters::new().add("cut", Some(&good[..good.len() - 1])),
        &["transducer"],
    );
    check_broken(&Adapters::new().add("empty", Some(b"")), &["transducer"]);
    let narrow = weights(1, |config| config.width = 8);
    check_broken(&Adapters::new().add("narrow", Some(&narrow)), &["width", "12", "8"]);
    let other = weights(1, |config| config.hidden = 2 * HIDDEN);
    check_broken(&Adapters::new().add("other", Some(&other)), &["hidden"]);
    let mut poisoned = good;
    let end = poisoned.len();
    poisoned[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    check_broken(&Adapters::new().add("poisoned", Some(&poisoned)), &["transducer"]);
}

#[test]
fn bundles_for_another_host_are_refused() {
    let edited = |from: &'static str, to: &'static str| {
        Adapters::new().add_edited("edited", None, move |text| {
            assert!(text.contains(from), "nothing to replace");
            text.replace(from, to)
        })
    };
    check_broken(
        &edited("family = \"llama\"", "family = \"qwen2\""),
        &["family", "qwen2", "llama"],
    );
    check_broken(
        &edited("hidden-size = 32", "hidden-size = 64"),
        &["hidden size", "64", "32"],
    );
    check_broken(&edited("cpg-schema = 1", "cpg-schema = 99"), &["CPG schema 99"]);
    check_broken(
        &edited("languages = [\"java\"]", "languages = [\"cobol\"]"),
        &["`cobol`", "java"],
    );
    check_broken(&edited("heads = 2", "heads = 5"), &["heads"]);
    let asks = |limit: &'static str| {
        Adapters::new().add_edited("greedy", None, move |text| format!("{text}\n[limits]\n{limit}\n"))
    };
    check_broken(&asks("memory-mib = 1024"), &["1024 MiB", "at most 256 MiB"]);
    check_broken(&asks("deadline-ms = 6000"), &["6s", "at most 5s"]);
    // A megabyte is too little for this task, and the budget is what it asked for.
    check_broken(&asks("memory-mib = 1"), &["memory", "1048576"]);
}

#[test]
fn requests_that_cannot_be_answered_have_names() {
    let host = Adapters::new().add("one", None).load();
    let error = |body: &str| ask(&host, "one", body).unwrap_err();
    assert!(matches!(
        ask(&host, "two", REQUEST).unwrap_err(),
        RequestError::UnknownAdapter { .. }
    ));
    assert!(matches!(error("{}"), RequestError::Rejected(_)));
    assert!(matches!(error("nonsense"), RequestError::Rejected(_)));
    let long = format!(r#"{{"code": "{}"}}"#, "f(); ".repeat(2000));
    assert!(matches!(error(&long), RequestError::TooLong { .. }));
    assert!(
        !written(&host, "one", REQUEST).is_empty(),
        "and the next one is answered"
    );
}

#[test]
fn a_request_ends_when_nobody_wants_its_answer() {
    let host = Adapters::new().add("one", None).load();
    let cancel = CancelToken::default();
    cancel.cancel();
    let request = Request {
        adapter: "one",
        body: REQUEST,
        cancel,
        time_limit: None,
    };
    let error = host.answer(&request, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, RequestError::Cancelled), "{error}");

    let request = Request {
        cancel: CancelToken::default(),
        ..request
    };
    let error = host.answer(&request, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, RequestError::Cancelled), "{error}");

    let request = Request {
        time_limit: Some(Duration::ZERO),
        ..request
    };
    let error = host.answer(&request, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, RequestError::Deadline(_)), "{error}");
}

/// Tokens come one after the other here, without a pause in which to look; there are enough of them for a thread that has to wait.
#[test]
fn a_request_that_is_cancelled_writes_no_further() {
    let host = Adapters::new().load();
    let cancel = CancelToken::default();
    let request = PlainRequest {
        input: PlainInput::Prompt {
            text: "int f(int a) {",
            special: true,
        },
        most_tokens: Some(1900),
        decoding: DecodingOptions::default(),
        cancel: cancel.clone(),
        time_limit: None,
    };
    let mut heard = |event: Event| {
        if matches!(event, Event::Text(_)) {
            cancel.cancel();
        }
        ControlFlow::Continue(())
    };
    let error = host.complete(&request, &mut heard).unwrap_err();
    assert!(matches!(error, RequestError::Cancelled), "{error}");
}

#[test]
fn a_graph_is_drawn_or_written() {
    let host = Adapters::new().load();
    let edges = ["CFG".to_owned()];
    let ask = |language: &'static str, code: &'static str, form: GraphForm| {
        host.graph(&GraphRequest {
            language,
            code,
            edges: &edges,
            form,
        })
    };
    let code = "int f(int a) { return a; }";
    let picture = ask("java", code, GraphForm::Svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("return a"), "{picture}");
    let graph = ask("java", code, GraphForm::Json).unwrap();
    assert!(
        graph.starts_with('{') && graph.contains("CFG") && !graph.contains("REACHING_DEF"),
        "{graph}"
    );
    for (language, code, reason) in [
        ("cobol", code, "`language`: no front end for `cobol`"),
        ("java", "class A {}", "no control flow to draw"),
    ] {
        let error = ask(language, code, GraphForm::Svg).unwrap_err();
        assert!(
            matches!(&error, RequestError::Rejected(text) if text.contains(reason)),
            "{error}"
        );
    }
}
