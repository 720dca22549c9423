//! From a folder to an installed adapter and back: `pack`, `verify`, `inspect`, `diff`, `install`, `rollback`, `uninstall`.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::program::{failure, finish, json, program, root, stdout};

/// What of a bundle's manifest holds with other weights, too: all but what is recorded of them.
pub(crate) fn recipe(manifest: &str) -> &str {
    manifest
        .split_once("\n[provenance]")
        .map_or(manifest, |(recipe, _)| recipe)
}

/// Leaves a bundle nothing that is recorded of its weights, so that they may be others.
pub(crate) fn forget_records(folder: &str) {
    let manifest = Path::new(folder).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(manifest, recipe(&text)).unwrap();
}

/// A copy of a bundle of the repository in `parent`, with another version if one is given.
pub(crate) fn copy(name: &str, parent: &Path, version: Option<&str>) -> String {
    let (from, to) = (root().join("adapters").join(name), parent.join(name));
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    if let Some(version) = version {
        let manifest = to.join("adapter.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let line = text.lines().find(|line| line.starts_with("version = ")).unwrap();
        let text = text.replace(line, &format!("version = \"{version}\""));
        std::fs::write(manifest, text).unwrap();
    }
    to.display().to_string()
}

/// A packed copy of `summarize-java`.
pub(crate) fn packed(dir: &Path, version: &str) -> String {
    let out = dir.join(format!("{version}.tadapter")).display().to_string();
    let folder = copy("summarize-java", &dir.join(version), Some(version));
    stdout(&["pack", &folder, "-o", &out]);
    out
}

#[test]
fn packing_again_elsewhere_gives_the_same_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for (place, zone, mask, user) in [("a", "UTC", "022", "alice"), ("b/c", "Pacific/Auckland", "077", "bob")] {
        let folder = copy("summarize-java", &temp.path().join(place), None);
        if user == "bob" {
            // Another owner, where the test may make one, and other rights.
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
                let _ = std::os::unix::fs::chown(&path, Some(12_345), Some(12_345));
            }
        }
        let out = temp.path().join(format!("{zone}.tadapter").replace('/', "-"));
        let script = format!("umask {mask}; exec \"$0\" pack \"$1\" -o \"$2\" --json");
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_transducer-host"), &folder])
            .arg(&out)
            .env("TZ", zone)
            .env("USER", user);
        let finished = finish(&mut command);
        assert!(finished.success, "{}", finished.stderr);
        let told = json(&finished.stdout);
        assert_eq!(told["name"], "summarize-java");
        archives.push((std::fs::read(out).unwrap(), told["generation"].clone()));
    }
    assert!(archives[0] == archives[1], "the archives differ");
}

#[test]
fn the_default_name_is_name_and_version() {
    let temp = tempfile::tempdir().unwrap();
    let folder = copy("summarize-java", temp.path(), Some("3.1.4"));
    let finished = finish(program().args(["pack", &folder]).current_dir(temp.path()));
    assert!(finished.success, "{}", finished.stderr);
    assert!(
        finished.stdout.starts_with("summarize-java-3.1.4.tadapter\n"),
        "{}",
        finished.stdout
    );
    assert!(temp.path().join("summarize-java-3.1.4.tadapter").is_file());
}

#[test]
fn what_a_host_would_refuse_is_not_packed() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("x.tadapter").display().to_string();
    let untrained = copy("summarize-python", temp.path(), None);
    forget_records(&untrained);
    let manifest = Path::new(&untrained).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("weights = \"transducer.safetensors\"\n", "")).unwrap();
    std::fs::remove_file(Path::new(&untrained).join("transducer.safetensors")).unwrap();
    let error = failure(&["pack", &untrained, "-o", &out]);
    assert!(
        error.contains("names no weights") && error.contains("--untrained"),
        "{error}"
    );
    stdout(&["pack", &untrained, "-o", &out, "--untrained"]);

    let folder = copy("summarize-java", temp.path(), None);
    forget_records(&folder);
    let weights = Path::new(&folder).join("transducer.safetensors");
    let good = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &good[..good.len() - 4]).unwrap();
    let error = failure(&["pack", &folder, "-o", &out]);
    assert!(error.contains("would be refused by a host: not safetensors"), "{error}");
    std::fs::write(&weights, &good).unwrap();
    std::fs::write(Path::new(&folder).join("task.wasm"), "no component").unwrap();
    let error = failure(&["pack", &folder, "-o", &out]);
    assert!(error.contains("would be refused by a host"), "{error}");
    assert!(failure(&["verify", &folder]).contains("would be refused by a host"));
}

