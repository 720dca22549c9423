//! What becomes of requests when the adapters do not all have room in memory.

mod common;

use std::ops::ControlFlow;

use common::{Adapters, REQUEST, ask, weights, written};
use transducer_pipeline::{AdapterState, CancelToken, Event, Host, Request, RequestError, ResidencyOptions, Service};

/// Two adapters with nothing in common.
fn two() -> Adapters {
    let (first, second) = (weights(1, |_| ()), weights(2, |_| ()));
    Adapters::new()
        .add("one", Some(&first))
        .rebuild("one")
        .add("two", Some(&second))
        .rebuild("two")
}

/// Room for one adapter, since the last one always stays.
fn room_for_one() -> ResidencyOptions {
    ResidencyOptions {
        memory: 1,
        ..ResidencyOptions::default()
    }
}

/// Which generation answers, and what.
fn answered(host: &Host, name: &str) -> (String, String) {
    let (answer, text) = ask(host, name, REQUEST).unwrap();
    (answer.generation, text)
}

fn is_resident(host: &Host, name: &str) -> bool {
    let status = host.adapters().into_iter().find(|status| status.name == name).unwrap();
    assert!(matches!(status.state, AdapterState::Ready(_)), "{status:?}");
    status.resident
}

#[test]
fn with_room_for_one_all_answer_as_with_room_for_all() {
    let adapters = two();
    let roomy = adapters.load();
    let expected = ["one", "two"].map(|name| (name, answered(&roomy, name)));
    assert_ne!(expected[0].1.1, expected[1].1.1, "their weights are others");
    let everything = roomy.residency();
    assert_eq!((everything.evicted, everything.brought_back), (0, 0));

    let host = adapters.load_within(room_for_one());
    let before: Vec<_> = host.adapters().into_iter().map(|status| status.state).collect();
    // Either may have been loaded last.
    answered(&host, "two");
    let begun = host.residency();
    assert!((1..=2).contains(&begun.evicted) && begun.brought_back + 1 == begun.evicted);
    for round in 1..=2 {
        for (name, expected) in &expected {
            assert_eq!(answered(&host, name), *expected);
            // Again at once: it is there now.
            assert_eq!(answered(&host, name), *expected);
            let other = if *name == "one" { "two" } else { "one" };
            assert_eq!((is_resident(&host, name), is_resident(&host, other)), (true, false));
        }
        let now = host.residency();
        let since = (now.brought_back - begun.brought_back, now.evicted - begun.evicted);
        assert_eq!(since, (2 * round, 2 * round));
    }
    let now = host.residency();
    assert_eq!(
        (now.budget_bytes, 2 * now.held_bytes),
        (1, everything.held_bytes),
        "they are of one size"
    );
    let after: Vec<_> = host.adapters().into_iter().map(|status| status.state).collect();
    assert_eq!(
        format!("{before:?}"),
        format!("{after:?}"),
        "what is known of them stays"
    );
    assert_eq!(host.reloads().loaded, 2, "nothing was loaded from the directory");
}

#[test]
fn a_task_that_adapters_share_counts_once() {
    let trained = weights(1, |_| ());
    let held = |adapters: &Adapters| adapters.load().residency().held_bytes;
    let one = held(&Adapters::new().add("one", Some(&trained)));
    let sharing = held(&Adapters::new().add("one", Some(&trained)).add("two", Some(&trained)));
    let apart = held(&two());
    let (weights, task) = (sharing - one, apart - sharing);
    assert_eq!(one, weights + task);
    // The file has a header besides.
    let file = trained.len() as u64;
    assert!(
        (file / 2..=file).contains(&weights),
        "{weights} bytes of weights in a file of {file}"
    );
    let component = std::fs::metadata("../../adapters/summarize-java/task.wasm")
        .unwrap()
        .len();
    assert!(task > component, "{task} bytes compiled from {component}");
}

