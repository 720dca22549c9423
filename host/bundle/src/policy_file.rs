//! Changing a policy's file: keys come and go, and everything else stays as its owner wrote it, comments too.

use std::path::{Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::keys::write_whole;
use crate::{KeyId, Policy, PolicyError, PublicKey, Trusted};

/// What a policy begins with that there was not yet.
const NEW: &str = "# What this host takes: see `transducer-host key --help`.\nrequire-signature = true\n";

/// A policy's file, to be changed. What is written is always a policy that can be used.
pub struct PolicyFile {
    path: PathBuf,
    document: DocumentMut,
    policy: Policy,
}

impl PolicyFile {
    /// Reads a policy; where there is none, it is one that requires signatures and trusts nobody.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn open_or_new(path: &Path) -> Result<Self, PolicyError> {
        if path.symlink_metadata().is_ok() {
            return Self::open(path);
        }
        Self::of(NEW, path)
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn open(path: &Path) -> Result<Self, PolicyError> {
        Self::of(&Policy::text(path)?, path)
    }

    fn of(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let policy = Policy::parse(text, path)?;
        let document = text
            .parse()
            .map_err(|error: toml_edit::TomlError| PolicyError::Syntax {
                path: path.to_owned(),
                message: error.to_string(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            document,
            policy,
        })
    }

    /// What it says.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Trusts a key with some adapters: those that are named, if it was trusted with others before.
    ///
    /// # Errors
    /// [`PolicyError`]; then the file is what it was.
    pub fn trust(&mut self, trusted: &Trusted) -> Result<(), PolicyError> {
        let id = trusted.key.id();
        if self.policy.revoked.contains(&id) {
            return Err(PolicyError::IsRevoked {
                path: self.path.clone(),
                key: id,
            });
        }
        let mut adapters = Array::new();
        adapters.extend(trusted.adapters.iter().map(String::as_str));
        let mut table = Table::new();
        table["key"] = value(trusted.key.base64());
        table["name"] = value(trusted.name.as_str());
        table["adapters"] = value(adapters);
        let tables = self.tables()?;
        let place = tables
            .iter()
            .position(|table| key_of(table) == Some(trusted.key.base64()));
        match place.and_then(|place| tables.get_mut(place)) {
            Some(known) => {
                known["name"] = table["name"].clone();
                known["adapters"] = table["adapters"].clone();
            }
            None => tables.push(table),
        }
        self.write()
    }

    /// Trusts a key no more, and remembers it, so that what it signed is refused. Returns the names that it went by.
    ///
    /// # Errors
    /// [`PolicyError`]; then the file is what it was.
    pub fn revoke(&mut self, id: KeyId) -> Result<Vec<String>, PolicyError> {
        if self.policy.revoked.contains(&id) {
            return Err(PolicyError::IsRevoked {
                path: self.path.clone(),
                key: id,
            });
        }
        let gone = |trusted: &&Trusted| trusted.key.id() == id;
        let names = self
            .policy
            .trusted
            .iter()
            .filter(gone)
            .map(|trusted| trusted.name.clone());
        let names = names.collect();
        let path = self.path.clone();
        let is_gone = |table: &Table| {
            let key = key_of(table).and_then(|key| PublicKey::parse(key, &path).ok());
            key.is_some_and(|key| key.id() == id)
        };
        self.tables()?.retain(|table| !is_gone(table));
        let form = self.form("revoked");
        let revoked = self.document.entry("revoked").or_insert(value(Array::new()));
        revoked.as_array_mut().ok_or(form)?.push(id.to_string());
        self.write()?;
        Ok(names)
    }

    fn tables(&mut self) -> Result<&mut ArrayOfTables, PolicyError> {
        let form = self.form("trusted");
        let item = self.document.entry("trusted");
        let item = item.or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or(form)
    }

    /// TOML can write one thing in many ways, and this changes the usual one.
    fn form(&self, key: &str) -> PolicyError {
        PolicyError::Syntax {
            path: self.path.clone(),
            message: format!("`{key}` is written in a form that cannot be changed here: edit it by hand"),
        }
    }

    fn write(&mut self) -> Result<(), PolicyError> {
        let text = self.document.to_string();
        self.policy = Policy::parse(&text, &self.path)?;
        write_whole(&self.path, text.as_bytes()).map_err(|source| PolicyError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn key_of(table: &Table) -> Option<&str> {
    table.get("key")?.as_str()
}