#[test]
fn an_archive_is_shown_and_compared() {
    let temp = tempfile::tempdir().unwrap();
    let archive = packed(temp.path(), "0.9.0");
    let told = json(&stdout(&["inspect", &archive, "--json"]));
    assert_eq!(told["manifest"]["adapter"]["version"], "0.9.0");
    assert_eq!(told["weights"]["parameters"], 55_704);
    assert!(stdout(&["inspect", "summarize-java"]).contains("55704 parameters"));
    let generation = told["generation"].as_str().unwrap();
    assert!(stdout(&["verify", &archive]).contains(generation));

    let same = stdout(&["diff", &archive, &archive]);
    assert_eq!(same, "the same generation: a host loads the same bytes of both\n");
    let diff = stdout(&["diff", "summarize-java", &archive]);
    assert!(diff.contains("manifest  adapter.version: 0.3.0 -> 0.9.0"), "{diff}");
    assert!(
        diff.contains("files     adapter.toml: ") && !diff.contains("weights   "),
        "{diff}"
    );
    let error = failure(&["inspect", "no-such-adapter"]);
    assert!(
        error.contains("no file, folder or installed adapter is named no-such-adapter"),
        "{error}"
    );
}

/// The next version of a shipped bundle, with one number of its weights changed, and another budget.
#[test]
fn two_versions_of_a_shipped_bundle_are_compared() {
    let temp = tempfile::tempdir().unwrap();
    let folder = copy("summarize-java", temp.path(), Some("0.9.1"));
    forget_records(&folder);
    let (manifest, weights) = (
        Path::new(&folder).join("adapter.toml"),
        Path::new(&folder).join("transducer.safetensors"),
    );
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}\n[limits]\nmemory-mib = 96\n")).unwrap();
    // The last number of the file's last tensor.
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&9.5_f32.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let archive = temp.path().join("0.9.1.tadapter").display().to_string();
    stdout(&["pack", &folder, "-o", &archive]);

    let diff = stdout(&["diff", "summarize-java", &archive]);
    for line in [
        "manifest  adapter.version: 0.3.0 -> 0.9.1",
        "manifest  limits.memory-mib: - -> 96",
    ] {
        assert!(diff.lines().any(|there| there == line), "{line}: {diff}");
    }
    let of = |what: &str| diff.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((of("weights"), of("task ")), (1, 0), "{diff}");
    assert!(diff.contains("to 9.5000"), "{diff}");
    let told = json(&stdout(&["diff", "summarize-java", &archive, "--json"]));
    assert_eq!(told["same_generation"], false);
    assert_eq!(told["weights"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        told["files"].as_array().unwrap().len(),
        3,
        "manifest, weights, pack.json: {told}"
    );
    assert_eq!(
        json(&stdout(&["inspect", &archive, "--json"]))["budget"]["memory_mib"]["asked"],
        96
    );
}

#[test]
fn an_installed_archive_answers_as_its_folder_does() {
    let temp = tempfile::tempdir().unwrap();
    let adapters = temp.path().join("adapters").display().to_string();
    let (old, new) = (packed(temp.path(), "1.0.0"), packed(temp.path(), "1.1.0"));
    stdout(&["install", &old, "--adapters", &adapters]);
    let told = stdout(&["install", &new, "--adapters", &adapters]);
    assert!(
        told.starts_with("installed summarize-java 1.1.0, before: 1.0.0\ngeneration "),
        "{told}"
    );
    let error = failure(&["install", &old, "--adapters", &adapters]);
    assert!(error.contains("1.1.0 is installed, and 1.0.0 is older"), "{error}");

    let listed = json(&stdout(&["adapters", "--adapters", &adapters, "--json"]));
    let folder = temp.path().join("1.1.0/summarize-java").display().to_string();
    let generation = json(&stdout(&["inspect", &folder, "--json"]))["generation"].clone();
    assert_eq!(listed["adapters"][0]["state"], "ready", "{listed}");
    assert_eq!(listed["adapters"][0]["generation"], generation, "{listed}");

    let told = stdout(&["rollback", "summarize-java", "--adapters", &adapters]);
    assert!(
        told.starts_with("rolled back to summarize-java 1.0.0, before: 1.1.0\n"),
        "{told}"
    );
    stdout(&["uninstall", "summarize-java", "--adapters", &adapters]);
    assert!(failure(&["rollback", "summarize-java", "--adapters", &adapters]).contains("no archive in "));
}