#[test]
fn an_evicted_adapter_answers_whatever_became_of_its_bundle() {
    let adapters = two();
    let host = adapters.load_within(room_for_one());
    let (one, two) = (answered(&host, "one"), answered(&host, "two"));
    let weights = adapters.0.path().join("one/transducer.safetensors");
    let good = std::fs::read(&weights).unwrap();
    let evict = || {
        assert_eq!(answered(&host, "two"), two);
        assert!(!is_resident(&host, "one"));
    };

    std::fs::write(&weights, &good[..good.len() / 2]).unwrap();
    assert_eq!(answered(&host, "one"), one, "before the host has looked");
    evict();
    host.reload().unwrap();
    assert!(!is_resident(&host, "one"));
    assert_eq!(answered(&host, "one"), one, "after it");
    let status = host.adapters().remove(0);
    assert!(status.last_error.is_some_and(|error| error.contains("transducer")));

    evict();
    std::fs::remove_dir_all(adapters.0.path().join("one")).unwrap();
    assert_eq!(answered(&host, "one"), one, "its bundle is gone");
    evict();
    let held = host.residency().held_bytes;
    host.reload().unwrap();
    assert!(matches!(
        ask(&host, "one", REQUEST),
        Err(RequestError::UnknownAdapter { .. })
    ));
    assert_eq!(host.residency().held_bytes, held);
    std::fs::remove_dir_all(adapters.0.path().join("two")).unwrap();
    host.reload().unwrap();
    assert_eq!(host.residency().held_bytes, 0, "what is removed is held no longer");
}

#[test]
fn a_running_request_keeps_what_it_began_with() {
    let adapters = two();
    let host = adapters.load_within(room_for_one());
    let (one, two) = (answered(&host, "one"), answered(&host, "two"));
    let request = Request {
        adapter: "one",
        body: REQUEST,
        cancel: CancelToken::default(),
        time_limit: None,
    };
    let mut text = String::new();
    let running = host.answer(&request, &mut |event| {
        match event {
            Event::Started { .. } => {
                assert_eq!(answered(&host, "two"), two);
                assert!(!is_resident(&host, "one"));
                adapters.put("one", Some(b"broken"), |manifest| manifest);
                host.reload().unwrap();
            }
            Event::Text(piece) => text.push_str(&piece),
        }
        ControlFlow::Continue(())
    });
    assert_eq!((running.unwrap().generation, text), one);
}

#[test]
fn requests_at_once_bring_an_adapter_back_once() {
    let adapters = two();
    let host = adapters.load_within(room_for_one());
    let expected = answered(&host, "one");
    answered(&host, "two");
    let before = host.residency().brought_back;
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                assert_eq!(answered(&host, "one"), expected);
            });
        }
    });
    assert_eq!(host.residency().brought_back, before + 1);

    // And both at once, with room for one.
    let expected = [("one", expected), ("two", answered(&host, "two"))];
    std::thread::scope(|scope| {
        for (name, expected) in expected.iter().cycle().take(6) {
            let host = &host;
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(answered(host, name), *expected);
                }
            });
        }
    });
}

/// Linux lets a test get at a file that has no name.
#[cfg(target_os = "linux")]
#[test]
fn a_lost_copy_is_an_error_until_the_bundle_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let residency = ResidencyOptions {
        dir: Some(dir.path().to_owned()),
        ..room_for_one()
    };
    let adapters = two();
    let host = adapters.load_within(residency);
    let one = answered(&host, "one");
    let two = answered(&host, "two");
    let copies = std::fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let is_it = std::fs::read_link(&path).is_ok_and(|target| target.starts_with(dir.path()));
        is_it.then_some(path)
    });
    let copies = std::fs::OpenOptions::new().write(true).open(copies.unwrap()).unwrap();
    copies.set_len(100).unwrap();

    let error = ask(&host, "one", REQUEST).unwrap_err();
    assert!(matches!(error, RequestError::Lost { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["adapter one", &one.0, dir.path().to_str().unwrap(), "install it again"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert_eq!(answered(&host, "two"), two, "the host goes on");

    host.reload().unwrap();
    assert_eq!(answered(&host, "one"), one);
    assert!(ask(&host, "two", REQUEST).is_err(), "its copy was lost too");
    host.reload().unwrap();
    for _ in 0..2 {
        assert_eq!(answered(&host, "two"), two);
        assert_eq!(written(&host, "one", REQUEST), one.1);
    }
}
