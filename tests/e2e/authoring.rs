//! `new`: what somebody who writes a task begins with.

use std::fs;

use crate::program::{failure, json, root, stdout};

#[test]
fn a_new_task_is_a_bundle_once_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let printed = stdout(&["new", "task", "explain-briefly", "--into", into]);
    assert!(printed.contains("transducer-host build"), "{printed}");
    let made = folder.path().join("explain-briefly");
    // Nothing of the template's own name or place is left.
    for file in ["Cargo.toml", "adapter.toml", "README.md", "src/lib.rs"] {
        let text = fs::read_to_string(made.join(file)).unwrap();
        assert!(
            !text.contains("my-task") && !text.contains("../../task"),
            "{file}: {text}"
        );
    }
    let manifest = fs::read_to_string(made.join("Cargo.toml")).unwrap();
    let sdk = root().join("sdk/task");
    assert!(
        manifest.contains(&format!("path = {:?}", sdk.to_str().unwrap())),
        "{manifest}"
    );

    // What `build` makes of it: the template's component. Its manifest is for the default model.
    fs::copy(root().join("sdk/templates/task/task.wasm"), made.join("task.wasm")).unwrap();
    let tested = stdout(&["test", made.to_str().unwrap(), "--no-model"]);
    assert!(tested.contains("2 cases: 2 passed, 0 failed"), "{tested}");
    let listed = json(&stdout(&["adapters", "--adapters", into, "--json"]));
    let listed = listed.to_string();
    assert!(
        listed.contains("explain-briefly") && listed.contains("\"ready\""),
        "{listed}"
    );

    let again = failure(&["new", "task", "explain-briefly", "--into", into]);
    assert!(again.contains("exists already"), "{again}");
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "a folder was left over");
}

#[test]
fn a_name_that_no_adapter_can_have_is_refused() {
    for name in ["Explain", "a--b", "", "../up", "9to5", "-x"] {
        let error = failure(&["new", "task", "--", name]);
        assert!(error.contains("cannot be the name of an adapter"), "{name}: {error}");
    }
}

#[test]
fn a_folder_without_source_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let error = failure(&["build", folder.path().to_str().unwrap()]);
    assert!(error.contains("Cargo.toml") && error.contains("new task"), "{error}");
}
