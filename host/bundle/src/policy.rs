//! What a host takes: whose signatures count for which adapters, which licences, which sizes.
//!
//! The policy is a file of the host's owner. It lies outside of the adapters directory, so that whoever may put a bundle there
//! cannot say that the bundle is to be trusted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::read_file;
use crate::signature::Sealed;
use crate::{Budget, Bundle, BundleError, KeyId, NoKeyId, PublicKey, Refusal, SignatureError};

/// A thousand keys are 200 KB.
const MAX_POLICY_BYTES: u64 = 1 << 20;
/// Everybody may write the file.
const WRITABLE_BY_ALL: u32 = 0o002;

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Its file.
    #[error("the policy: {0}")]
    File(BundleError),
    /// It is not of the form.
    #[error("the policy {path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the reader says, with line and column.
        message: String,
    },
    /// A key in it.
    #[error("the policy: `trusted.key` of \"{name}\": {source}")]
    Key {
        /// Whose key.
        name: String,
        /// Why.
        source: SignatureError,
    },
    /// A number of a key in it.
    #[error("the policy {path}: `revoked`: {source}")]
    Revoked {
        /// The file.
        path: PathBuf,
        /// Which.
        source: NoKeyId,
    },
    /// A pattern that can be no adapter's name.
    #[error(
        "the policy {path}: `trusted.adapters` of \"{name}\": {pattern:?} can be no adapter's name: \
         lower-case letters, digits, `-`, and `*` for any number of them"
    )]
    Pattern {
        /// The file.
        path: PathBuf,
        /// Whose.
        name: String,
        /// The pattern.
        pattern: String,
    },
    /// A licence that SPDX does not know.
    #[error("the policy {path}: `licenses`: {license:?} is no SPDX identifier, as Apache-2.0 is one")]
    License {
        /// The file.
        path: PathBuf,
        /// The text.
        license: String,
    },
    /// A cap of budgets that no task, or no host, could hold to.
    #[error(
        "the policy {path}: `{key}` is {found}, expected {low} to {high}: what every task may use, and the most that a \
         host gives"
    )]
    Cap {
        /// The file.
        path: PathBuf,
        /// Which.
        key: &'static str,
        /// The number.
        found: u32,
        /// The usual budget.
        low: u32,
        /// The largest budget.
        high: u32,
    },
    /// A key that was revoked before.
    #[error("the policy {path} has revoked key {key}: take it out of `revoked` by hand if that was wrong")]
    IsRevoked {
        /// The file.
        path: PathBuf,
        /// The key.
        key: KeyId,
    },
    /// It cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everybody may change it.
    #[error("the policy {path} can be written by everybody: `chmod o-w` it")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// Whoever brings bundles could change it.
    #[error("the policy {path} lies in {adapters}, where bundles come from: keep it elsewhere")]
    Inside {
        /// The file.
        path: PathBuf,
        /// The adapters directory.
        adapters: PathBuf,
    },
}

/// Who signed a bundle, as a policy knows them. There is one only where the signature was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Signer {
    /// The key's number.
    pub key: String,
    /// Whose it is, in the policy's words.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Form {
    require_signature: bool,
    #[serde(default)]
    trusted: Vec<TrustedForm>,
    #[serde(default)]
    revoked: Vec<String>,
    licenses: Option<Vec<String>>,
    max_bytes: Option<u64>,
    max_memory_mib: Option<u32>,
    max_deadline_ms: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedForm {
    key: String,
    name: String,
    adapters: Vec<String>,
}

/// A key that counts.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The key.
    pub key: PublicKey,
    /// Whose.
    pub name: String,
    /// For which adapters: names, in which `*` stands for any number of characters.
    pub adapters: Vec<String>,
}

/// What a bundle was read from.
pub(crate) enum Origin<'a> {
    Folder,
    /// With what [`Policy::signed_by`] said of the archive.
    Archive(Option<&'a Trusted>),
}

/// What a host takes.
#[derive(Clone, Debug)]
pub struct Policy {
    path: PathBuf,
    /// As it is written.
    text: String,
    /// Whether a bundle has to be signed.
    pub require_signature: bool,
    /// By whom.
    pub trusted: Vec<Trusted>,
    /// What is signed with these is refused.
    pub revoked: Vec<KeyId>,
    /// SPDX identifiers; none for any licence.
    pub licenses: Option<Vec<String>>,
    /// Most bytes of an archive, or of the task and weights in a folder.
    pub max_bytes: Option<u64>,
    /// Most that a bundle may ask for, for one call of its task.
    pub most: Budget,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn open(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(&Self::text(path)?, path)
    }

