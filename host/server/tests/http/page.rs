//! The page, and graphs.

use std::io::Read;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn the_page_is_whole_and_asks_nobody_else() {
    let server = Running::ready();
    let parts = [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ];
    let mut page = String::new();
    for (path, kind) in parts {
        let (head, body) = get_text(&server, path, "text/html,*/*;q=0.8");
        assert!(head.starts_with("http/1.1 200") && head.contains(kind), "{head}");
        let policy = head
            .lines()
            .find(|line| line.starts_with("content-security-policy: "))
            .unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        // The name of SVG's namespace is no address that anybody asks.
        let addresses = body.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=\"//", "href=\"//", "url(", "@import"] {
            assert!(!addresses.contains(outside), "{path} has {outside}");
        }
        if path == "/" {
            page = body;
        }
    }
    for (path, _) in &parts[1..] {
        assert!(page.contains(&format!("\"{path}\"")), "the page does not use {path}");
    }
    for inline in ["<style", "style=", "onclick", "<script>"] {
        assert!(!page.contains(inline), "the policy forbids {inline}");
    }
    let (_, index) = get_text(&server, "/", "application/json");
    let index: Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["name"], "transducer-host");
}

#[test]
fn a_graph_is_json_or_a_picture() {
    let server = Running::ready();
    let body = br#"{"language": "java", "code": "f();", "edges": ["CFG"]}"#;
    assert_eq!(server.post("/v1/cpg", body), (200, json!({"code": "f();"})));
    for (path, headers) in [("/v1/cpg?format=svg", ""), ("/v1/cpg", "accept: image/svg+xml\r\n")] {
        let mut response = String::new();
        server.send(path, body, headers).read_to_string(&mut response).unwrap();
        assert!(response.contains("content-type: image/svg+xml"), "{response}");
        assert!(response.ends_with("<svg>f(); [\"CFG\"]</svg>"), "{response}");
    }
    let ask = |body: &str| server.post("/v1/cpg", body.as_bytes());
    check_error(
        ask(r#"{"language": "c", "code": ""}"#),
        400,
        "request_rejected",
        "no front end for c",
    );
    check_error(ask(r#"{"language": "java"}"#), 400, "invalid_request", "code");
    check_error(
        ask(r#"{"language": "java", "code": "", "x": 1}"#),
        400,
        "invalid_request",
        "x",
    );
}
