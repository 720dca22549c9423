//! What the two programs of the command line share.
//!
//! `transducer-host` is the one that people call. It answers by itself whatever needs no LLM, and starts in milliseconds, for it
//! links no libtorch, whose loading alone takes a fifth of a second. What needs the LLM it hands over to
//! `transducer-host-llm`, which lies beside it. So it does what needs tensors and the sandbox, as `pack` and `verify` do.

pub mod access;
pub mod bench;
pub mod build;
pub mod bundles;
pub mod compare;
pub mod cpg;
pub mod diff;
pub mod doctor;
mod frontends;
pub mod inspect;
pub mod install;
pub mod key;
mod logging;
pub mod mine;
pub mod new;
pub mod registry;
pub mod scores;
pub mod sign;
mod source;
mod stop;
mod templates;
pub mod vcs;

pub use frontends::{FrontEndOptions, parts_dir};
pub use logging::LogArgs;
pub use source::{Source, SourceArgs};
pub use stop::{STOPPED, Stopped, end_at_once, stop_flag};

use std::process::ExitCode;

/// The program with the LLM, a part of an installation.
pub const LLM_PROGRAM: &str = "transducer-host-llm";

/// One line for each command that needs the LLM, or the libraries that run it: what both programs say of it.
pub mod about {
    /// Of `run`.
    pub const RUN: &str = "Ask one adapter about one file";
    /// Of `serve`.
    pub const SERVE: &str = "Serve every adapter of a directory over HTTP";
    /// Of `dev`.
    pub const DEV: &str = "Serve one bundle, and build it again whenever its source changes";
    /// Of `train`.
    pub const TRAIN: &str = "Make a bundle's weights from examples";
    /// Of `eval`.
    pub const EVAL: &str = "Judge a bundle by the answers that it gives to a test file";
    /// Of `test`.
    pub const TEST: &str = "Run a bundle's own cases, cases/*.json, in the sandbox";
    /// Of `pack`.
    pub const PACK: &str = "Make one file, NAME-VERSION.tadapter, of a bundle's folder";
    /// Of `verify`.
    pub const VERIFY: &str = "Check whether a host would take a bundle";
    /// Of `adapters`.
    pub const ADAPTERS: &str = "List the adapters of a directory and what is wrong with those that cannot be used";
}

/// Tells how a command ended: an error is a line on standard error, and so is that it was stopped.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Stopped>() => {
            eprintln!("{error}");
            ExitCode::from(STOPPED)
        }
        Err(error) => {
            eprintln!("error: {}", told_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes. Many errors of ours tell their cause themselves; it is not told again.
fn told_once(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// `transducer-host cpg … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
