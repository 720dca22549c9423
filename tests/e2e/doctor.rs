//! `doctor` on a set-up that works, and on some that do not.

use std::path::Path;

use serde_json::Value;

use crate::bundles::copy;
use crate::program::{Finished, finish, json, program};

fn doctor(args: &[&str], change: impl FnOnce(&mut std::process::Command)) -> (Finished, Value) {
    let mut command = program();
    command.args(["doctor", "--json"]).args(args);
    change(&mut command);
    let finished = finish(&mut command);
    let told = json(&finished.stdout);
    (finished, told)
}

#[track_caller]
fn part<'a>(told: &'a Value, part: &str) -> &'a Value {
    let findings = told["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["part"] == part);
    found.unwrap_or_else(|| panic!("nothing on {part} in {told}"))
}

#[test]
fn a_set_up_that_works_has_no_failure() {
    let (finished, told) = doctor(&[], |_| ());
    assert!(finished.success, "{}\n{told}", finished.stderr);
    assert_eq!(told["ok"], true);
    for name in [
        "program",
        "libtorch",
        "model",
        "front end java",
        "front end python",
        "bundle summarize-java",
    ] {
        assert_eq!(part(&told, name)["state"], "ok", "{told}");
    }
    // Everything that is not well says what to do.
    for finding in told["findings"].as_array().unwrap() {
        assert_eq!(finding["state"] == "ok", finding["mend"].is_null(), "{finding}");
    }
    assert!(
        part(&told, "libtorch")["found"].as_str().unwrap().starts_with("2.13."),
        "{told}"
    );
}

#[test]
fn each_part_that_is_missing_or_broken_is_named_with_its_mend() {
    let temp = tempfile::tempdir().unwrap();
    let adapters = temp.path().join("adapters");
    for name in ["summarize-java", "assert-java"] {
        copy(name, &adapters, None);
    }
    std::fs::write(adapters.join("assert-java/task.wasm"), "no component").unwrap();
    let manifest = adapters.join("summarize-java/adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("3fd491c8", "00000000")).unwrap();
    let policy = temp.path().join("policy.toml");
    std::fs::write(&policy, "require-signature = false\n").unwrap();
    let common = [
        "--adapters",
        adapters.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ];

    let (finished, told) = doctor(&common, |_| ());
    assert!(
        !finished.success && finished.stderr.contains("2 of "),
        "{}",
        finished.stderr
    );
    let found = |told: &Value, name: &str| part(told, name)["found"].as_str().unwrap().to_owned();
    assert!(
        found(&told, "bundle summarize-java").contains("table of input embeddings"),
        "{told}"
    );
    assert!(found(&told, "bundle assert-java").contains("component"), "{told}");
    assert_eq!(part(&told, "policy")["state"], "warn");

    // Without a model, and without front ends.
    let nowhere = Path::new("/nonexistent");
    let (finished, told) = doctor(&common, |command| {
        command
            .env("TRANSDUCER_MODEL", nowhere)
            .env("TRANSDUCER_FRONTENDS", nowhere);
    });
    assert!(!finished.success);
    for name in ["model", "front ends"] {
        assert_eq!(part(&told, name)["state"], "fail", "{told}");
    }
    assert!(
        found(&told, "bundle summarize-java").contains("not held against a model"),
        "{told}"
    );

    // Without libtorch, as on a machine that has only the program.
    let parts = temp.path().join("installed");
    std::fs::create_dir(&parts).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_transducer-host"));
    std::fs::copy(built, parts.join("transducer-host")).unwrap();
    let mut alone = std::process::Command::new(parts.join("transducer-host"));
    let finished = finish(alone.args(["doctor", "--json", "--adapters"]).arg(&adapters));
    let told = json(&finished.stdout);
    assert!(found(&told, "program").contains("transducer-host-llm"), "{told}");
    assert!(!finished.success);
}
