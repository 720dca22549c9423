//! Installing, removing and rolling back adapters of a running host.
//!
//! The archive goes the way of `transducer-host install`, through the same store. Before that it is loaded as if it served, so that
//! one that cannot serve here never gets into the directory.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use transducer_bundle::{AdapterName, Asked, Expected, Invalid, Package, Store, StoreError, Switched, signature_path};

use crate::adapter::Loaded;
use crate::adapters::Adapters;
use crate::{AdapterError, AdapterState, LoadError};

/// An archive to be installed.
#[derive(Clone, Debug)]
pub struct Install<'a> {
    /// The adapter's name, which has to be the bundle's.
    pub name: &'a str,
    /// The `.tadapter` file.
    pub archive: Vec<u8>,
    /// The text of its `.minisig` file.
    pub signature: Option<&'a str>,
    /// What it replaces; none for whatever is there.
    pub expected: Option<Expected>,
    /// Whether it may replace a later version, or the same version with other contents.
    pub allow_downgrade: bool,
}

/// What a name stands for after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changed {
    /// The adapter.
    pub name: String,
    /// The version that serves.
    pub version: String,
    /// The version before; none if it is new.
    pub before: Option<String>,
    /// The generation that serves: SHA-256 over the bundle.
    pub generation: String,
}

/// Why an adapter was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No adapter can have that name.
    #[error("no adapter can have this name: {0}")]
    Name(Invalid),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive that was sent is refused. Where it was put down is no concern of whoever sent it.
    #[error("{}", .error.to_string().replace(.folder.as_str(), ""))]
    Sent {
        /// Why.
        error: Box<StoreError>,
        /// The folder that the archive was put down in, with a slash after it.
        folder: String,
    },
    /// The bundle is whole, and this host cannot serve it.
    #[error("{name} cannot serve here, and is not installed: {source}")]
    Unusable {
        /// The adapter.
        name: AdapterName,
        /// Why.
        source: Box<AdapterError>,
    },
    /// The directory was changed, and something else serves.
    #[error("{name} {version} is in place and does not serve: {error}")]
    NotServing {
        /// The adapter.
        name: AdapterName,
        /// The version that is in place.
        version: String,
        /// Why.
        error: String,
    },
    /// The directory cannot be read.
    #[error(transparent)]
    Reload(#[from] LoadError),
    /// The uploaded archive cannot be put down.
    #[error("cannot put the archive down to check it: {0}")]
    Staging(std::io::Error),
}

impl Adapters {
    pub(crate) fn install(&self, install: Install<'_>) -> Result<Changed, ChangeError> {
        let name: AdapterName = install.name.parse().map_err(ChangeError::Name)?;
        let staging = tempfile::tempdir().map_err(ChangeError::Staging)?;
        let file = staging.path().join(format!("{name}.tadapter"));
        let put = |path: PathBuf, bytes: &[u8]| std::fs::write(path, bytes).map_err(ChangeError::Staging);
        if let Some(signature) = install.signature {
            put(signature_path(&file), signature.as_bytes())?;
        }
        put(file.clone(), &install.archive)?;
        let sent = |error: StoreError| ChangeError::Sent {
            error: error.into(),
            folder: format!("{}/", staging.path().display()),
        };
        let asked = Asked {
            policy: self.policy_now().as_deref().cloned(),
            name: Some(name.clone()),
            expected: install.expected,
            ..Asked::default()
        };
        let package = match &asked.policy {
            Some(policy) => Package::unpack_under(install.archive, &file, policy).map(|(package, _)| package),
            None => Package::unpack(install.archive, &file),
        };
        let package = package.map_err(|error| sent(error.into()))?;
        // Of another name it is refused below, for that reason.
        if *package.bundle.name() == name {
            Loaded::of(&package.bundle, self.ground()).map_err(|source| ChangeError::Unusable {
                name: name.clone(),
                source: Box::new(source),
            })?;
        }
        let switched = Store::new(self.dir()).install_asking(&file, install.allow_downgrade, &asked);
        let switched = switched.map_err(sent)?;
        self.serving(switched)
    }

    pub(crate) fn remove(&self, name: &str, expected: Option<&Expected>) -> Result<(), ChangeError> {
        let name = name.parse().map_err(ChangeError::Name)?;
        Store::new(self.dir()).uninstall_if(&name, expected)?;
        Ok(self.reload()?)
    }

    pub(crate) fn roll_back(&self, name: &str, expected: Option<&Expected>) -> Result<Changed, ChangeError> {
        let name = name.parse().map_err(ChangeError::Name)?;
        let switched = Store::new(self.dir()).rollback_from(&name, expected)?;
        self.serving(switched)
    }

    /// Reads the directory, and makes sure that what was put there serves.
    fn serving(&self, switched: Switched) -> Result<Changed, ChangeError> {
        self.reload()?;
        let Switched {
            name,
            before,
            now,
            generation,
            budget: _,
        } = switched;
        let status = self.statuses().into_iter().find(|status| status.name == name.as_str());
        let error = match status.map(|status| (status.state, status.last_error)) {
            Some((AdapterState::Ready(info), _)) if info.generation == generation.to_string() => {
                return Ok(Changed {
                    name: name.to_string(),
                    version: now.to_string(),
                    before: before.map(|before| before.to_string()),
                    generation: info.generation,
                });
            }
            Some((AdapterState::Ready(_), Some(error)) | (AdapterState::Broken { error }, _)) => error,
            Some((AdapterState::Ready(_), None)) | None => "it was changed again meanwhile".to_owned(),
        };
        Err(ChangeError::NotServing {
            name,
            version: now.to_string(),
            error,
        })
    }
}