#[test]
fn an_unsigned_archive_is_refused_where_a_signature_is_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let (archive, key) = (packed(temp.path(), "1.0.0"), temp.path().join("author.pub"));
    // The key that minisign's own documentation shows.
    let text = "untrusted comment: minisign public key E7620F1842B4E81F\n\
        RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
    std::fs::write(&key, text).unwrap();
    let (key, adapters) = (key.display().to_string(), temp.path().join("adapters"));
    let error = failure(&[
        "install",
        &archive,
        "--public-key",
        &key,
        "--adapters",
        adapters.to_str().unwrap(),
    ]);
    assert!(error.contains("1.0.0.tadapter is not signed: there is no "), "{error}");
    assert!(!adapters.exists());
    assert!(failure(&["verify", &archive, "--public-key", &key]).contains("is not signed"));
}

/// The program is killed at 200 random moments of its installations; a host always finds one of the two versions, whole.
#[test]
fn an_installation_that_is_killed_breaks_nothing() {
    const ROUNDS: u64 = 200;
    let temp = tempfile::tempdir().unwrap();
    let adapters = temp.path().join("adapters").display().to_string();
    let versions = [packed(temp.path(), "1.0.0"), packed(temp.path(), "1.1.0")];
    stdout(&["install", &versions[1], "--adapters", &adapters]);
    let begun = Instant::now();
    stdout(&["install", &versions[0], "--adapters", &adapters, "--allow-downgrade"]);
    // A little more than an installation takes, so that some come to their end.
    let span = begun.elapsed().mul_f64(1.2);
    let random = RandomState::new();
    let (mut killed, mut switched, mut last) = (0, 0, "1.0.0".to_owned());
    for round in 0..ROUNDS {
        let other = if last == "1.0.0" { &versions[1] } else { &versions[0] };
        let mut command = program();
        command.args(["install", other, "--adapters", &adapters, "--allow-downgrade"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let part = (random.hash_one(round) >> 11) as f64 / (1_u64 << 53) as f64;
        std::thread::sleep(span.mul_f64(part));
        let _ = child.kill();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let mut found = transducer_bundle::Bundle::open_all(Path::new(&adapters)).unwrap();
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        let bundle = found
            .remove(0)
            .bundle
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        let version = bundle.manifest.version.to_string();
        assert!(version == "1.0.0" || version == "1.1.0", "round {round}: {version}");
        switched += u32::from(version != last);
        last = version;
    }
    println!("{killed} of {ROUNDS} installations killed, {switched} of them all took effect");
    assert!(killed > 0 && switched > 0, "{killed} killed, {switched} took effect");
    stdout(&["install", &versions[1], "--adapters", &adapters, "--allow-downgrade"]);
}

#[test]
fn pack_records_the_commit_and_whether_the_files_are_of_it() {
    let temp = tempfile::tempdir().unwrap();
    let folder = copy("summarize-java", temp.path(), None);
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(temp.path()).args(args);
        for (name, value) in [("NAME", "nobody"), ("EMAIL", "nobody@example.org")] {
            command
                .env(format!("GIT_AUTHOR_{name}"), value)
                .env(format!("GIT_COMMITTER_{name}"), value);
        }
        let done = finish(&mut command);
        assert!(done.success, "{args:?}: {}", done.stderr);
        done.stdout.trim().to_owned()
    };
    let archive = temp.path().join("a.tadapter").display().to_string();
    let pack = || json(&stdout(&["pack", &folder, "-o", &archive, "--json"]))["packed"].clone();
    git(&["init", "-q"]);
    assert_eq!(pack()["commit"], Value::Null, "it is in no commit");
    git(&["add", "summarize-java"]);
    git(&["commit", "-q", "-m", "A bundle"]);
    let id = git(&["rev-parse", "HEAD"]);
    // The archive lies in the repository, and is no file of the bundle.
    assert_eq!(pack()["commit"], serde_json::json!({"id": id, "dirty": false}));
    let clean = std::fs::read(&archive).unwrap();
    pack();
    assert!(
        std::fs::read(&archive).unwrap() == clean,
        "the same commit, other bytes"
    );

    std::fs::write(Path::new(&folder).join("README.md"), "# Another\n").unwrap();
    let packed = pack();
    assert_eq!(packed["commit"], serde_json::json!({"id": id, "dirty": true}));
    assert!(packed["tools"]["wit-component"].is_string(), "{packed}");
    let shown = stdout(&["inspect", &archive]);
    assert!(
        shown.contains(&format!("{id}, and changes that are in no commit")),
        "{shown}"
    );
    assert!(shown.contains("transducer:task/handler@1.0.0"), "{shown}");
    let shown = json(&stdout(&["inspect", &archive, "--json"]));
    assert_eq!(shown["packed"], packed);
    let before = temp.path().join("before.tadapter").display().to_string();
    std::fs::write(&before, clean).unwrap();
    let diff = stdout(&["diff", &before, &archive]);
    assert!(diff.contains("packed    commit.dirty: false -> true"), "{diff}");
    assert!(diff.contains("files     README.md: "), "{diff}");
}
