//! `serve`, from its first line to its last.

use serde_json::json;

use crate::bundles::copy;
use crate::program::{Server, fixture, root, stdout};

#[test]
fn serves_three_tasks_from_one_model_and_stops_when_asked() {
    let mut server = Server::start(&[]);
    let (status, health) = server.get("/health");
    assert!(
        status == 503 && health["status"] == "loading" || status == 200,
        "{health}"
    );
    let said = server.wait_for("ready on ");
    for adapter in ["assert-java", "summarize-java", "translate-java-csharp"] {
        assert!(said.contains(adapter), "{said}");
    }
    let (_, adapters) = server.get("/v1/adapters");
    let generation = adapters["data"][1]["generation"].clone();
    assert_eq!(adapters["data"][1]["name"], "summarize-java");

    let method = "int twice(int x) { return 2 * x; }";
    let (status, answer) = server.post("/v1/tasks/summarize-java", &json!({"code": method}));
    assert_eq!((status, &answer["generation"]), (200, &generation), "{answer}");
    let text = answer["text"].as_str().unwrap();
    assert!(!text.is_empty());

    // The pieces that are streamed end in the same answer.
    let stream = server.post_for_text("/v1/tasks/summarize-java?stream=true", &json!({"code": method}));
    assert!(
        stream.starts_with("event: started") && stream.trim_end().ends_with("data: [DONE]"),
        "{stream}"
    );
    assert!(stream.matches("event: text").count() > 1, "{stream}");
    assert!(stream.contains(&serde_json::to_string(text).unwrap()), "{stream}");

    let test = std::fs::read_to_string(fixture("FractionTest.java")).unwrap();
    assert_eq!(server.post("/v1/tasks/assert-java", &json!({"code": test})).0, 200);
    assert_eq!(
        server
            .post("/v1/tasks/translate-java-csharp", &json!({"code": method}))
            .0,
        200
    );

    // Bad requests are answered, and the next good one is too.
    for (path, body, expected) in [
        ("/v1/tasks/nobody", json!({}), 404),
        ("/v1/tasks/summarize-java", json!({}), 400),
        ("/v1/tasks/summarize-java", json!({"code": 5}), 400),
        ("/v1/tasks/summarize-java", json!({"code": "x ".repeat(20_000)}), 400),
        ("/v1/tasks/summarize-java", json!({"code": "x".repeat(10 << 20)}), 413),
    ] {
        let (status, body) = server.post(path, &body);
        assert_eq!(status, expected, "{body}");
        assert!(body["error"]["message"].is_string(), "{body}");
    }
    assert_eq!(server.post("/v1/tasks/summarize-java", &json!({"code": method})).0, 200);

    server.terminate();
    server.wait_for("stopping");
    assert!(server.end(), "a server that was asked to stop ends with success");
}

#[test]
fn requests_at_once_are_all_answered_as_if_alone() {
    // In bf16 the products of one row and of several round differently, and with them now and then a word.
    let mut server = Server::start(&["--precision", "f32"]);
    server.wait_for("ready on ");
    let server = server;
    let text = |number: u32| {
        let request = json!({"code": format!("int f{number}(int x) {{ return x + {number}; }}")});
        let (status, body) = server.post("/v1/tasks/summarize-java", &request);
        assert_eq!(status, 200, "{body}");
        body["text"].clone()
    };
    let alone: Vec<_> = (0..4).map(text).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|number| scope.spawn(move || text(number))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
    server.terminate();
    assert!(server.end());
}

#[test]
fn a_taken_address_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = crate::program::failure(&["serve", "--listen", &address]);
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
}

