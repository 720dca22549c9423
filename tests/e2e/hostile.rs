//! Bundles made to do harm, through the program: what is signed, what is installed, and what does not fit together. The third part of
//! `sdk/HOSTILE.md`.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::bundles::{copy, forget_records, packed};
use crate::program::{failure, stdout};
use crate::table::{Row, hold};
use crate::trust::Place;

/// Digests change with every release of the bundle that these cases begin with.
static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new("[0-9a-f]{64}").unwrap());

/// What the program says when it refuses, without what differs from run to run.
fn refused(place: &Place, attempt: &str, args: &[&str]) -> Row {
    let told = failure(args).replace(&format!("{}/", place.dir.path().display()), "");
    let told = told.replace(&place.alice, "ALICE").replace(&place.mallory, "MALLORY");
    let told = DIGEST.replace_all(&told, "DIGEST");
    let told = told.strip_prefix("error: ").expect("an error").trim_end();
    (attempt.to_owned(), told.to_owned())
}

#[test]
fn every_case_is_refused_as_the_table_says() {
    let subjects = [
        (
            "Files that were swapped after signing, and signatures that do not count",
            signatures(),
        ),
        ("What a policy does not allow", policies()),
        ("Downgrade", downgrades()),
        ("Weights of wrong shapes", shapes()),
        ("Parts that do not fit together", parts()),
    ];
    hold("Signed, installed, verified", &subjects);
}

fn signatures() -> Vec<Row> {
    let place = Place::new("summarize-*");
    let (policy, archive) = (place.path("policy.toml"), place.archive.as_str());
    let signature = format!("{archive}.minisig");
    let (good, signed) = (
        std::fs::read(archive).unwrap(),
        std::fs::read_to_string(&signature).unwrap(),
    );
    let refused = |attempt| refused(&place, attempt, &["verify", archive, "--policy", &policy]);
    let mut rows = Vec::new();

    let other = packed(&place.dir.path().join("other"), "1.1.0");
    std::fs::copy(&other, archive).unwrap();
    rows.push(refused("another archive under the signature"));
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(archive, changed).unwrap();
    rows.push(refused("an archive of which a bit changed"));
    std::fs::write(archive, good).unwrap();

    std::fs::write(
        &signature,
        signed.replace("summarize-java 1.0.0", "summarize-java 9.0.0"),
    )
    .unwrap();
    rows.push(refused("a signature whose comment changed"));
    std::fs::write(&signature, "not a signature\n").unwrap();
    rows.push(refused("a text for a signature"));
    place.sign("mallory");
    rows.push(refused("a stranger's signature"));
    std::fs::remove_file(&signature).unwrap();
    rows.push(refused("no signature"));
    let folder = place.path("1.0.0/summarize-java");
    rows.push(self::refused(
        &place,
        "a folder, where signatures are required",
        &["verify", &folder, "--policy", &policy],
    ));
    place.sign("alice");
    stdout(&["key", "revoke", &place.alice, "--policy", &policy]);
    rows.push(refused("a revoked key's signature"));

    let place = Place::new("assert-*");
    let policy = place.path("policy.toml");
    rows.push(self::refused(
        &place,
        "a trusted key's signature on another's adapter",
        &["install", &place.archive, "--policy", &policy],
    ));
    rows
}

fn policies() -> Vec<Row> {
    let place = Place::new("*");
    let policy = place.path("own.toml");
    let write = |text: &str| std::fs::write(&policy, format!("require-signature = false\n{text}\n")).unwrap();
    let refused = |attempt, what: &str| refused(&place, attempt, &["verify", what, "--policy", &policy]);
    let mut rows = Vec::new();
    write("licenses = [\"MIT\"]");
    rows.push(refused("another licence", &place.archive));
    write("max-bytes = 10_000");
    let (attempt, told) = refused("too large an archive", &place.archive);
    let bytes = std::fs::metadata(&place.archive).unwrap().len().to_string();
    rows.push((attempt, told.replace(&bytes, "BYTES")));
    write("max-memory-mib = 128\nmax-deadline-ms = 2000");
    for (attempt, limit) in [
        ("too much memory", "memory-mib = 129"),
        ("too much time", "deadline-ms = 2001"),
    ] {
        let folder = copy("summarize-java", &place.dir.path().join(&limit[..6]), None);
        let manifest = Path::new(&folder).join("adapter.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, format!("{text}\n[limits]\n{limit}\n")).unwrap();
        let (attempt, told) = refused(attempt, &folder);
        rows.push((attempt, told.replace(&format!("{}/", &limit[..6]), "")));
    }
    write("");
    let mut open = std::fs::metadata(&policy).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o666);
    std::fs::set_permissions(&policy, open).unwrap();
    rows.push(refused("a policy that everybody may write", &place.archive));
    let inside = [
        "install",
        &place.archive,
        "--policy",
        &place.path("policy.toml"),
        "--adapters",
        &place.path(""),
    ];
    let (attempt, told) = self::refused(&place, "a policy among the bundles", &inside);
    rows.push((attempt, told.replace(" in ,", " in the adapters directory,")));
    rows
}

