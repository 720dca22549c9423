//! From a task's source to the WebAssembly component that hosts run: which toolchain there is, how it is called, how a core
//! module becomes a component, and what a component says about itself.

mod interface;
mod toolchain;

use std::path::{Path, PathBuf};

use wit_component::ComponentEncoder;

pub use interface::{Interface, interface};
pub use toolchain::Toolchain;

/// What tasks are compiled for: WebAssembly without an operating system.
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
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
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
    let core = std::fs::read(module).map_err(|source| GuestError::Read {
        path: module.to_owned(),
        source,
    })?;
    ComponentEncoder::default()
        .module(&core)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| GuestError::Encode {
            path: module.to_owned(),
            message: format!("{error:#}"),
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
