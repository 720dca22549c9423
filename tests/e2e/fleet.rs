//! Several hosts: over one directory, and as `host/deploy` has them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bundles::packed;
use crate::program::{Server, root, stdout};

/// Until hosts have seen what changed in their directory: they look every few seconds where the system does not tell them.
const CONVERGED: Duration = Duration::from_secs(30);

/// The generation of `summarize-java` that each host has, once it is this version.
fn generations(hosts: &[Server], version: &str) -> BTreeSet<String> {
    let begun = Instant::now();
    loop {
        let adapters: Vec<Value> = hosts
            .iter()
            .map(|host| host.get("/v1/adapters").1["data"][0].clone())
            .collect();
        if adapters.iter().all(|adapter| adapter["version"] == version) {
            let generation = |adapter: &Value| adapter["generation"].as_str().expect("a digest").to_owned();
            return adapters.iter().map(generation).collect();
        }
        assert!(begun.elapsed() < CONVERGED, "no host has {version}: {adapters:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn hosts_over_one_directory_have_the_same_generations() {
    let temp = tempfile::tempdir().expect("a folder");
    let adapters = temp.path().join("adapters").display().to_string();
    let (old, new) = (packed(temp.path(), "1.0.0"), packed(temp.path(), "1.1.0"));
    stdout(&["install", &old, "--adapters", &adapters]);
    let mut hosts = [(); 2].map(|()| Server::start(&["--adapters", &adapters, "--allow-changes"]));
    for host in &mut hosts {
        host.wait_for("ready on ");
    }
    let first = generations(&hosts, "1.0.0");
    assert_eq!(first.len(), 1, "{first:?}");
    // From the command line, and then through one of the hosts.
    stdout(&["install", &new, "--adapters", &adapters]);
    let second = generations(&hosts, "1.1.0");
    assert_eq!(second.len(), 1, "{second:?}");
    assert_ne!(first, second);
    let (status, answer) = hosts[0].ask("POST", "/v1/adapters/summarize-java/rollback", "", b"");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(generations(&hosts, "1.0.0"), first);
}

fn deploy() -> PathBuf {
    root().join("host/deploy")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every object of every manifest, and the file that it is in.
fn objects() -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(deploy().join("kubernetes")).expect("a folder of manifests") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let found: Vec<Value> =
            serde_saphyr::from_multiple(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        objects.extend(found.into_iter().map(|object| (name.clone(), object)));
    }
    objects
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {object}"))
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn find<'a>(objects: &'a [(String, Value)], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|(_, object)| object["kind"] == kind && object["metadata"]["name"] == name);
    &found.unwrap_or_else(|| panic!("no {kind} is named {name}")).1
}

/// Whether every label that is asked for is there.
fn selects(selector: &Value, labels: &Value) -> bool {
    let asked = selector.as_object().expect("labels");
    !asked.is_empty() && asked.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// The names that one object has for another are those that there are.
#[test]
fn the_manifests_fit_together() {
    let objects = objects();
    assert!(objects.len() >= 15, "{}", objects.len());
    let known = [
        ("v1", "ConfigMap"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("policy/v1", "PodDisruptionBudget"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("inference.networking.k8s.io/v1", "InferencePool"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ];
    let mut names = BTreeSet::new();
    for (file, object) in &objects {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        assert!(known.contains(&(version, kind)), "{file}: {version} {kind}");
        let name = text(object, "/metadata/name");
        assert!(names.insert((kind, name)), "{file}: {kind} {name} is there twice");
    }
    let workloads = |(_, object): &&(String, Value)| matches!(text(object, "/kind"), "Deployment" | "StatefulSet");
    let labels: Vec<&Value> = objects
        .iter()
        .filter(workloads)
        .map(|(_, object)| &object["spec"]["template"]["metadata"]["labels"])
        .collect();
    let selected = |selector: &Value| labels.iter().any(|labels| selects(selector, labels));
    for (file, object) in &objects {
        let name = text(object, "/metadata/name");
        match text(object, "/kind") {
            "Deployment" | "StatefulSet" => workload(&objects, file, object),
            "Service" => assert!(selected(&object["spec"]["selector"]), "{file}: {name} selects nothing"),
            "PodDisruptionBudget" | "InferencePool" => {
                let selector = &object["spec"]["selector"]["matchLabels"];
                assert!(selected(selector), "{file}: {name} selects nothing");
            }
            _ => {}
        }
    }
    let pool = find(&objects, "InferencePool", "transducer-host");
    let picker = find(&objects, "Service", text(pool, "/spec/endpointPickerRef/name"));
    assert_eq!(
        picker["spec"]["ports"][0]["port"],
        pool["spec"]["endpointPickerRef"]["port"]["number"]
    );
    let host = find(&objects, "Deployment", "transducer-host");
    let port = &list(host, "/spec/template/spec/containers")[0]["ports"][0]["containerPort"];
    assert_eq!(pool["spec"]["targetPorts"][0]["number"], *port);
    // Each replica that hosts are told of, and no other.
    let settings = text(find(&objects, "ConfigMap", "transducer-host"), "/data/host.toml");
    let vllm = find(&objects, "StatefulSet", "vllm");
    let replicas = vllm["spec"]["replicas"].as_u64().expect("a number");
    for replica in 0..=replicas {
        let named = settings.contains(&format!("vllm+http://vllm-{replica}.vllm:8000"));
        assert_eq!(named, replica < replicas, "{settings}");
    }
}

/// Selectors, volumes, ports and probes of a workload.
fn workload(objects: &[(String, Value)], file: &str, object: &Value) {
    let (spec, pod) = (&object["spec"], &object["spec"]["template"]["spec"]);
    let labels = &spec["template"]["metadata"]["labels"];
    assert!(selects(&spec["selector"]["matchLabels"], labels), "{file}: {labels}");
    let volumes = list(pod, "/volumes");
    for volume in volumes {
        if let Some(name) = volume.pointer("/configMap/name").and_then(Value::as_str) {
            find(objects, "ConfigMap", name);
        }
        if let Some(name) = volume
            .pointer("/persistentVolumeClaim/claimName")
            .and_then(Value::as_str)
        {
            find(objects, "PersistentVolumeClaim", name);
        }
    }
    if let Some(account) = pod["serviceAccountName"].as_str() {
        find(objects, "ServiceAccount", account);
    }
    for container in list(pod, "/containers") {
        let ports = list(container, "/ports");
        for mount in list(container, "/volumeMounts") {
            let name = &mount["name"];
            assert!(
                volumes.iter().any(|volume| volume["name"] == *name),
                "{file}: no volume {name}"
            );
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                let port = &container[probe][way]["port"];
                let known = port.is_null() || ports.iter().any(|known| known["name"] == *port);
                assert!(known, "{file}: {probe} asks at {port}");
            }
        }
        assert!(
            !container["readinessProbe"].is_null(),
            "{file}: {} has no readiness probe",
            container["name"]
        );
    }
}

/// What the manifests say of this program, it has: settings, route, metrics.
#[test]
fn the_manifests_are_of_this_program() {
    let objects = objects();
    let temp = tempfile::tempdir().expect("a folder");
    let settings = temp.path().join("host.toml");
    let text_of_settings = text(find(&objects, "ConfigMap", "transducer-host"), "/data/host.toml");
    std::fs::write(&settings, text_of_settings).expect("it can be written");
    let effective = stdout(&["serve", "--config", &settings.display().to_string(), "--print-config"]);
    assert!(
        effective.contains("vllm+http://vllm-0.vllm:8000,vllm+http://vllm-1.vllm:8000"),
        "{effective}"
    );

    let host = find(&objects, "Deployment", "transducer-host");
    let container = &list(host, "/spec/template/spec/containers")[0];
    let path = text(container, "/readinessProbe/httpGet/path");
    let mut server = Server::start(&[]);
    server.wait_for("ready on ");
    assert_eq!(server.get(path).0, 200);
    let metrics = server.get_for_text("/metrics");
    let picker = find(&objects, "Deployment", "transducer-host-picker");
    let mut gauges = 0;
    for argument in list(&list(picker, "/spec/template/spec/containers")[0], "/args") {
        let argument = argument.as_str().expect("a text");
        if let Some((flag, name)) = argument.split_once('=').filter(|(flag, _)| flag.ends_with("-metric")) {
            gauges += 1;
            assert!(
                metrics.contains(&format!("# TYPE {name} gauge")),
                "{flag}: no {name}\n{metrics}"
            );
        }
    }
    assert_eq!(gauges, 3);
}

/// systemd reads it; what it starts is not installed here, so that something else takes its place.
#[test]
fn the_unit_is_one() {
    let unit = read(&deploy().join("systemd/transducer-host.service"));
    for section in ["[Unit]", "[Service]", "[Install]"] {
        assert!(unit.contains(section), "no {section}");
    }
    let start = "ExecStart=/usr/local/bin/transducer-host serve";
    assert!(unit.contains(start));
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join("transducer-host.service");
    std::fs::write(&path, unit.replace(start, "ExecStart=/bin/true")).expect("it can be written");
    match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            // What the computer's own units are blamed for is not about ours.
            let about_ours: Vec<_> = told.lines().filter(|line| line.contains("transducer-host")).collect();
            assert!(about_ours.is_empty(), "{about_ours:?}");
        }
        Err(error) => eprintln!("not verified by systemd: {error}"),
    }
}

/// The image has every part that an installation needs.
#[test]
fn the_image_has_all_parts() {
    let file = read(&deploy().join("Containerfile"));
    for part in [
        "transducer-host-llm",
        "release/*.so",
        "/opt/libtorch/lib",
        "release/transducer-host /usr/local/bin/",
    ] {
        assert!(file.contains(part), "no {part}");
    }
    let port = "8077";
    assert!(file.contains(&format!("EXPOSE {port}")) && file.contains(&format!("TRANSDUCER_LISTEN=0.0.0.0:{port}")));
}
