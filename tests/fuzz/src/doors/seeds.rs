//! Where fuzzers begin: small inputs that go through a door, and some that nearly do.

use std::path::{Path, PathBuf};

use transducer_bundle::Archive;

/// The bundles of the repository.
///
/// # Panics
/// Where there are none.
pub fn adapters() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|folder| folder.join("adapters"));
    found
        .into_iter()
        .find(|path| path.is_dir())
        .expect("the repository has adapters/")
}

/// A manifest with every key; one of the shipped bundles has fewer.
const MANIFEST: &str = include_str!("full.toml");

const HEADER: &str = r#"{"__metadata__":{"transducer":"{\"format\":1,\"config\":{\"hidden\":8,\"width\":4,\"layers\":1,\"heads\":2,\"task_tokens\":2,\"reply_tokens\":0,\"edge_kinds\":[\"AST\"],\"cpg_schema\":1,\"parts\":\"full\"}}"},"fusion.query":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;

const POLICY: &str = r#"require-signature = true
licenses = ["Apache-2.0", "MIT"]
max-bytes = 10_000_000
revoked = ["E7620F1842B4E81F"]

[[trusted]]
key = "RWSESRqAFGI2dUoGAJ5Ycd3WFEtFKqESONuPG6KQMKKf7z85M3/OcoRk"
name = "alice"
adapters = ["summarize-*"]
"#;

const PUBLIC_KEY: &str =
    "untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";

const SIGNATURE: &str = "untrusted comment: signature\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\ntrusted comment: hello 1.2.0\ny/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";

const JAVA: &str = r#"{"code": "int twice(int x) {\n  return 2 * x;\n}", "language": "java"}"#;
const PYTHON: &str = r#"{"code": "def mean(values):\n    return sum(values) / len(values)"}"#;
const ASSERT: &str = r#"{"code": "@Test\npublic void testSize() {\n  stack.push(1);\n  <AssertPlaceHolder>\n}", "focal_method": "public int size() {\n  return count;\n}"}"#;
const COMPLETION: &str = r#"{"model": "summarize-java", "prompt": "int f() { return 1; }", "stream": true, "stream_options": {"include_usage": true}}"#;
const CHAT: &str = r#"{"model": "a", "messages": [{"role": "system", "content": null}, {"role": "user", "content": [{"type": "text", "text": "```java\nint f() { return 1; }\n```"}]}]}"#;

/// The seeds of a door, each with a name.
///
/// # Panics
/// For a door that there is not.
pub fn seeds(door: &str) -> Vec<Vec<u8>> {
    let weights = [&(HEADER.len() as u64).to_le_bytes(), HEADER.as_bytes(), &[0; 16]].concat();
    let archive = Archive {
        files: [
            ("adapter.toml", MANIFEST.as_bytes().to_vec()),
            ("task.wasm", b"component".to_vec()),
            ("transducer.safetensors", weights.clone()),
            ("README.md", b"# hello\n".to_vec()),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into(),
    };
    let mode = |mode: u8, bytes: &[u8]| [&[mode], bytes].concat();
    match door {
        "manifest" => {
            let mut manifests = vec![MANIFEST.as_bytes().to_vec()];
            for entry in std::fs::read_dir(adapters())
                .expect("the bundles can be listed")
                .flatten()
            {
                manifests.extend(std::fs::read(entry.path().join("adapter.toml")));
            }
            manifests
        }
        "archive" => {
            let packed = archive.write().expect("an archive");
            let tar = zstd::decode_all(packed.as_slice()).expect("its tar");
            let mut files = Vec::new();
            for (name, bytes) in &archive.files {
                files.extend(format!("\n==== {name} ====\n").as_bytes());
                files.extend(bytes);
            }
            vec![mode(0, &packed), mode(1, &tar), mode(2, &files)]
        }
        "weights" => vec![
            mode(0, &weights),
            mode(1, format!("{HEADER}\n\n0123456789abcdef").as_bytes()),
        ],
        "policy" => vec![
            mode(0, POLICY.as_bytes()),
            mode(0, b"require-signature = false\ntrusted = []\n"),
            mode(1, PUBLIC_KEY.as_bytes()),
            mode(2, SIGNATURE.as_bytes()),
        ],
        "request" => vec![
            mode(0, JAVA.as_bytes()),
            mode(0, PYTHON.as_bytes()),
            mode(1, ASSERT.as_bytes()),
            mode(2, JAVA.as_bytes()),
            mode(3, COMPLETION.as_bytes()),
            mode(8, CHAT.as_bytes()),
        ],
        _ => panic!("there is no door {door}"),
    }
}
