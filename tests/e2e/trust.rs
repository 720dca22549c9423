//! From a key pair to a host that takes only what its owner trusts: `key`, `sign`, and `--policy` wherever bundles come in.

use std::path::Path;

use serde_json::{Value, json};

use crate::bundles::{copy, packed};
use crate::program::{Server, failure, finish, json, run, stdout};

/// A P-256 key that signs nothing but what this suite makes.
const EC_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgADd6HzkIPVAl4Y4W\n\
f57QfYJUrfXSYeJhzClO6NIAYdqhRANCAASqHTnuTUJ4XnHM7Yc7Y2N1EfXr7LIw\n\
okzpG3zl7+Qkq6AZ4fKmYeF+6kKUeUg3R1g9IV2m5Y718WPLS1uCZnPv\n\
-----END PRIVATE KEY-----\n\
";

/// A folder with two authors' keys, a signed archive of `summarize-java`, and a policy that trusts the first author with it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) archive: String,
    /// The numbers of the two keys.
    pub(crate) alice: String,
    pub(crate) mallory: String,
}

impl Place {
    pub(crate) fn new(adapters: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Self {
            archive: packed(dir.path(), "1.0.0"),
            dir,
            alice: String::new(),
            mallory: String::new(),
        };
        for name in ["alice", "mallory"] {
            let told = stdout(&[
                "key",
                "generate",
                "--no-passphrase",
                "-o",
                &place.path(&format!("{name}.key")),
            ]);
            let id = told.lines().last().unwrap().split_whitespace().last().unwrap();
            let number = if name == "alice" {
                &mut place.alice
            } else {
                &mut place.mallory
            };
            id.clone_into(number);
        }
        place.sign("alice");
        stdout(&[
            "key",
            "trust",
            &place.path("alice.pub"),
            "--adapters",
            adapters,
            "--policy",
            &place.path("policy.toml"),
        ]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(crate) fn sign(&self, author: &str) {
        let told = stdout(&["sign", &self.archive, "--key", &self.path(&format!("{author}.key"))]);
        assert!(told.contains("\nsigned   summarize-java 1.0.0 "), "{told}");
    }

    /// `verify` and `install` refuse the archive with this, and nothing is installed.
    #[track_caller]
    fn refused(&self, message: &str) {
        let (policy, adapters) = (self.path("policy.toml"), self.path("adapters"));
        for command in ["verify", "install"] {
            let error = failure(&[command, &self.archive, "--policy", &policy, "--adapters", &adapters]);
            let error = error.replace(&format!("{}/", self.dir.path().display()), "");
            assert_eq!(error, format!("error: {message}\n"), "{command}");
        }
        assert!(!Path::new(&adapters).exists());
    }

    pub(crate) fn trust(&self, author: &str) -> String {
        stdout(&[
            "key",
            "trust",
            &self.path(&format!("{author}.pub")),
            "--policy",
            &self.path("policy.toml"),
        ])
    }
}

#[test]
fn what_a_trusted_author_signed_is_installed_and_shown_as_theirs() {
    let place = Place::new("summarize-*");
    let (policy, adapters) = (place.path("policy.toml"), place.path("adapters"));
    let told = stdout(&["verify", &place.archive, "--policy", &policy]);
    assert!(
        told.ends_with(&format!("signed by alice (key {})\n", place.alice)),
        "{told}"
    );
    stdout(&["install", &place.archive, "--policy", &policy, "--adapters", &adapters]);
    // The signature came along, though the file that it lay beside is gone.
    let shown = [
        "inspect",
        "summarize-java",
        "--adapters",
        &adapters,
        "--json",
        "--policy",
    ];
    let shown = json(&stdout(&[&shown[..], &[policy.as_str()]].concat()));
    let expected = json!({"state": "trusted", "key": place.alice, "name": "alice"});
    assert_eq!(shown["signature"], expected, "{shown}");
    let shown = json(&stdout(&[
        "inspect",
        "summarize-java",
        "--adapters",
        &adapters,
        "--json",
    ]));
    assert_eq!(
        shown["signature"],
        json!({"state": "unchecked", "key": place.alice}),
        "{shown}"
    );
}

#[test]
fn inspect_says_whether_the_policy_lets_a_bundle_in_and_what_it_asks_for() {
    let place = Place::new("summarize-*");
    let policy = place.path("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("max-memory-mib = 128\n{text}")).unwrap();
    let inspect = |bundle: &str| {
        let args = ["inspect", bundle, "--policy", &policy];
        (json(&stdout(&[&args[..], &["--json"]].concat())), stdout(&args))
    };
    let (told, table) = inspect(&place.archive);
    let expected = json!({"path": policy, "require_signature": true, "lets_in": true, "error": null});
    assert_eq!(told["policy"], expected, "{told}");
    let memory = json!({"asked": 64, "usual": 64, "most": 128});
    assert_eq!(told["budget"]["memory_mib"], memory, "{told}");
    for line in [
        format!("signature     of alice (key {}), checked and trusted", place.alice),
        format!("policy        {policy} lets it in"),
        "memory        asks for 64 MiB a call (usual 64, most 128)".to_owned(),
        "time          asks for 1000 ms a call (usual 1000, most 5000)".to_owned(),
    ] {
        assert!(table.lines().any(|there| there == line), "{line}: {table}");
    }

    // Signed by somebody trusted, and refused all the same.
    let folder = copy("summarize-java", &place.dir.path().join("greedy"), None);
    let manifest = Path::new(&folder).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}\n[limits]\nmemory-mib = 200\n")).unwrap();
    let greedy = place.path("greedy.tadapter");
    stdout(&["pack", &folder, "-o", &greedy]);
    stdout(&["sign", &greedy, "--key", &place.path("alice.key")]);
    let (told, table) = inspect(&greedy);
    assert_eq!(told["signature"]["state"], "trusted", "{told}");
    let error = format!("{greedy} asks for `limits.memory-mib` = 200, and {policy} allows 128");
    assert_eq!(told["policy"]["lets_in"], false, "{told}");
    assert_eq!(told["policy"]["error"], error, "{told}");
    assert!(table.contains(&format!("policy        refused: {error}\n")), "{table}");
    assert!(
        table.contains("memory        asks for 200 MiB a call, too much (usual 64, most 128)"),
        "{table}"
    );

    // Without a policy it may be installed, and its wish is shown.
    let told = stdout(&["inspect", &greedy]);
    assert!(
        told.contains("policy        none named: whatever fits is let in\n"),
        "{told}"
    );
    let told = stdout(&["install", &greedy, "--adapters", &place.path("adapters")]);
    assert!(
        told.ends_with("asks for 200 MiB and 1000 ms a call of its task; usual are 64 MiB and 1000 ms\n"),
        "{told}"
    );

    place.sign("mallory");
    let (told, table) = inspect(&place.archive);
    let unknown = json!({"state": "unknown", "key": place.mallory});
    assert_eq!(
        (&told["signature"], &told["policy"]["lets_in"]),
        (&unknown, &json!(false)),
        "{told}"
    );
    assert!(table.contains("which the policy does not know"), "{table}");
}

#[test]
fn what_is_not_signed_by_somebody_trusted_is_refused() {
    let place = Place::new("summarize-*");
    let good = std::fs::read(&place.archive).unwrap();
    let signature = format!("{}.minisig", place.archive);

    // Changed after it was signed: another version's bytes, so that only the signature tells.
    let other = packed(&place.dir.path().join("other"), "1.1.0");
    std::fs::copy(other, &place.archive).unwrap();
    place.refused("1.0.0.tadapter is not what was signed: The signature verification failed");
    std::fs::write(&place.archive, good).unwrap();

    place.sign("mallory");
    let listed = std::fs::read_to_string(&signature).unwrap();
    assert!(!listed.contains(&place.alice));
    let id = &place.mallory;
    place.refused(&format!(
        "1.0.0.tadapter is signed with key {id}, which policy.toml does not trust: `transducer-host key trust` adds a \
         key, if you know whose it is"
    ));

    std::fs::remove_file(&signature).unwrap();
    place.refused(
        "1.0.0.tadapter is not signed, and policy.toml requires it: ask its author for 1.0.0.tadapter.minisig, or make \
         one with `transducer-host sign`",
    );
}

#[test]
fn a_key_counts_for_its_adapters_and_until_it_is_revoked() {
    let place = Place::new("assert-*");
    let alice = &place.alice;
    place.refused(&format!(
        "1.0.0.tadapter is signed by alice (key {alice}), whom policy.toml trusts with assert-*, not with summarize-java"
    ));
    assert_eq!(place.trust("alice"), format!("trusted alice (key {alice}) with *\n"));
    let policy = place.path("policy.toml");
    stdout(&["verify", &place.archive, "--policy", &policy]);
    let told = stdout(&["key", "revoke", alice, "--policy", &policy]);
    assert_eq!(told, format!("revoked {alice} (alice)\n"));
    place.refused(&format!(
        "1.0.0.tadapter is signed with key {alice}, which policy.toml has revoked: ask its author for another signature"
    ));
    let listed = json(&stdout(&["key", "list", "--json", "--policy", &policy]));
    assert_eq!((&listed["trusted"], &listed["revoked"]), (&json!([]), &json!([alice])));
    let error = failure(&["key", "trust", &place.path("alice.pub"), "--policy", &policy]);
    assert!(error.contains(&format!("has revoked key {alice}")), "{error}");
}

#[test]
fn a_host_with_a_policy_serves_what_is_signed_and_says_what_is_not() {
    let place = Place::new("summarize-*");
    let (policy, adapters) = (place.path("policy.toml"), place.path("adapters"));
    stdout(&["install", &place.archive, "--policy", &policy, "--adapters", &adapters]);
    copy("assert-java", Path::new(&adapters), None);
    // Of the name of a good one: it must not take it down.
    copy("summarize-java", Path::new(&adapters), None);
    let unsigned = packed(&place.dir.path().join("other"), "1.1.0");
    std::fs::copy(unsigned, place.path("adapters/unsigned.tadapter")).unwrap();

    let mut server = Server::start(&["--adapters", &adapters, "--policy", &policy]);
    server.wait_for("ready on ");
    let (_, listed) = server.get("/v1/adapters");
    let data = listed["data"].as_array().unwrap();
    let of = |name: &str| {
        let found = data.iter().find(|adapter| adapter["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {listed}"))
    };
    let good = of("summarize-java");
    assert_eq!(good["state"], "ready", "{listed}");
    assert_eq!(good["signer"], json!({"key": place.alice, "name": "alice"}), "{listed}");
    for name in ["assert-java", "summarize-java/"] {
        assert_eq!(
            (&of(name)["state"], &of(name)["signer"]),
            (&json!("broken"), &json!(null))
        );
        let error = of(name)["error"].as_str().unwrap();
        assert!(
            error.contains("is a folder, which cannot be signed") && error.contains("transducer-host pack"),
            "{error}"
        );
    }
    let error = of("unsigned")["error"].as_str().unwrap();
    assert!(error.contains("unsigned.tadapter is not signed, and "), "{error}");
    let code = json!({"code": "int twice(int x) { return 2 * x; }"});
    assert_eq!(server.post("/v1/tasks/summarize-java", &code).0, 200);
    assert_eq!(server.post("/v1/tasks/assert-java", &code).0, 503);

    // Replaced while it runs, by what nobody signed: the one before goes on, and stays its signer's.
    std::fs::remove_dir_all(place.path("adapters/summarize-java")).unwrap();
    let unsigned = place.path("adapters/unsigned.tadapter");
    std::fs::rename(unsigned, place.path("adapters/summarize-java.tadapter")).unwrap();
    let begun = std::time::Instant::now();
    let now = loop {
        let (_, listed) = server.get("/v1/adapters");
        let data = listed["data"].as_array().unwrap();
        let now = data.iter().find(|adapter| adapter["name"] == "summarize-java").cloned();
        if let Some(now) = now.filter(|now| now["last_error"].is_string()) {
            break now;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{listed}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(
        now["last_error"].as_str().unwrap().contains("is not signed, and "),
        "{now}"
    );
    assert_eq!(
        (&now["version"], &now["signer"]["name"]),
        (&json!("1.0.0"), &json!("alice"))
    );
    assert_eq!(server.post("/v1/tasks/summarize-java", &code).0, 200);

    // The policy is read again: what it does not let in any more goes on no longer.
    let until = |what: &str, is: &dyn Fn(&Value, &Value) -> bool| {
        let begun = std::time::Instant::now();
        loop {
            let (_, listed) = server.get("/v1/adapters");
            let data = listed["data"].as_array().unwrap();
            let adapter = data.iter().find(|adapter| adapter["name"] == "summarize-java").unwrap();
            if is(adapter, &listed["policy"]) {
                return;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{what}: {listed}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    std::fs::copy(&place.archive, place.path("adapters/summarize-java.tadapter")).unwrap();
    until("the signed one again", &|adapter, _| adapter["last_error"].is_null());
    stdout(&["key", "revoke", &place.alice, "--policy", &policy]);
    until("revoked", &|adapter, _| adapter["state"] == "broken");
    assert_eq!(server.post("/v1/tasks/summarize-java", &code).0, 503);
    std::fs::write(&policy, "require-signature = maybe").unwrap();
    until("a policy that is none", &|adapter, policy| {
        let error = policy["last_error"].as_str().unwrap_or_default();
        adapter["state"] == "broken" && policy["require_signature"] == true && error.contains("TOML parse error")
    });
    server.terminate();
    assert!(server.end());
}

#[test]
fn a_key_with_a_passphrase_and_no_terminal_names_the_variable() {
    let place = Place::new("*");
    let key = place.path("carol.key");
    // In a session of its own, so that no terminal of the test is found.
    let alone = |args: &[&str], passphrase: Option<&str>| {
        let mut command = std::process::Command::new("setsid");
        command
            .args(["-w", env!("CARGO_BIN_EXE_transducer-host")])
            .args(args)
            .env_remove("TRANSDUCER_KEY_PASSPHRASE");
        command.envs(passphrase.map(|text| ("TRANSDUCER_KEY_PASSPHRASE", text)));
        finish(&mut command)
    };
    let refused = alone(&["key", "generate", "-o", &key], None);
    assert!(
        refused.stderr.contains("set TRANSDUCER_KEY_PASSPHRASE"),
        "{}",
        refused.stderr
    );
    assert!(alone(&["key", "generate", "-o", &key], Some("secret")).success);
    let sign = ["sign", &place.archive, "--key", &key];
    let refused = alone(&sign, None);
    assert!(
        !refused.success
            && refused
                .stderr
                .contains("there is no terminal to ask for it: set TRANSDUCER_KEY_PASSPHRASE"),
        "{}",
        refused.stderr
    );
    assert!(alone(&sign, Some("secret")).success);
}

#[test]
fn a_signature_for_model_signing_is_a_sigstore_bundle_about_the_archive() {
    let place = Place::new("*");
    let key = place.path("ec.pem");
    std::fs::write(&key, EC_KEY).unwrap();
    let told = stdout(&["sign", &place.archive, "--model-signing", &key]);
    let signature = format!("{}.sig", place.archive);
    assert_eq!(told, format!("{signature}\n"));
    let bundle = json(&std::fs::read_to_string(&signature).unwrap());
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(bundle["dsseEnvelope"]["payloadType"], "application/vnd.in-toto+json");
    let error = failure(&["sign", &place.archive, "--model-signing", &place.path("alice.key")]);
    assert!(
        error.contains("alice.key is no unencrypted P-256 key in PEM: `openssl genpkey"),
        "{error}"
    );
}

#[test]
fn a_policy_among_the_bundles_is_refused() {
    let place = Place::new("*");
    let adapters = place.path("");
    let finished = run(&[
        "install",
        &place.archive,
        "--policy",
        &place.path("policy.toml"),
        "--adapters",
        &adapters,
    ]);
    assert!(
        !finished.success && finished.stderr.contains("where bundles come from: keep it elsewhere"),
        "{}",
        finished.stderr
    );
}
