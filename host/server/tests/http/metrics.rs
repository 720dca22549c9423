//! What is counted.

use transducer_server::Options;

use crate::support::*;

#[test]
fn metrics_count_what_happened() {
    let server = Running::ready_with(Options {
        allow_changes: true,
        ..Options::default()
    });
    server.ask("PUT", "/v1/adapters/new", "", "1.0.0");
    server.ask("PUT", "/v1/adapters/evicted", "", "1.0.0");
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
        "transducer_num_requests_waiting 5",
        "transducer_num_requests_running 3",
        "transducer_kv_cache_usage_perc 0.75",
        r#"transducer_kv_cache_tokens{state="budget"} 400"#,
        r#"transducer_adapter_loaded{adapter="new",generation="g2"} 1"#,
        r#"transducer_adapter_loaded{adapter="evicted",generation="g2"} 0"#,
        r#"transducer_adapter_memory_bytes{state="used"} 1500"#,
        r#"transducer_adapter_memory_bytes{state="budget"} 2000"#,
        "transducer_adapters_evicted_total 11",
        "transducer_adapters_brought_back_total 10",
        "transducer_time_to_first_token_seconds_count 2",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
    let lora =
        r#"transducer_lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters="evicted"} "#;
    assert!(metrics.contains(lora), "{metrics}");
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
