//! From a task's source to the WebAssembly component that hosts run: in which language it is, which toolchain there is, how it is
//! called, how a core module becomes a component, and what a component says about itself.

mod c;
mod interface;
mod javascript;
mod rust;
mod toolchain;
mod wit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wit_component::ComponentEncoder;

pub use interface::{Interface, interface};
pub use toolchain::Toolchain;

/// What tasks in Rust are compiled for: WebAssembly without an operating system.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Nothing on this machine compiles Rust for WebAssembly.
    #[error(
        "there is no Rust toolchain for {TARGET}. Install one with `rustup target add {TARGET}`, or on Debian with `apt-get \
         install rustc-web cargo-web rust-web-src lld`"
    )]
    NoToolchain,
    /// Nothing on this machine compiles C for WebAssembly.
    #[error(
        "there is no {program}, and a task in C needs it. Install LLVM's; on Debian with `apt-get install clang lld`"
    )]
    NoClang {
        /// The program that is missing.
        program: &'static str,
    },
    /// Nothing on this machine makes a component of JavaScript.
    #[error(
        "there is {found}, and a task in JavaScript needs Node.js {oldest} or newer, with npm. Install it from your system's \
         packages (`nodejs` and `npm`) or from nodejs.org"
    )]
    NoNode {
        /// What there is.
        found: String,
        /// The oldest version that will do.
        oldest: u32,
    },
    /// No source that could be compiled.
    #[error(
        "{} has no source of a task: neither Cargo.toml (Rust) nor package.json (JavaScript) nor src/task.c (C). `new task` \
         makes a project with one", folder.display()
    )]
    NoSource {
        /// The project's folder.
        folder: PathBuf,
    },
    /// The crate has no name.
    #[error("{} has no [package] with a name", path.display())]
    NoPackage {
        /// The crate's manifest.
        path: PathBuf,
    },
    /// The crate is none that a component can be made of.
    #[error("{} makes no WebAssembly module: give `crate-type = [\"cdylib\"]` in [lib]", path.display())]
    NoModule {
        /// The crate's manifest.
        path: PathBuf,
    },
    /// A file that tells how to build cannot be understood.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The bundle does not say which world its task is for.
    #[error("{} names no world: give `world = \"transducer:task@1.0.0\"` in [task]", path.display())]
    NoWorld {
        /// The bundle's manifest.
        path: PathBuf,
    },
    /// There is no such world, or it is newer than this program.
    #[error("adapter.toml asks for the world {found}; this program can build for {known}")]
    UnknownWorld {
        /// What the manifest says.
        found: String,
        /// Those there are.
        known: String,
    },
    /// The bindings of a world could not be made.
    #[error("cannot make bindings of {world}: {message}")]
    Bindings {
        /// The world.
        world: String,
        /// What the generator said.
        message: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A compiler found something wrong, and has said what.
    #[error("the task does not compile: {program} ended with {status}")]
    Compile {
        /// The compiler.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The module cannot be a component: it imports what no world has, or was not built against the SDK.
    #[error("cannot make a component of {}: {message}", path.display())]
    Encode {
        /// The core module.
        path: PathBuf,
        /// What the encoder said.
        message: String,
    },
}

/// Compiles the task in a project's folder, in whichever language it is. The compilers have the terminal, and say there what is
/// wrong with the source; `say` hears of what takes long beside.
///
/// # Errors
/// Where there is no source or no toolchain, or the source does not compile.
pub fn build(folder: &Path, say: &dyn Fn(&str)) -> Result<Vec<u8>, GuestError> {
    if folder.join("Cargo.toml").exists() {
        rust::build(folder)
    } else if folder.join(javascript::MANIFEST).exists() {
        javascript::build(folder, say)
    } else if folder.join(c::MAIN).exists() {
        c::build(folder)
    } else {
        Err(GuestError::NoSource {
            folder: folder.to_owned(),
        })
    }
}

/// Where Cargo puts the core module of a library package, below its target directory.
pub fn module_path(target_dir: &Path, package: &str) -> PathBuf {
    let name = format!("{}.wasm", package.replace('-', "_"));
    target_dir.join(TARGET).join("release").join(name)
}

/// Makes a component of a core module that was built against the SDK, which has put its world into it.
///
/// # Errors
/// [`GuestError::Read`] and [`GuestError::Encode`].
pub fn component(module: &Path) -> Result<Vec<u8>, GuestError> {
    let core = read(module)?;
    ComponentEncoder::default()
        .module(&core)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| GuestError::Encode {
            path: module.to_owned(),
            message: format!("{error:#}"),
        })
}

/// Runs a compiler to its end. Gives what it wrote to a pipe, if its output is one.
fn run(mut command: Command) -> Result<Vec<u8>, GuestError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |source| GuestError::Start {
        program: program.clone(),
        source,
    };
    let running = command.stdin(std::process::Stdio::null()).spawn().map_err(start)?;
    let Output { status, stdout, .. } = running.wait_with_output().map_err(start)?;
    if !status.success() {
        return Err(GuestError::Compile { program, status });
    }
    Ok(stdout)
}

fn read(path: &Path) -> Result<Vec<u8>, GuestError> {
    fs::read(path).map_err(|source| GuestError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, GuestError> {
    fs::read_to_string(path).map_err(|source| GuestError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_dir(folder: &Path) -> Result<Vec<PathBuf>, GuestError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|source| GuestError::Read {
        path: folder.to_owned(),
        source,
    })
}

/// Writes a file that changed, and its folder; one that says the same is left alone, for those that watch it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), GuestError> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|source| GuestError::Write {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_named() {
        let error = component(Path::new("no/such.wasm")).expect_err("there is no file");
        assert_eq!(error.to_string(), "cannot read no/such.wasm");
        let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let error = component(manifest).expect_err("a text is no module");
        assert!(error.to_string().starts_with("cannot make a component of "), "{error}");
    }
}