#[test]
fn a_bundle_copied_into_a_running_server_answers_until_it_is_removed() {
    let adapters = tempfile::tempdir().unwrap();
    copy("assert-java", adapters.path(), None);
    let mut server = Server::start(&["--adapters", adapters.path().to_str().unwrap()]);
    server.wait_for("ready on ");
    let ask = || {
        server.post(
            "/v1/tasks/summarize-java",
            &json!({"code": "int twice(int x) { return 2 * x; }"}),
        )
    };
    assert_eq!(ask().0, 404);

    let becomes = |expected: u16| {
        let begun = std::time::Instant::now();
        loop {
            let (status, body) = ask();
            if status == expected {
                return body;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{status}: {body}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    copy("summarize-java", adapters.path(), None);
    let answer = becomes(200);
    assert!(!answer["text"].as_str().unwrap().is_empty(), "{answer}");
    std::fs::remove_dir_all(adapters.path().join("summarize-java")).unwrap();
    becomes(404);
    assert_eq!(server.get("/v1/adapters").1["data"].as_array().unwrap().len(), 1);

    // The same as one file.
    let archive = adapters.path().join("any-name.tadapter");
    let source = root().join("adapters/summarize-java");
    let elsewhere = tempfile::tempdir().unwrap();
    let packed = elsewhere.path().join("packed.tadapter");
    stdout(&["pack", source.to_str().unwrap(), "-o", packed.to_str().unwrap()]);
    std::fs::copy(&packed, &archive).unwrap();
    let again = becomes(200);
    assert_eq!(
        (&again["text"], &again["generation"]),
        (&answer["text"], &answer["generation"])
    );
    std::fs::remove_file(&archive).unwrap();
    becomes(404);
    server.terminate();
    assert!(server.end());
}

#[test]
fn with_memory_for_one_adapter_all_answer_as_with_memory_for_all() {
    let adapters = tempfile::tempdir().unwrap();
    let folder = adapters.path().to_str().unwrap();
    let names = ["assert-java", "summarize-java"];
    for name in names {
        copy(name, adapters.path(), None);
    }
    let test = std::fs::read_to_string(fixture("FractionTest.java")).unwrap();
    let ask = |server: &Server, name: &str| {
        let code = if name == "assert-java" {
            test.as_str()
        } else {
            "int twice(int x) { return 2 * x; }"
        };
        let (status, answer) = server.post(&format!("/v1/tasks/{name}"), &json!({"code": code}));
        assert_eq!(status, 200, "{answer}");
        (
            answer["generation"].clone(),
            answer["text"].clone(),
            answer["data"].clone(),
        )
    };
    let resident = |server: &Server| {
        let (_, list) = server.get("/v1/adapters");
        [0, 1].map(|index| list["data"][index]["resident"].as_bool().unwrap())
    };
    let started = |more: &[&str]| {
        let mut server = Server::start(&[&["--adapters", folder, "--precision", "f32"], more].concat());
        let said = server.wait_for("ready on ");
        // Or told that there are too few.
        let is_told = said.contains("physical core") || said.contains("bound to a core each");
        assert_eq!(is_told, more.contains(&"--bind-threads"), "{said}");
        server
    };
    let roomy = started(&[]);
    let expected = names.map(|name| ask(&roomy, name));
    assert_eq!(resident(&roomy), [true, true]);
    drop(roomy);

    let server = started(&["--adapter-memory", "1", "--bind-threads"]);
    // Which of the two was read last, and is in memory, is the threads' affair: from here on it is the second.
    assert_eq!(ask(&server, names[1]), expected[1]);
    let count = |name: &str| -> u64 {
        let metrics = server.get_for_text("/metrics");
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("{name} is not in\n{metrics}"))
            .parse()
            .unwrap()
    };
    let moved = || ["evicted", "brought_back"].map(|what| count(&format!("transducer_adapters_{what}_total")));
    let before = moved();
    for _ in 0..2 {
        assert_eq!(ask(&server, names[0]), expected[0]);
        assert_eq!(resident(&server), [true, false]);
        assert_eq!(ask(&server, names[1]), expected[1]);
        assert_eq!(resident(&server), [false, true]);
    }
    assert_eq!(moved(), before.map(|count| count + 4));
    assert_eq!(count(r#"transducer_adapter_memory_bytes{state="budget"}"#), 1 << 20);
    assert_eq!(count("transducer_bundles_loaded_total"), 2);

    // Its bundle is replaced by a broken one while it is not in memory.
    std::fs::write(adapters.path().join("assert-java/transducer.safetensors"), b"half").unwrap();
    let begun = std::time::Instant::now();
    while server.get("/v1/adapters").1["data"][0]["last_error"].is_null() {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(60),
            "it was not noticed"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(resident(&server), [false, true]);
    assert_eq!(ask(&server, names[0]), expected[0]);
    server.terminate();
    assert!(server.end());
}

#[test]
fn a_check_fails_when_a_bundle_is_broken_and_serves_nothing() {
    let adapters = tempfile::tempdir().unwrap();
    copy("summarize-java", adapters.path(), None);
    std::fs::create_dir(adapters.path().join("half")).unwrap();
    std::fs::write(adapters.path().join("half/adapter.toml"), "schema = 1\n").unwrap();
    let checked = crate::program::run(&["serve", "--check", "--adapters", adapters.path().to_str().unwrap()]);
    assert!(!checked.success, "{}", checked.stderr);
    for text in [
        "summarize-java 0.",
        "half cannot be used",
        "adapter.toml",
        "1 of 2 adapters cannot be used",
    ] {
        assert!(checked.stderr.contains(text), "{text:?} is not in {}", checked.stderr);
    }
    assert!(!checked.stderr.contains("listening"), "{}", checked.stderr);
}
