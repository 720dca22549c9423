//! `transducer-host new`: a project to start from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Arguments of the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// A task: the source of its component and the manifest of its bundle, in one folder
    Task(Task),
}

#[derive(clap::Args, Debug)]
struct Task {
    /// Name of the adapter: lower-case letters, digits and single hyphens
    name: String,

    /// Folder in which the project's own folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,

    /// Folder of the crate `transducer-task` to build against; without it that of the source tree that this program was built
    /// from, or where that is gone the released crate
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// The files of the template, and where they go.
const FILES: [(&str, &str); 9] = [
    (".gitignore", include_str!("../../../sdk/templates/task/gitignore")),
    ("Cargo.toml", include_str!("../../../sdk/templates/task/Cargo.toml")),
    ("README.md", include_str!("../../../sdk/templates/task/README.md")),
    ("adapter.toml", include_str!("../../../sdk/templates/task/adapter.toml")),
    (
        "cases/blank.json",
        include_str!("../../../sdk/templates/task/cases/blank.json"),
    ),
    (
        "cases/twice.json",
        include_str!("../../../sdk/templates/task/cases/twice.json"),
    ),
    (
        "src/answer.schema.json",
        include_str!("../../../sdk/templates/task/src/answer.schema.json"),
    ),
    ("src/lib.rs", include_str!("../../../sdk/templates/task/src/lib.rs")),
    (
        "src/request.schema.json",
        include_str!("../../../sdk/templates/task/src/request.schema.json"),
    ),
];

/// What the template says where it depends on the SDK.
const SDK_IN_TEMPLATE: &str = r#"{ path = "../../task" }"#;

/// The SDK beside which this program was built.
const SDK_OF_THIS_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/task");

/// Makes the project, whole or not at all.
///
/// # Errors
/// A name that no adapter can have, a folder that exists already, and what the file system says.
pub fn run(args: &Args) -> Result<()> {
    let What::Task(Task { name, into, sdk }) = &args.what;
    check(name)?;
    let folder = into.join(name);
    ensure!(
        !folder.exists(),
        "{} exists already: choose another name or --into",
        folder.display()
    );
    let sdk = dependency(sdk.as_deref())?;
    fs::create_dir_all(into).with_context(|| format!("cannot make the folder {}", into.display()))?;
    let made = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(into)
        .with_context(|| format!("cannot make a folder in {}", into.display()))?;
    for (path, template) in FILES {
        let path = made.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        let text = template.replace(SDK_IN_TEMPLATE, &sdk).replace("my-task", name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    fs::rename(made.keep(), &folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let shown = folder.display();
    println!(
        "{shown} is made: the task is {shown}/src/lib.rs, its bundle's manifest {shown}/adapter.toml. Next:\n\n  \
         transducer-host build {shown}                            # compiles the task\n  \
         transducer-host test {shown}                             # runs its cases\n  \
         transducer-host run --adapters {} --adapter {name} Foo.java\n  \
         transducer-host train {shown} --data examples.jsonl      # makes its weights",
        into.display()
    );
    Ok(())
}

fn check(name: &str) -> Result<()> {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if name.len() <= 64 && starts && name.split('-').all(good) {
        return Ok(());
    }
    bail!(
        "\"{name}\" cannot be the name of an adapter: give lower-case letters, digits and single hyphens, a letter first, at most 64"
    )
}

/// The SDK as a dependency in TOML.
fn dependency(given: Option<&Path>) -> Result<String> {
    let folder = match given {
        Some(folder) => folder,
        None if Path::new(SDK_OF_THIS_TREE).join("Cargo.toml").exists() => Path::new(SDK_OF_THIS_TREE),
        None => return Ok("\"1.1.0\"".to_owned()),
    };
    let whole = fs::canonicalize(folder).with_context(|| format!("there is no folder {}", folder.display()))?;
    ensure!(
        whole.join("Cargo.toml").exists(),
        "{} is not the folder of a crate: --sdk names that of transducer-task",
        whole.display()
    );
    let path = whole
        .to_str()
        .with_context(|| format!("the path {} is not UTF-8", whole.display()))?;
    // A TOML string is written as a JSON string is, as far as paths go.
    Ok(format!("{{ path = {} }}", serde_json::to_string(path)?))
}
