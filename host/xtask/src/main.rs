//! Development tasks: `cargo xtask setup | serve | test | tasks | toolchains`.
//!
//! Everything that a fresh machine needs beyond Rust, Python and pip is fetched by [`provision`] into one
//! git-ignored folder, `.local/`. Every task that needs it runs it first.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

mod guests;
mod provision;
mod toolchains;

/// Plugins outside of the workspace, as authors elsewhere write them.
const OUTSIDE_PLUGINS: [&str; 7] = [
    "sdk/examples/0_hello/Cargo.toml",
    "sdk/examples/1_answer/Cargo.toml",
    "sdk/examples/2_graph/Cargo.toml",
    "sdk/examples/3_metric/Cargo.toml",
    "sdk/examples/frontend-javascript/Cargo.toml",
    "sdk/templates/frontend/Cargo.toml",
    "sdk/templates/task/Cargo.toml",
];

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Provisioning and development tasks")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Put libtorch (CPU) and the default model into .local/ (640 MB to download, 580 MB on disk)
    Setup,
    /// Build the host and serve adapters/ with the default model on 127.0.0.1:8077
    Serve {
        /// Passed on to `transducer-host serve`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Compile tasks to WebAssembly and put them into their bundles: a new release of each
    Tasks {
        /// Compile nothing; fail if a committed task.wasm was made from other sources than those that lie here
        #[arg(long, conflicts_with = "bundles")]
        check: bool,
        /// The bundles' folders, such as adapters/assert-java [default: all that have a task of this tree]
        bundles: Vec<String>,
    },
    /// Install what compiles tasks (Rust for WebAssembly, clang, Node.js) from Debian's packages
    Toolchains,
    /// Build everything and run every test, but for those that compile tasks: see `toolchains`
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run_task(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task(task: Task) -> Result<()> {
    let root = workspace_root()?;
    match task {
        Task::Setup => provision::ensure(&root).map(drop),
        Task::Serve { args } => serve(&root, &args),
        Task::Tasks { check: true, .. } => guests::check_tasks(&root),
        Task::Tasks { check: false, bundles } => guests::build_tasks(&root, &bundles),
        Task::Toolchains => toolchains::ensure(&root),
        Task::Test { args } => test(&root, &args),
    }
}

fn serve(root: &Path, args: &[String]) -> Result<()> {
    let provided = provision::ensure(root)?;
    cargo(
        root,
        &provided,
        &[
            "build",
            "--package",
            "transducer-host",
            "--package",
            "transducer-frontend-java",
            "--package",
            "transducer-frontend-python",
        ],
    )?;
    let mut host = Command::new(target_dir(root).join("debug").join("transducer-host"));
    // The setting of .cargo/config.toml is for tests side by side; a host is left to libtorch's default.
    host.env_remove("OMP_WAIT_POLICY");
    host.current_dir(root)
        .env("TRANSDUCER_MODEL", &provided.model)
        .args(["serve", "--adapters", "adapters"])
        .args(args);
    run(host)
}

fn test(root: &Path, args: &[String]) -> Result<()> {
    guests::check_tasks(root)?;
    let provided = provision::ensure(root)?;
    let mut arguments = vec!["test", "--workspace"];
    arguments.extend(args.iter().map(String::as_str));
    cargo(root, &provided, &arguments)?;
    // The tasks have a workspace of their own, since they are compiled for WebAssembly; their tests run here.
    let mut arguments = vec!["test", "--workspace", "--locked", "--manifest-path", guests::MANIFEST];
    arguments.extend(["--target-dir", "target/guests"]);
    arguments.extend(args.iter().map(String::as_str));
    cargo(root, &provided, &arguments)?;
    // So do the templates and examples, each a workspace of its own.
    for manifest in OUTSIDE_PLUGINS {
        let mut arguments = vec!["test", "--locked", "--manifest-path", manifest];
        arguments.extend(["--target-dir", "target/outside"]);
        arguments.extend(args.iter().map(String::as_str));
        cargo(root, &provided, &arguments)?;
    }
    Ok(())
}

fn cargo(root: &Path, provided: &provision::Provided, args: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(args)
        .env("LIBTORCH", &provided.libtorch)
        .env("TRANSDUCER_MODEL", &provided.model);
    // What cargo tells this program about itself: build scripts that read it would run again, and all that rests on them.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name == "CARGO_MANIFEST_DIR" || name.starts_with("CARGO_PKG_"))
        {
            cargo.env_remove(name);
        }
    }
    run(cargo)
}

/// Runs to the end; the child has the terminal, so Ctrl-C reaches it.
fn run(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn workspace_root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("host/xtask stands two folders below the workspace root")
}