    pub(crate) fn text(path: &Path) -> Result<String, PolicyError> {
        // Its owner may have put a link there, as deployments do.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let bytes = read_file(path, MAX_POLICY_BYTES).map_err(PolicyError::File)?;
        if path
            .metadata()
            .is_ok_and(|metadata| metadata.mode() & WRITABLE_BY_ALL != 0)
        {
            return Err(PolicyError::Open { path: path.to_owned() });
        }
        String::from_utf8(bytes).map_err(|error| PolicyError::Syntax {
            path: path.to_owned(),
            message: format!("not UTF-8: {error}"),
        })
    }

    /// A policy of its text; `path` is what errors call it.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let form: Form = toml::from_str(text).map_err(|error| PolicyError::Syntax {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let most = form.most(path)?;
        let trusted = form.trusted.into_iter().map(|form| form.check(path));
        let revoked = form.revoked.iter().map(|text| text.parse());
        let unknown = form
            .licenses
            .iter()
            .flatten()
            .find(|text| spdx::license_id(text).is_none());
        if let Some(license) = unknown {
            return Err(PolicyError::License {
                path: path.to_owned(),
                license: license.clone(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            require_signature: form.require_signature,
            trusted: trusted.collect::<Result<_, _>>()?,
            revoked: revoked
                .collect::<Result<_, _>>()
                .map_err(|source| PolicyError::Revoked {
                    path: path.to_owned(),
                    source,
                })?,
            most,
            licenses: form.licenses,
            max_bytes: form.max_bytes,
        })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The policy that its file holds now; none where that is what it was.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn reread(&self) -> Result<Option<Self>, PolicyError> {
        let text = Self::text(&self.path)?;
        if text == self.text {
            return Ok(None);
        }
        Self::parse(&text, &self.path).map(Some)
    }

    /// Whoever may write into this adapters directory may not write the policy.
    ///
    /// # Errors
    /// [`PolicyError::Inside`].
    pub fn lies_outside(&self, adapters: &Path) -> Result<(), PolicyError> {
        let real = |path: &Path| path.canonicalize().ok();
        match (real(&self.path), real(adapters)) {
            (Some(policy), Some(dir)) if policy.starts_with(&dir) => Err(PolicyError::Inside {
                path: self.path.clone(),
                adapters: adapters.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Looks at an archive's size and signature, before anything in it is unpacked. Returns whose signature it is, if it is that
    /// of somebody trusted; what they are trusted with is for [`Self::admit`].
    pub(crate) fn signed_by(&self, archive: &Path, bytes: &[u8]) -> Result<Option<&Trusted>, Refusal> {
        self.check_size(archive, bytes.len() as u64)?;
        let sealed = Sealed::find(archive, bytes)?;
        let trusted = sealed.as_ref().map(|sealed| self.trusted(sealed, archive, bytes));
        let trusted = trusted.transpose()?.flatten();
        if trusted.is_some() || !self.require_signature {
            return Ok(trusted);
        }
        let (archive, policy) = (archive.to_owned(), self.path.clone());
        Err(match sealed {
            None => Refusal::Unsigned { archive, policy },
            Some(Sealed { id: key, .. }) => Refusal::Stranger { archive, key, policy },
        })
    }

    /// Whose signature this is, if it is that of somebody trusted. One that does not hold, and one of a revoked key, is never
    /// let in.
    pub(crate) fn trusted(&self, sealed: &Sealed, archive: &Path, bytes: &[u8]) -> Result<Option<&Trusted>, Refusal> {
        if self.revoked.contains(&sealed.id) {
            return Err(Refusal::Revoked {
                archive: archive.to_owned(),
                key: sealed.id,
                policy: self.path.clone(),
            });
        }
        // Anybody can make a key with the number of another.
        let mut bad = None;
        for trusted in self.trusted.iter().filter(|trusted| trusted.key.id() == sealed.id) {
            match sealed.check(&trusted.key, archive, bytes) {
                Ok(_) => return Ok(Some(trusted)),
                Err(error) => bad = Some(error),
            }
        }
        bad.map_or(Ok(None), |error| Err(error.into()))
    }

    /// Whether a folder may be a bundle at all, whatever is in it.
    pub(crate) fn folder(&self, dir: &Path) -> Result<(), Refusal> {
        if !self.require_signature {
            return Ok(());
        }
        Err(Refusal::Folder {
            dir: dir.to_owned(),
            policy: self.path.clone(),
        })
    }

    /// Whether a bundle that was read may be used. What it was read from is told, not looked at again: it may be something else
    /// by now.
    pub(crate) fn admit(&self, path: &Path, bundle: &Bundle, origin: Origin<'_>) -> Result<Option<Signer>, Refusal> {
        let policy = || self.path.clone();
        let signer = match origin {
            Origin::Archive(signer) => signer,
            Origin::Folder => {
                self.folder(path)?;
                let weights = bundle.weights.as_ref().map_or(0, Vec::len);
                self.check_size(path, (bundle.component.len() + weights) as u64)?;
                None
            }
        };
        self.check_license(path, &bundle.manifest.license)?;
        self.check_budget(path, bundle.manifest.budget)?;
        let Some(trusted) = signer else {
            return Ok(None);
        };
        let adapter = bundle.name().as_str();
        if !trusted.adapters.iter().any(|pattern| matches(pattern, adapter)) {
            return Err(Refusal::OtherAdapter {
                archive: path.to_owned(),
                name: trusted.name.clone(),
                key: trusted.key.id(),
                policy: policy(),
                allowed: trusted.adapters.join(", "),
                adapter: adapter.into(),
            });
        }
        Ok(Some(trusted.signer()))
    }

    fn check_size(&self, path: &Path, found: u64) -> Result<(), Refusal> {
        match self.max_bytes.filter(|&limit| found > limit) {
            None => Ok(()),
            Some(limit) => Err(Refusal::TooLarge {
                path: path.to_owned(),
                found,
                policy: self.path.clone(),
                limit,
            }),
        }
    }

    fn check_budget(&self, path: &Path, asked: Budget) -> Result<(), Refusal> {
        let limit = self.most;
        let cap = |key, asked, limit| Refusal::Greedy {
            path: path.to_owned(),
            key,
            asked,
            policy: self.path.clone(),
            limit,
        };
        if asked.memory > limit.memory {
            return Err(cap("memory-mib", asked.memory_mib(), limit.memory_mib()));
        }
        if asked.deadline > limit.deadline {
            return Err(cap("deadline-ms", asked.deadline_ms(), limit.deadline_ms()));
        }
        Ok(())
    }

    fn check_license(&self, path: &Path, license: &str) -> Result<(), Refusal> {
        let Some(allowed) = &self.licenses else {
            return Ok(());
        };
        let named = |requirement: &spdx::LicenseReq| {
            // An exception (`WITH`) makes it another licence than the one that the policy names.
            let license = requirement.license.to_string();
            requirement.addition.is_none() && allowed.contains(&license)
        };
        if spdx::Expression::parse(license).is_ok_and(|expression| expression.evaluate(named)) {
            return Ok(());
        }
        Err(Refusal::License {
            path: path.to_owned(),
            license: license.to_owned(),
            policy: self.path.clone(),
            allowed: allowed.join(", "),
        })
    }
}

impl Form {
    /// What bundles may ask for: no less than what they get without asking, and no more than a host gives.
    fn most(&self, path: &Path) -> Result<Budget, PolicyError> {
        let within = |key, found: Option<u32>, low: u32, high: u32| match found {
            None => Ok(high),
            Some(found) if (low..=high).contains(&found) => Ok(found),
            Some(found) => Err(PolicyError::Cap {
                path: path.to_owned(),
                key,
                found,
                low,
                high,
            }),
        };
        let (usual, most) = (Budget::USUAL, Budget::MOST);
        let memory = within(
            "max-memory-mib",
            self.max_memory_mib,
            usual.memory_mib(),
            most.memory_mib(),
        )?;
        let deadline = within(
            "max-deadline-ms",
            self.max_deadline_ms,
            usual.deadline_ms(),
            most.deadline_ms(),
        )?;
        Ok(Budget::new(memory, deadline))
    }
}

impl Trusted {
    pub(crate) fn signer(&self) -> Signer {
        Signer {
            key: self.key.id().to_string(),
            name: self.name.clone(),
        }
    }
}

impl TrustedForm {
    fn check(self, path: &Path) -> Result<Trusted, PolicyError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*');
        let bad = |pattern: &&String| pattern.is_empty() || !pattern.bytes().all(fits);
        if let Some(pattern) = self.adapters.iter().find(bad) {
            return Err(PolicyError::Pattern {
                path: path.to_owned(),
                name: self.name,
                pattern: pattern.clone(),
            });
        }
        match PublicKey::parse(&self.key, path) {
            Ok(key) => Ok(Trusted {
                key,
                name: self.name,
                adapters: self.adapters,
            }),
            Err(source) => Err(PolicyError::Key {
                name: self.name,
                source,
            }),
        }
    }
}

/// Whether a name is of a pattern, in which `*` stands for any number of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    // The earliest place leaves the most for what follows.
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("a-b", "a-b", true),
            ("a-b", "a-bc", false),
            ("*", "anything", true),
            ("summarize-*", "summarize-java", true),
            ("summarize-*", "summarize", false),
            ("*-java", "summarize-java", true),
            ("*-java", "summarize-javascript", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
