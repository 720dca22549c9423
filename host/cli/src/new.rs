//! `transducer-host new`: a project to start from.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::templates::{self, File};

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
    /// A front end: a library that makes the graphs of one more programming language
    Frontend(FrontEnd),
}

#[derive(clap::Args, Debug)]
#[command(after_help = TASK_EXAMPLES)]
struct Task {
    /// Name of the adapter: lower-case letters, digits and single hyphens
    name: String,

    /// What the task is written in
    #[arg(long, value_enum, default_value_t)]
    language: Language,

    /// Folder in which the project's own folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,

    /// Folder of the crate `transducer-task` to build against; without it that of the source tree that this program was built
    /// from, or where that is gone the released crate. For Rust alone
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

const TASK_EXAMPLES: &str = "\
Examples:
  transducer-host new task explain-briefly
  transducer-host new task explain-briefly --language javascript";

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Language {
    /// A crate against `transducer-task`
    #[default]
    Rust,
    /// An ES module; building it needs Node.js with npm
    Javascript,
    /// C11 without a C library; building it needs clang and lld
    C,
}

impl Language {
    /// The template, and the file that an author begins with.
    fn template(self) -> (&'static [File], &'static str) {
        match self {
            Self::Rust => (templates::RUST, "src/lib.rs"),
            Self::Javascript => (templates::JAVASCRIPT, "src/task.js"),
            Self::C => (templates::C, "src/task.c"),
        }
    }
}

#[derive(clap::Args, Debug)]
#[command(after_help = FRONT_END_EXAMPLE)]
struct FrontEnd {
    /// Name of the programming language, as requests name it: lower-case letters, digits and single hyphens
    language: String,

    /// Folder in which the project's own folder, `frontend-LANGUAGE`, is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,

    /// The folder `sdk` with the crates to build against; without it that of the source tree that this program was built from
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

const FRONT_END_EXAMPLE: &str = "\
Example:
  transducer-host new frontend lua      # the folder frontend-lua, with the core of Lua to start from";

/// The SDK beside which this program was built.
const SDK_OF_THIS_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");

/// Makes the project, whole or not at all.
///
/// # Errors
/// A name that is none, a folder that exists already, and what the file system says.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Task(task) => new_task(task),
        What::Frontend(front_end) => new_front_end(front_end),
    }
}

