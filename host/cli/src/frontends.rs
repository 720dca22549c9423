//! Where the parts of an installation are, and the front ends among them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use transducer_frontends::FrontEnds;

/// Where the parts lie that this program loads or starts: beside it, or in `../lib/transducer-host`.
///
/// # Errors
/// Where the system does not tell where this program lies.
pub fn parts_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let installed = beside.join("../lib/transducer-host");
    Ok(if installed.is_dir() {
        installed
    } else {
        beside.to_owned()
    })
}

/// Where the CPG front ends are.
#[derive(Args, Debug)]
pub struct FrontEndOptions {
    /// Directory of the CPG front ends [default: beside this program, or in ../lib/transducer-host]
    #[arg(long, env = "TRANSDUCER_FRONTENDS", value_name = "DIR")]
    frontends: Option<PathBuf>,
}

impl FrontEndOptions {
    /// The directory named, or else where an installation has it.
    ///
    /// # Errors
    /// Where the system does not tell where this program lies.
    pub fn dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.frontends {
            return Ok(dir.clone());
        }
        parts_dir().context("name --frontends")
    }

    /// Loads every front end there.
    ///
    /// # Errors
    /// For the first one that cannot be used, and where there is none.
    pub fn load(&self) -> Result<FrontEnds> {
        Ok(FrontEnds::load_dir(&self.dir()?)?)
    }
}
