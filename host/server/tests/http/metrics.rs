//! What is counted.

use transducer_server::Options;

use crate::support::*;

#[test]
fn metrics_count_what_happened() {
    let server = Running::ready();
    for name in ["echo", "echo", "picky", "made-up-1", "made-up-2"] {
        server.post(&format!("/v1/tasks/{name}"), b"{}");
    }
    let _running = server.send("/v1/tasks/slow", b"{}", "");
    server.slow_says("begun");
    let (head, metrics) = get_text(&server, "/metrics", "*/*");
    assert!(head.contains("openmetrics-text"), "{head}");
    for line in [
        r#"transducer_requests_total{adapter="echo",outcome="ok"} 2"#,
        r#"transducer_requests_total{adapter="picky",outcome="request_rejected"} 1"#,
        r#"transducer_requests_total{adapter="unknown",outcome="adapter_not_found"} 2"#,
        r#"transducer_stage_seconds_count{stage="decode"} 2"#,
        r#"transducer_tokens_total{kind="prompt"} 6"#,
        "transducer_requests_in_progress 1",
        r#"transducer_llm_requests{state="queued"} 5"#,
        r#"transducer_llm_requests{state="running"} 3"#,
        r#"transducer_adapters{state="broken"} 1"#,
        "transducer_bundles_failed_total 7",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
    assert!(!metrics.contains("made-up"), "clients cannot grow the table");
}

#[test]
fn metrics_are_there_while_the_host_loads() {
    let mut server = Running::loading(Options::default());
    server.post("/v1/tasks/echo", b"{}");
    let (head, metrics) = get_text(&server, "/metrics", "*/*");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        metrics.contains(r#"transducer_requests_total{adapter="unknown",outcome="loading"} 1"#),
        "{metrics}"
    );
    server.finish_loading(Ok(()));
}
