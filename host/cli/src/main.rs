//! `transducer-host`: the program that people call. See the library for why there are two.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use transducer_host::{
    LLM_PROGRAM, LogArgs, about, access, bench, build, compare, cpg, diff, doctor, exit_code, inspect, install, key,
    mine, new, parts_dir, registry, sign,
};

/// How many compiled kernels oneDNN keeps in a training. Its batches have thousands of shapes; with the default of 1,024 the
/// kernels alone come to some hundred MiB (2,241 against 1,933 MiB at most, after ten steps), and to compile one
/// again costs less than can be measured.
const KERNEL_CACHE: (&str, &str) = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64");

/// Has glibc ask for large pages in a training, whose tensors of megabytes come and go all the time: 218 against 229 tokens/s side by side,
/// for 1% more memory (host/train/EXPERIMENTS.md).
const LARGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Heaps that glibc keeps while serving. With its default of eight a core, each keeps what the largest request on its threads once took:
/// 1.5 GB after five minutes of 32 clients, and growing (tests/bench/soak.py).
const HEAPS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// One frozen code LLM, many tasks.
///
/// An adapter bundle turns a request into a prompt, reads the code property graph of the code in it, rewrites the prompt's
/// input embeddings with that graph, and turns the LLM's text into an answer. The LLM itself is never tuned.
#[derive(Parser)]
#[command(
    name = "transducer-host",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Task {
    #[command(about = about::RUN)]
    Run(HandedOver),
    #[command(about = about::SERVE)]
    Serve(HandedOver),
    /// Print the code property graph of a file
    Cpg(cpg::Args),
    /// Compare two files of predictions row by row
    Compare(compare::Args),
    /// Start a project of your own
    New(new::Args),
    /// Compile the task of a bundle to WebAssembly
    Build(build::Args),
    #[command(about = about::TEST)]
    Test(HandedOver),
    #[command(about = about::DEV)]
    Dev(HandedOver),
    /// Make training data of a source tree
    Mine(mine::Args),
    #[command(about = about::ADAPTERS)]
    Adapters(HandedOver),
    #[command(about = about::PACK)]
    Pack(HandedOver),
    #[command(about = about::VERIFY)]
    Verify(HandedOver),
    /// Show all that is in a bundle
    Inspect(inspect::Args),
    /// Show in what two bundles differ
    Diff(diff::Args),
    /// Put load on a running server, and measure how it bears it
    Bench(bench::Args),
    /// Say what is wrong with this set-up, and how to mend it
    Doctor(doctor::Args),
    /// Make and revoke keys of those who ask a server
    Access(access::Args),
    /// Make keys to sign archives with
    Key(key::Args),
    /// Sign a .tadapter file
    Sign(sign::Args),
    /// Put a .tadapter file into the adapters directory
    Install(install::InstallArgs),
    /// Remove an installed adapter, and its earlier versions
    Uninstall(install::NameArgs),
    /// Put the version of an adapter back that was installed before the current one
    Rollback(install::NameArgs),
    /// Put a .tadapter file into an OCI registry
    Push(registry::PushArgs),
    /// Fetch a .tadapter file from an OCI registry
    Pull(registry::PullArgs),
    #[command(about = about::TRAIN)]
    Train(HandedOver),
    #[command(about = about::EVAL)]
    Eval(HandedOver),
}

/// A command of the other program, which knows its options and prints its help.
#[derive(clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
struct HandedOver {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = || cli.log.start("warn");
    exit_code(match cli.task {
        Task::Compare(args) => compare::run(&args),
        Task::Cpg(args) => log().and_then(|()| cpg::run(&args)),
        Task::New(args) => new::run(&args),
        Task::Build(args) => build::run(&args),
        Task::Mine(args) => log().and_then(|()| mine::run(&args)),
        Task::Inspect(args) => inspect::run(&args),
        Task::Diff(args) => diff::run(&args),
        Task::Doctor(args) => doctor::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Access(args) => access::run(&args),
        Task::Key(args) => key::run(&args),
        Task::Sign(args) => sign::run(&args),
        Task::Install(args) => install::install(&args),
        Task::Uninstall(args) => install::uninstall(&args),
        Task::Push(args) => registry::push(&args),
        Task::Pull(args) => registry::pull(&args),
        Task::Rollback(args) => install::rollback(&args),
        Task::Run(_)
        | Task::Test(_)
        | Task::Dev(_)
        | Task::Adapters(_)
        | Task::Pack(_)
        | Task::Verify(_)
        | Task::Eval(_) => hand_over(&[]),
        Task::Serve(_) => hand_over(&[HEAPS]),
        Task::Train(_) => hand_over(&[KERNEL_CACHE, LARGE_PAGES]),
    })
}

/// Becomes the program with the LLM, with the very same arguments; returns only where that fails. A variable of `usual` is set
/// unless the user has set it.
fn hand_over(usual: &[(&str, &str)]) -> Result<()> {
    let program = parts_dir()?.join(LLM_PROGRAM);
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1));
    // What whoever calls has set stays.
    let unset = usual.iter().filter(|(name, _)| std::env::var_os(name).is_none());
    command.envs(unset.copied());
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}, which is a part of this program", program.display()))
}
