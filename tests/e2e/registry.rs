//! Archives to a registry and back: `push` and `pull` against Debian's `docker-registry`, the reference implementation. Where it is
//! not installed these tests are left out, unless TRANSDUCER_TEST_REGISTRY says that it has to be there.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bundles::packed;
use crate::program::{Finished, finish, json, program, stdout};

/// `user` with the password `secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry of its own, in a folder of its own.
struct Registry {
    child: Child,
    dir: tempfile::TempDir,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// None where there is no registry to be started.
    fn start(locked: bool) -> Option<Self> {
        let installed = Command::new("docker-registry").arg("--version").output().is_ok();
        if !installed {
            assert!(
                std::env::var_os("TRANSDUCER_TEST_REGISTRY").is_none(),
                "docker-registry is not installed: `apt-get install docker-registry`"
            );
            println!("left out: docker-registry is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        // Free now; whoever takes it in between makes the registry end at once, which is seen below.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let root = dir.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: \"{address}\"}}\n"
        );
        if locked {
            std::fs::write(dir.path().join("htpasswd"), HTPASSWD).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n");
        }
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", "config.yml"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut registry = Self { child, dir, address };
        let begun = Instant::now();
        while std::net::TcpStream::connect(&registry.address).is_err() {
            assert_eq!(registry.child.try_wait().unwrap(), None, "the registry ended");
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the registry does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn target(&self, tag: &str) -> String {
        format!("{}/adapters/summarize-java{tag}", self.address)
    }

    /// What another reader gets: an HTTP client that knows nothing of bundles.
    fn get(&self, path: &str) -> Vec<u8> {
        let url = format!("http://{}/v2/adapters/summarize-java/{path}", self.address);
        let mut request = ureq::get(url);
        request = request.header("Accept", "application/vnd.oci.image.manifest.v1+json");
        request.call().unwrap().body_mut().read_to_vec().unwrap()
    }

    /// Where the registry keeps a blob.
    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

/// The program with no login of whoever runs the tests.
fn ask(args: &[&str], login: Option<(&str, &str)>) -> Finished {
    let nobody = Path::new("/nonexistent");
    let mut command = program();
    command.args(args).env("DOCKER_CONFIG", nobody);
    command
        .env_remove("TRANSDUCER_REGISTRY_USER")
        .env_remove("TRANSDUCER_REGISTRY_PASSWORD");
    if let Some((user, password)) = login {
        command
            .env("TRANSDUCER_REGISTRY_USER", user)
            .env("TRANSDUCER_REGISTRY_PASSWORD", password);
    }
    finish(&mut command)
}

#[track_caller]
fn told(args: &[&str]) -> Value {
    let finished = ask(&[args, &["--plain-http", "--json"]].concat(), None);
    assert!(finished.success, "{args:?}: {}", finished.stderr);
    json(&finished.stdout)
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let finished = ask(&[args, &["--plain-http"]].concat(), None);
    assert!(
        !finished.success && finished.stderr.contains(expected),
        "{args:?}: {}",
        finished.stderr
    );
}

/// A signed archive, and a policy that trusts its author.
fn signed(dir: &Path) -> (String, String) {
    let path = |name: &str| dir.join(name).display().to_string();
    let archive = packed(dir, "1.0.0");
    stdout(&["key", "generate", "--no-passphrase", "-o", &path("alice.key")]);
    stdout(&["sign", &archive, "--key", &path("alice.key")]);
    stdout(&["key", "trust", &path("alice.pub"), "--policy", &path("policy.toml")]);
    (archive, path("policy.toml"))
}

#[test]
fn an_archive_goes_to_a_registry_and_comes_back_signed() {
    let Some(registry) = Registry::start(false) else { return };
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    let (archive, policy) = signed(temp.path());
    let (bytes, target) = (std::fs::read(&archive).unwrap(), registry.target(":1.0.0"));
    let pushed = told(&["push", &archive, &target]);
    let digest = pushed["digest"].as_str().unwrap();
    assert_eq!(pushed["signed"], true);
    // Nothing in the artifact is of the time or the place.
    assert_eq!(told(&["push", &archive, &registry.target(":again")])["digest"], digest);

    // Read by somebody else, by digest: the manifest, and each blob.
    let manifest: Value = serde_json::from_slice(&registry.get(&format!("manifests/{digest}"))).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.cncf.model.weight.v1.tar+zstd");
    assert_eq!(
        layer["annotations"]["org.opencontainers.image.title"],
        "summarize-java-1.0.0.tadapter"
    );
    let blob = |descriptor: &Value| registry.get(&format!("blobs/{}", descriptor["digest"].as_str().unwrap()));
    assert!(blob(layer) == bytes, "the layer is the archive");
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["descriptor"]["name"], "summarize-java");
    assert_eq!(config["descriptor"]["licenses"][0], "Apache-2.0");
    assert_eq!(config["modelfs"]["type"], "layers");

    // By tag and by digest, with its signature.
    let by_digest = registry.target(&format!("@{digest}"));
    for from in [&target, &by_digest] {
        let out = path("pulled.tadapter");
        assert_eq!(told(&["pull", from, "-o", &out])["digest"], digest);
        assert!(std::fs::read(&out).unwrap() == bytes, "{from}");
        stdout(&["verify", &out, "--policy", &policy]);
    }

    // Under the policy: what alice signed, and nothing else.
    let adapters = path("adapters");
    let install = ["--install", "--adapters", &adapters, "--policy", &policy];
    let installed = told(&[&["pull", &by_digest], &install[..]].concat());
    assert_eq!(
        (&installed["installed"], &installed["file"]),
        (&true.into(), &Value::Null)
    );
    stdout(&["verify", "summarize-java", "--adapters", &adapters, "--policy", &policy]);
    let unsigned = packed(temp.path(), "1.1.0");
    told(&["push", &unsigned, &registry.target(":1.1.0")]);
    refused(
        &[&["pull", &registry.target(":1.1.0")], &install[..]].concat(),
        "is not signed, and ",
    );
    assert!(std::fs::read(temp.path().join("adapters/summarize-java.tadapter")).unwrap() == bytes);
}

#[test]
fn what_a_registry_gets_wrong_is_named() {
    let Some(registry) = Registry::start(false) else { return };
    let temp = tempfile::tempdir().unwrap();
    let (archive, target) = (packed(temp.path(), "1.0.0"), registry.target(":1.0.0"));
    let out = temp.path().join("pulled.tadapter").display().to_string();
    let pull = |target: &str, expected: &str| refused(&["pull", target, "-o", &out], expected);

    let digest = told(&["push", &archive, &target])["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    pull(
        &registry.target(":2.0.0"),
        "adapters/summarize-java:2.0.0 does not exist",
    );
    pull(
        "summarize-java:1.0.0",
        "names no artifact: give REGISTRY/REPOSITORY:TAG",
    );
    let by_digest = registry.target(&format!("@{digest}"));
    refused(&["push", &archive, &by_digest], "names a digest: push to a tag");
    pull("example.org/a/b:1", "--plain-http is for registries on this machine");
    // Nobody listens where nobody has listened.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    pull(&format!("{free}/a:1"), "cannot reach 127.0.0.1:");

    // The registry's own disk goes bad: another byte, then fewer, then another manifest under the digest.
    let manifest: Value = serde_json::from_slice(&registry.get(&format!("manifests/{digest}"))).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let good = std::fs::read(registry.blob(layer)).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    std::fs::write(registry.blob(layer), &bad).unwrap();
    pull(&target, "the archive has SHA-256 sha256:");
    std::fs::write(registry.blob(layer), &good[..1000]).unwrap();
    pull(
        &target,
        &format!("the archive ended after 1000 of {} bytes", good.len()),
    );
    std::fs::write(registry.blob(layer), &good).unwrap();
    stdout(&["verify", &archive]);
    told(&["pull", &target, "-o", &out]);

    // Something else under a name that looks like a bundle's.
    let image = json(&String::from_utf8(registry.get("manifests/1.0.0")).unwrap());
    let image = image
        .to_string()
        .replace("vnd.cncf.model.manifest.v1+json", "vnd.example.other");
    let put = ureq::put(format!(
        "http://{}/v2/adapters/summarize-java/manifests/other",
        registry.address
    ))
    .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
    .send(image.as_bytes());
    assert_eq!(put.unwrap().status(), 201);
    pull(
        &registry.target(":other"),
        "is no bundle: its artifactType is \"application/vnd.example.other\"",
    );
}

#[test]
fn a_registry_that_asks_who_it_is_gets_an_answer() {
    let Some(registry) = Registry::start(true) else { return };
    let temp = tempfile::tempdir().unwrap();
    let (archive, target) = (packed(temp.path(), "1.0.0"), registry.target(":1.0.0"));
    let push = ["push", &archive, &target, "--plain-http"];
    let refused = ask(&push, None);
    let address = &registry.address;
    let expected = format!("{address} does not let us in without a password: `docker login {address}`, or set ");
    assert!(
        !refused.success && refused.stderr.contains(&expected),
        "{}",
        refused.stderr
    );
    let refused = ask(&push, Some(("user", "wrong")));
    assert!(
        refused.stderr.contains("does not let us in as user: "),
        "{}",
        refused.stderr
    );
    let pushed = ask(&push, Some(("user", "secret")));
    assert!(pushed.success, "{}", pushed.stderr);

    // As `docker login` keeps it.
    let config = temp.path().join("docker");
    std::fs::create_dir(&config).unwrap();
    let auths = format!(r#"{{"auths": {{"{address}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#);
    std::fs::write(config.join("config.json"), auths).unwrap();
    let out = temp.path().join("pulled.tadapter");
    let mut pull = program();
    pull.args(["pull", &target, "--plain-http", "-o"])
        .arg(&out)
        .env("DOCKER_CONFIG", &config);
    let pulled = finish(&mut pull);
    assert!(pulled.success, "{}", pulled.stderr);
    assert!(std::fs::read(out).unwrap() == std::fs::read(archive).unwrap());
}
