//! What compiles Rust for WebAssembly on this machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{GuestError, TARGET};

/// How WebAssembly can be built on this machine.
#[derive(Debug)]
pub enum Toolchain {
    /// The standard library for WebAssembly is installed.
    Installed,
    /// The standard library comes as source and is built along, as with Debian's packages.
    BuildStd {
        /// Where that toolchain's programs are.
        bin: PathBuf,
        /// The standard library's source.
        library: PathBuf,
    },
}

impl Toolchain {
    /// Finds one, as seen from a folder, whose `rust-toolchain.toml` may have a say.
    ///
    /// # Errors
    /// [`GuestError::NoToolchain`] says what to install.
    pub fn find(root: &Path) -> Result<Self, GuestError> {
        if rustc_prints(root, Path::new("rustc"), "target-libdir").is_some_and(|dir| dir.is_dir()) {
            return Ok(Self::Installed);
        }
        let bin = PathBuf::from("/usr/bin");
        let library = rustc_prints(root, &bin.join("rustc"), "sysroot")
            .map(|sysroot| sysroot.join("lib").join("rustlib").join("src").join("rust"));
        let linker = Command::new("wasm-ld").arg("--version").output();
        match library {
            Some(library) if library.join("library").is_dir() && linker.is_ok() => Ok(Self::BuildStd { bin, library }),
            _ => Err(GuestError::NoToolchain),
        }
    }

    /// Cargo, set up so that neither the machine's paths (`root` is the sources' folder) nor its home end up in the binaries.
    pub fn cargo(&self, root: &Path) -> Command {
        let mut remap = vec![remap_path(root, "/transducer")];
        remap.extend(registries().iter().map(|sources| remap_path(sources, "/cargo")));
        let mut cargo = match self {
            Self::Installed => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::BuildStd { bin, library } => {
                remap.push(remap_path(library, "/rustc"));
                let mut cargo = Command::new(bin.join("cargo"));
                cargo
                    .env("RUSTC", bin.join("rustc"))
                    // `-Zbuild-std` is not stable yet.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld")
                    .arg("-Zbuild-std=std,panic_abort");
                cargo
            }
        };
        cargo.env("CARGO_ENCODED_RUSTFLAGS", remap.join(&OsString::from("\x1f")));
        cargo
    }
}

fn remap_path(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

/// Where Cargo keeps the sources of dependencies: a folder a registry, named after the registry's host.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folders = home.and_then(|home| fs::read_dir(home.join("registry").join("src")).ok());
    folders
        .into_iter()
        .flatten()
        .flatten()
        .map(|folder| folder.path())
        .collect()
}

/// A path that this compiler prints about itself for the target; `None` where there is no such compiler.
fn rustc_prints(root: &Path, rustc: &Path, what: &str) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .current_dir(root)
        .args(["--print", what, "--target", TARGET])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}
