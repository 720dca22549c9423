//! What becomes of a running host when the adapters directory changes.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Adapters, REQUEST, ask, weights, written};
use transducer_pipeline::{AdapterState, CancelToken, Event, Host, Request, RequestError, Service};

/// Long enough for a watched change to be seen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn unchanged(manifest: String) -> String {
    manifest
}

/// The generation that answers, and why there is no newer one.
fn ready(host: &Host, name: &str) -> (String, Option<String>) {
    let status = host.adapters().into_iter().find(|status| status.name == name).unwrap();
    match status.state {
        AdapterState::Ready(info) => (info.generation, status.last_error),
        AdapterState::Broken { error } => panic!("{name}: {error}"),
    }
}

#[test]
fn a_name_moves_to_the_new_generation_and_a_running_request_does_not() {
    let (first, second) = (weights(1, |_| ()), weights(2, |_| ()));
    let adapters = Adapters::new().add("one", Some(&first));
    let host = adapters.load();
    let (old, text) = (ready(&host, "one").0, written(&host, "one", REQUEST));

    let request = Request {
        adapter: "one",
        body: REQUEST,
        cancel: CancelToken::default(),
        time_limit: None,
    };
    let mut heard = String::new();
    let running = host.answer(&request, &mut |event| {
        match event {
            Event::Started { generation, .. } => {
                assert_eq!(generation, old);
                adapters.put("one", Some(&second), unchanged);
                host.reload().unwrap();
                assert_ne!(ready(&host, "one").0, old, "the name has moved while the request runs");
            }
            Event::Text(piece) => heard.push_str(&piece),
        }
        ControlFlow::Continue(())
    });
    assert_eq!((running.unwrap().generation, heard), (old.clone(), text.clone()));

    let (new, _) = ready(&host, "one");
    let (answer, new_text) = ask(&host, "one", REQUEST).unwrap();
    assert_eq!(answer.generation, new);
    assert_ne!(new_text, text);

    adapters.put("one", Some(&first), unchanged);
    host.reload().unwrap();
    assert_eq!((ready(&host, "one").0, written(&host, "one", REQUEST)), (old, text));
}

#[test]
fn bundles_come_and_go() {
    let adapters = Adapters::new().add("one", None);
    let host = adapters.load();
    adapters.put("two", None, unchanged);
    assert!(matches!(
        ask(&host, "two", REQUEST),
        Err(RequestError::UnknownAdapter { .. })
    ));
    host.reload().unwrap();
    assert_eq!(written(&host, "two", REQUEST), written(&host, "one", REQUEST));
    let loaded = host.reloads().loaded;
    host.reload().unwrap();
    assert_eq!(host.reloads().loaded, loaded, "what did not change is not loaded again");

    std::fs::remove_dir_all(adapters.0.path().join("two")).unwrap();
    host.reload().unwrap();
    assert!(matches!(
        ask(&host, "two", REQUEST),
        Err(RequestError::UnknownAdapter { .. })
    ));
    assert_eq!(host.adapters().len(), 1);

    // A directory that is gone is a mistake of somebody's, not the removal of every adapter.
    let dir = adapters.0.path().to_owned();
    drop(adapters);
    let error = host.reload().unwrap_err().to_string();
    assert!(error.contains(dir.to_str().unwrap()), "{error}");
    assert!(!written(&host, "one", REQUEST).is_empty());
}

#[test]
fn a_broken_bundle_leaves_the_generation_before_it_serving() {
    let good = weights(1, |_| ());
    let adapters = Adapters::new().add("one", Some(&good));
    let host = adapters.load();
    let before = (ready(&host, "one").0, written(&host, "one", REQUEST));
    let dir = adapters.0.path().join("one");
    let cases: [(&str, &dyn Fn()); 5] = [
        ("transducer", &|| {
            adapters.put("one", Some(&good[..good.len() / 2]), unchanged);
        }),
        ("OTHER", &|| {
            adapters.put("one", Some(&good), |text| text.replace("AST", "OTHER"));
        }),
        ("hidden size", &|| {
            adapters.put("one", Some(&good), |text| {
                text.replace("hidden-size = 32", "hidden-size = 64")
            });
        }),
        ("its task", &|| {
            adapters.put("one", Some(&good), unchanged);
            std::fs::write(dir.join("task.wasm"), b"\0asm").unwrap();
        }),
        ("task.wasm", &|| {
            adapters.put("one", Some(&good), unchanged);
            std::fs::remove_file(dir.join("task.wasm")).unwrap();
        }),
    ];
    for (number, (reason, breaks)) in cases.into_iter().enumerate() {
        breaks();
        for _ in 0..2 {
            host.reload().unwrap();
            let (generation, error) = ready(&host, "one");
            let error = error.unwrap_or_else(|| panic!("{reason} was not noticed"));
            assert!(error.contains(reason), "{reason:?} is not in: {error}");
            assert_eq!((generation, written(&host, "one", REQUEST)), before);
        }
        assert_eq!(host.reloads().failed, number as u64 + 1, "a failure counts once");
    }
    adapters.put("one", Some(&good), unchanged);
    host.reload().unwrap();
    assert_eq!(ready(&host, "one"), (before.0, None), "restored");

    // One that never worked begins to once it is mended.
    adapters.put("new", Some(&good[..9]), unchanged);
    host.reload().unwrap();
    assert!(matches!(
        ask(&host, "new", REQUEST),
        Err(RequestError::BrokenAdapter { .. })
    ));
    adapters.put("new", Some(&good), unchanged);
    host.reload().unwrap();
    assert_eq!(written(&host, "new", REQUEST), before.1);
}

#[test]
fn requests_while_bundles_change_are_all_answered_by_what_they_say() {
    let both = [weights(1, |_| ()), weights(2, |_| ())];
    let adapters = Adapters::new().add("one", Some(&both[0]));
    let host = adapters.load();
    let mut texts = Vec::new();
    for weights in both.iter().rev() {
        adapters.put("one", Some(weights), unchanged);
        host.reload().unwrap();
        let (answer, text) = ask(&host, "one", REQUEST).unwrap();
        texts.push((answer.generation, text));
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0;
                    while !done.load(Ordering::Relaxed) || answers == 0 {
                        let (answer, text) = ask(&host, "one", REQUEST).unwrap();
                        assert!(texts.contains(&(answer.generation, text)), "an answer of no generation");
                        answers += 1;
                    }
                })
            })
            .collect();
        for round in 0..6 {
            let weights = &both[round % 2];
            adapters.put(
                "one",
                Some(if round % 3 == 2 { &weights[..50] } else { weights }),
                unchanged,
            );
            host.reload().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for thread in asking {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_watched_directory_needs_no_call() {
    let adapters = Adapters::new().add("one", None);
    let mut host = adapters.load();
    host.watch().unwrap();
    let becomes = |what: &str, reached: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !reached() {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", host.adapters());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let knows = |name: &str| host.adapters().iter().any(|status| status.name == name);
    adapters.put("two", None, unchanged);
    becomes("added", &|| knows("two"));
    adapters.put("two", Some(b"half"), unchanged);
    becomes("broken", &|| ready(&host, "two").1.is_some());
    adapters.put("two", Some(&weights(1, |_| ())), unchanged);
    becomes("mended", &|| ready(&host, "two").1.is_none());
    assert_ne!(written(&host, "two", REQUEST), written(&host, "one", REQUEST));
    std::fs::remove_dir_all(adapters.0.path().join("two")).unwrap();
    becomes("removed", &|| !knows("two"));
}
