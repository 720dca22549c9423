//! `sdk/FRONTENDS.md` is right: its commands are run word by word, and what they build is loaded.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use transducer_cpg::EdgeKind;
use transducer_frontends::FrontEnds;

/// Blocks with this command need the host's program.
const HOST: &str = "transducer-host cpg";

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository")
}

/// The guide's commands, a block an entry.
fn blocks() -> Vec<String> {
    let guide = std::fs::read_to_string(repository().join("sdk/FRONTENDS.md")).expect("the guide");
    let parts = guide.split("\n```sh\n").skip(1);
    let commands = parts.map(|part| part.split("\n```").next().unwrap_or_default().to_owned());
    commands.collect()
}

/// Runs commands as one script, with `folder` put before the path.
fn run(script: &str, at: &Path, folder: Option<&Path>) -> String {
    let path = std::env::var("PATH").expect("a path");
    let path = folder.map_or(path.clone(), |folder| format!("{}:{path}", folder.display()));
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(at)
        .env("PATH", path)
        // What is compiled is kept from run to run, beside this test; what is made lies where the guide says.
        .env(
            "CARGO_BUILD_BUILD_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("how-to-build"),
        )
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("BLESS")
        .output()
        .expect("sh starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{script}\n{out}\n{err}");
    out.into_owned()
}

/// A folder with the repository in it, as the guide wants it, and the guide's blocks run there but for those of the host.
fn followed(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("the folder of a run before");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    std::os::unix::fs::symlink(repository(), folder.join("transducer-host")).expect("a link");
    let blocks: Vec<String> = blocks().into_iter().filter(|block| !block.contains(HOST)).collect();
    assert_eq!(blocks.len(), 3, "start, tests, installing: {blocks:?}");
    let out = run(&blocks.join("\n"), &folder, None);
    assert!(out.contains("ddg local a -> a [a]"), "the blessed case is shown: {out}");
    folder.join("frontend-lua")
}

#[test]
fn the_guide_leads_to_a_front_end_that_loads() {
    let made = followed("how-to");
    let frontends = FrontEnds::load_dir(&made.join("frontends")).expect("the front end loads");
    let source = std::fs::read_to_string(made.join("twice.lua")).expect("the guide's source");
    let language = frontends.by_extension("lua").expect("Lua is there").name.clone();
    let graph = frontends.parse(&language, &source).expect("a graph");
    assert!(graph.diagnostics().is_empty(), "{:?}", graph.diagnostics());
    assert!(!graph.edges_of(EdgeKind::ReachingDef).is_empty());
    assert_eq!(
        graph.edges_of(EdgeKind::Call).len(),
        1,
        "`twice(4)` calls the function above"
    );
}

/// `TRANSDUCER_HOST` is the folder of the host's program.
#[test]
#[ignore = "needs the host's program, which other packages build"]
fn the_host_shows_its_graph() {
    let program = PathBuf::from(std::env::var_os("TRANSDUCER_HOST").expect("the folder of transducer-host"));
    let made = followed("how-to-host");
    let block = blocks()
        .into_iter()
        .find(|block| block.contains(HOST))
        .expect("the host's block");
    let out = run(&block, &made, Some(&program));
    assert!(out.contains("REACHING_DEF"), "{out}");
}