fn new_task(task: &Task) -> Result<()> {
    let name = &task.name;
    ensure!(
        is_name(name),
        "\"{name}\" cannot be the name of an adapter: give lower-case letters, digits and single hyphens, a letter first, at most 64"
    );
    let (files, main) = task.language.template();
    let sdk = dependency("task", task.sdk.as_deref(), Some("1.1.0"), "that of transducer-task")?;
    let folder = task.into.join(name);
    make(&task.into, &folder, files, |text| {
        // The path last: it may have the template's name in it.
        text.replace("my-task", name)
            .replace(r#"{ path = "../../task" }"#, &sdk)
    })?;
    let (shown, into) = (quoted(&folder), quoted(&task.into));
    writeln!(
        io::stdout(),
        "{made} is made: the task is {made}/{main}, its bundle's manifest {made}/adapter.toml. Next:\n\n  \
         transducer-host build {shown}                            # compiles the task\n  \
         transducer-host run --adapters {into} --adapter {name} Foo.java\n  \
         transducer-host dev {shown}                              # serves it, and builds it again when a file changes\n  \
         transducer-host train {shown} --data {shown}/examples.jsonl   # makes its weights",
        made = folder.display(),
    )?;
    Ok(())
}

fn new_front_end(front_end: &FrontEnd) -> Result<()> {
    let language = &front_end.language;
    ensure!(
        is_name(language),
        "\"{language}\" cannot be the name of a language: give lower-case letters, digits and single hyphens, a letter first, at \
         most 64"
    );
    let crates = ["frontend", "treesitter", "conformance"].map(|name| {
        let given = front_end.sdk.as_ref().map(|sdk| sdk.join(name));
        let dependency = dependency(
            name,
            given.as_deref(),
            None,
            "the folder sdk of a clone of this project",
        )?;
        Ok((format!(r#"{{ path = "../../{name}" }}"#), dependency))
    });
    let crates = crates.into_iter().collect::<Result<Vec<_>>>()?;
    let folder = front_end.into.join(format!("frontend-{language}"));
    let type_name: String = language.split('-').map(capitalised).collect();
    let library = language.replace('-', "_");
    make(&front_end.into, &folder, templates::FRONT_END, |text| {
        let mut text = text
            .replace("transducer-frontend-lua", &format!("transducer-frontend-{language}"))
            .replace("transducer_frontend_lua", &format!("transducer_frontend_{library}"))
            .replace("LuaFrontEnd", &format!("{type_name}FrontEnd"))
            .replace(r#""lua""#, &format!("{language:?}"));
        for (template, dependency) in &crates {
            text = text.replace(template, dependency);
        }
        text
    })?;
    let shown = quoted(&folder);
    writeln!(
        io::stdout(),
        "{made} is made: it parses the core of Lua until its grammar and src/lower.rs are those of another language. Next:\n\n  \
         cd {shown}\n  \
         cargo test --release                                                # its cases are in corpus/\n  \
         cargo build --release\n  \
         transducer-host cpg --frontends target/release FILE.{language}",
        made = folder.display(),
    )?;
    Ok(())
}

/// Makes a project's folder of a template, in one step.
fn make(into: &Path, folder: &Path, files: &[File], adapt: impl Fn(&str) -> String) -> Result<()> {
    // Also a link that leads nowhere.
    ensure!(
        folder.symlink_metadata().is_err(),
        "{} exists already: choose another name or --into",
        folder.display()
    );
    fs::create_dir_all(into).with_context(|| format!("cannot make the folder {}", into.display()))?;
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let made = builder
        .prefix(".new-")
        .tempdir_in(into)
        .with_context(|| format!("cannot make a folder in {}", into.display()))?;
    for (path, text) in files {
        let path = made.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        fs::write(&path, adapt(text)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    fs::rename(made.path(), folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    // It has moved: there is nothing left to remove.
    let _ = made.keep();
    Ok(())
}

/// A path as it is written in a shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    // Paths have no NUL, which is what it cannot quote.
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), Cow::into_owned)
}

/// Whether it can be the name of an adapter, and of a crate.
fn is_name(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    name.len() <= 64 && starts && name.split('-').all(good)
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_ascii_uppercase() + rest
}

/// A crate of the SDK as a dependency in TOML: of the folder that is given, else of the source tree that this program was built from, else
/// as it was released, if it was; `expected` tells what `--sdk` is to name.
fn dependency(name: &str, given: Option<&Path>, released: Option<&str>, expected: &str) -> Result<String> {
    let of_this_tree = Path::new(SDK_OF_THIS_TREE).join(name);
    let folder = match given {
        Some(folder) => folder,
        None if of_this_tree.join("Cargo.toml").exists() => of_this_tree.as_path(),
        None => match released {
            Some(version) => return Ok(format!("{version:?}")),
            None => bail!("the source tree that this program was built from is gone: give --sdk, {expected}"),
        },
    };
    let whole = fs::canonicalize(folder).with_context(|| format!("there is no folder {}", folder.display()))?;
    ensure!(
        whole.join("Cargo.toml").exists(),
        "{} is not the folder of a crate: --sdk names {expected}",
        whole.display()
    );
    let path = whole
        .to_str()
        .with_context(|| format!("the path {} is not UTF-8", whole.display()))?;
    // A TOML string is written as a JSON string is, as far as paths go.
    Ok(format!("{{ path = {} }}", serde_json::to_string(path)?))
}
