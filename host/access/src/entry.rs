//! The file's form.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroU32;
use std::path::Path;

use serde::Deserialize;

use crate::AccessError;

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 64;

/// One key, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is: what logs say.
    pub name: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// What it may ask for by name; none for everything.
    pub adapters: Option<BTreeSet<String>>,
    /// How many requests a minute; none for any number.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Whether it may change adapters.
    pub admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    key: Vec<KeyForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KeyForm {
    name: String,
    sha256: String,
    adapters: Option<BTreeSet<String>>,
    requests_per_minute: Option<NonZeroU32>,
    #[serde(default)]
    admin: bool,
}

/// The keys of a file's text; `path` is what errors call it.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, AccessError> {
    let form: Form = toml::from_str(text).map_err(|error| AccessError::Syntax {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    let mut entries = Vec::with_capacity(form.key.len());
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    for form in form.key {
        check_name(&form.name)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(&form.sha256, &mut digest).map_err(|_| AccessError::Digest {
            path: path.to_owned(),
            name: form.name.clone(),
            found: form.sha256.clone(),
        })?;
        if !names.insert(form.name.clone()) || !digests.insert(digest) {
            return Err(AccessError::Twice {
                path: path.to_owned(),
                name: form.name,
            });
        }
        entries.push(Entry {
            name: form.name,
            digest,
            adapters: form.adapters,
            requests_per_minute: form.requests_per_minute,
            admin: form.admin,
        });
    }
    Ok(entries)
}

pub(crate) fn check_name(name: &str) -> Result<(), AccessError> {
    let usual = |char: char| char.is_ascii_alphanumeric() || "-_.@".contains(char);
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(usual) {
        return Ok(());
    }
    Err(AccessError::Name { name: name.to_owned() })
}