fn downgrades() -> Vec<Row> {
    let place = Place::new("*");
    let adapters = place.path("adapters");
    stdout(&["install", &place.archive, "--adapters", &adapters]);
    let older = packed(&place.dir.path().join("older"), "0.9.0");
    let folder = copy("summarize-java", &place.dir.path().join("same"), Some("1.0.0"));
    let manifest = Path::new(&folder).join("adapter.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("in a sentence", "in two sentences")).unwrap();
    let same = place.path("same.tadapter");
    stdout(&["pack", &folder, "-o", &same]);
    [
        ("an older version", &older),
        ("the same version with other contents", &same),
    ]
    .map(|(attempt, archive)| refused(&place, attempt, &["install", archive, "--adapters", &adapters]))
    .into()
}

/// A copy of the bundle, changed by `change`.
fn changed(place: &Place, change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir_in(place.dir.path()).unwrap().keep();
    let bundle = copy("summarize-java", &folder, None);
    forget_records(&bundle);
    change(Path::new(&bundle));
    bundle
}

/// `verify` refuses it, which is told without its place.
fn unfit(place: &Place, attempt: &str, change: impl FnOnce(&Path)) -> Row {
    let bundle = changed(place, change);
    let (attempt, told) = refused(place, attempt, &["verify", &bundle]);
    let folder = Path::new(&bundle).strip_prefix(place.dir.path()).unwrap();
    (attempt, told.replace(folder.to_str().unwrap(), "summarize-java"))
}

fn shapes() -> Vec<Row> {
    let place = Place::new("*");
    let header = |attempt: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        unfit(&place, attempt, |bundle| {
            let path = bundle.join("transducer.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            let (length, rest) = bytes.split_first_chunk().unwrap();
            let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let mut header = serde_json::from_slice(header).unwrap();
            change(&mut header);
            let header = serde_json::to_vec(&header).unwrap();
            let length = (header.len() as u64).to_le_bytes();
            std::fs::write(&path, [&length[..], &header, data].concat()).unwrap();
        })
    };
    vec![
        header("a matrix on its side", &|header| {
            let matrix = header
                .get_mut("fusion.query.weight")
                .expect("a tensor of every transducer");
            matrix["shape"].as_array_mut().unwrap().reverse();
        }),
        header("a tensor under another name", &|header| {
            let tensor = header.remove("fusion.query.weight").unwrap();
            header.insert("fusion.quarry.weight".to_owned(), tensor);
        }),
        header("numbers of another kind", &|header| {
            let tensor = &mut header["fusion.query.weight"];
            tensor["dtype"] = json!("I32");
        }),
        header("a shape that overflows", &|header| {
            header["fusion.query.weight"]["shape"] = json!([1_u64 << 62, 4]);
        }),
        header("two tensors in the same bytes", &|header| {
            // The twin has the first half: of tensors that begin alike, the reader takes the shorter one first.
            let mut twin = header["fusion.query.weight"].clone();
            twin["shape"][0] = json!(twin["shape"][0].as_u64().unwrap() / 2);
            let offsets = [0, 1].map(|end| twin["data_offsets"][end].as_u64().unwrap());
            twin["data_offsets"][1] = json!(offsets[0].midpoint(offsets[1]));
            header.insert("fusion.twin.weight".to_owned(), twin);
        }),
    ]
}

fn parts() -> Vec<Row> {
    let place = Place::new("*");
    let manifest = |attempt: &str, from: &str, to: &str| {
        unfit(&place, attempt, |bundle| {
            let path = bundle.join("adapter.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{from}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        })
    };
    vec![
        manifest(
            "more memory than a host gives",
            "[train]",
            "[limits]\nmemory-mib = 1024\n\n[train]",
        ),
        manifest(
            "more time than a host gives",
            "[train]",
            "[limits]\ndeadline-ms = 60000\n\n[train]",
        ),
        manifest("another world than the component's", "task@1.0.0", "task@1.1.0"),
        manifest("a world that is not there yet", "task@1.0.0", "task@7.0.0"),
        manifest("another width than the weights'", "width = 12", "width = 32"),
        manifest(
            "another pooling than the weights'",
            "width = 12",
            "width = 12\npooling = \"max\"",
        ),
        manifest("a model of another width", "hidden-size = 576", "hidden-size = 2048"),
        manifest("a later host", "[train]", "[requires]\nhost = \">=99\"\n\n[train]"),
        unfit(&place, "a component that is none", |bundle| {
            std::fs::write(bundle.join("task.wasm"), "no component").unwrap();
        }),
    ]
}
