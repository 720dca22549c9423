//! The projects that `new` makes, as they lie in `sdk/templates`.

/// Where a file goes, and what is in it.
pub(crate) type File = (&'static str, &'static str);

/// A file of a template that goes to the same place in the project.
macro_rules! file {
    ($template:literal, $path:literal) => {
        ($path, text!($template, $path))
    };
    ($template:literal, $path:literal, $to:literal) => {
        ($to, text!($template, $path))
    };
}

macro_rules! text {
    ($template:literal, $path:literal) => {
        include_str!(concat!("../../../sdk/templates/", $template, "/", $path))
    };
}

pub(crate) const RUST: &[File] = &[
    file!("task", "gitignore", ".gitignore"),
    file!("task", "Cargo.lock"),
    file!("task", "Cargo.toml"),
    file!("task", "README.md"),
    file!("task", "adapter.toml"),
    file!("task", "cases/blank.json"),
    file!("task", "cases/twice.json"),
    file!("task", "examples.jsonl"),
    file!("task", "src/answer.schema.json"),
    file!("task", "src/lib.rs"),
    file!("task", "src/request.schema.json"),
];

pub(crate) const JAVASCRIPT: &[File] = &[
    file!("task-javascript", "gitignore", ".gitignore"),
    file!("task", "README.md"),
    file!("task", "adapter.toml"),
    file!("task", "cases/blank.json"),
    file!("task", "cases/twice.json"),
    file!("task", "examples.jsonl"),
    file!("task-javascript", "package-lock.json"),
    file!("task-javascript", "package.json"),
    file!("task-javascript", "src/task.js"),
];

pub(crate) const C: &[File] = &[
    file!("task-c", "gitignore", ".gitignore"),
    file!("task", "README.md"),
    file!("task", "adapter.toml"),
    file!("task", "cases/blank.json"),
    file!("task", "cases/twice.json"),
    file!("task", "examples.jsonl"),
    file!("task-c", "src/task.c"),
];

pub(crate) const FRONT_END: &[File] = &[
    file!("frontend", "Cargo.lock"),
    file!("frontend", "Cargo.toml"),
    file!("frontend", "README.md"),
    file!("frontend", "corpus/assignments.txt"),
    file!("frontend", "corpus/branches.txt"),
    file!("frontend", "corpus/loop.txt"),
    file!("frontend", "gitignore", ".gitignore"),
    file!("frontend", "src/lib.rs"),
    file!("frontend", "src/lower.rs"),
    file!("frontend", "tests/frontend.rs"),
];
