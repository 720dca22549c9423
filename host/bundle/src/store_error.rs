//! Why an adapters directory was not changed.

use std::io;
use std::path::PathBuf;

use crate::{AdapterName, BundleError, Expected, Generation, SignatureError, WeightsError};

/// Why nothing was installed, removed or rolled back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The weights in it.
    #[error("{name}: {source}")]
    Weights {
        /// The adapter.
        name: AdapterName,
        /// What is wrong with them.
        source: WeightsError,
    },
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A folder was given where an archive is needed.
    #[error("{path} is not a .tadapter file: `pack` makes one of a bundle's folder")]
    NotPacked {
        /// What was given.
        path: PathBuf,
    },
    /// Something that `install` did not put there has the name.
    #[error("{path} is a bundle named {name} that `install` did not put there: move it away first")]
    Occupied {
        /// The adapter.
        name: AdapterName,
        /// What is there.
        path: PathBuf,
    },
    /// A later version is installed.
    #[error("{name} {installed} is installed, and {offered} is older: give --allow-downgrade if you mean it")]
    Downgrade {
        /// The adapter.
        name: AdapterName,
        /// The version that is there.
        installed: semver::Version,
        /// The version that would replace it.
        offered: semver::Version,
    },
    /// The same version with other contents: one of the two is not what its author calls by that version.
    #[error(
        "{name} {version} is installed with other contents (generation {installed}, this is {offered}): \
         raise the version, or give --allow-downgrade if you mean it"
    )]
    SameVersion {
        /// The adapter.
        name: AdapterName,
        /// The version of both.
        version: semver::Version,
        /// The generation that is there.
        installed: Box<Generation>,
        /// The generation that would replace it.
        offered: Box<Generation>,
    },
    /// There is no such adapter.
    #[error("no archive in {dir} is named {name}")]
    NotInstalled {
        /// The adapter.
        name: AdapterName,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The archive is another adapter's.
    #[error("the bundle is named {found}, not {name}")]
    OtherName {
        /// The name asked for.
        name: AdapterName,
        /// The bundle's.
        found: AdapterName,
    },
    /// What is there is not what whoever asked had seen.
    #[error(
        "{name} is {}, and the change is for {expected}: look at what is there now, and decide again",
        .found.as_ref().map_or("not installed".to_owned(), |found| format!("at generation {found}"))
    )]
    OtherGeneration {
        /// The adapter.
        name: AdapterName,
        /// What was expected.
        expected: Expected,
        /// The generation that is there.
        found: Option<Box<Generation>>,
    },
    /// There is nothing to go back to.
    #[error("no version of {name} from before {version} is kept")]
    NoEarlier {
        /// The adapter.
        name: AdapterName,
        /// The version that is there.
        version: semver::Version,
    },
}
