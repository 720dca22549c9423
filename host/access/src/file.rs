//! Changing the file: keys come and go, and everything else stays as its owner wrote it, comments too.

use std::io::Write;
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::entry::{check_name, parse};
use crate::key::digest;
use crate::{AccessError, Entry, Key};

/// What a file begins with that there was not yet.
const NEW: &str = "# Who may ask this server, by the digests of their keys: see `transducer-host access --help`.\n";

/// A file of keys, to be changed. What is written can always be used.
pub struct KeyFile {
    path: PathBuf,
    document: DocumentMut,
    entries: Vec<Entry>,
}

impl KeyFile {
    /// Reads a file; where there is none, it is one without keys.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn open_or_new(path: &Path) -> Result<Self, AccessError> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::of(NEW, path),
            text => Self::of(&text.map_err(|source| unreadable(path, source))?, path),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
        Self::of(&text, path)
    }

    fn of(text: &str, path: &Path) -> Result<Self, AccessError> {
        let entries = parse(text, path)?;
        let document = text
            .parse()
            .map_err(|error: toml_edit::TomlError| AccessError::Syntax {
                path: path.to_owned(),
                message: error.to_string(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            document,
            entries,
        })
    }

    /// What it says.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a new key with these rights, and returns it: it is nowhere else. The entry's digest is not looked at.
    ///
    /// # Errors
    /// [`AccessError`]; then the file is what it was.
    pub fn add(&mut self, entry: &Entry) -> Result<Key, AccessError> {
        let name = &entry.name;
        check_name(name)?;
        if self.entries.iter().any(|known| known.name == *name) {
            return Err(AccessError::Taken {
                path: self.path.clone(),
                name: name.clone(),
            });
        }
        let key = Key::generate();
        let mut table = Table::new();
        table["name"] = value(name.as_str());
        table["sha256"] = value(hex::encode(digest(key.secret())));
        if let Some(adapters) = &entry.adapters {
            table["adapters"] = value(adapters.iter().map(String::as_str).collect::<Array>());
        }
        if let Some(rate) = entry.requests_per_minute {
            table["requests-per-minute"] = value(i64::from(rate.get()));
        }
        if entry.admin {
            table["admin"] = value(true);
        }
        self.tables()?.push(table);
        self.write()?;
        Ok(key)
    }

    /// Takes a key out.
    ///
    /// # Errors
    /// [`AccessError`]; then the file is what it was.
    pub fn revoke(&mut self, name: &str) -> Result<(), AccessError> {
        if !self.entries.iter().any(|known| known.name == name) {
            return Err(AccessError::Unknown {
                path: self.path.clone(),
                name: name.to_owned(),
            });
        }
        let is_it = |table: &Table| table.get("name").and_then(Item::as_str) == Some(name);
        self.tables()?.retain(|table| !is_it(table));
        self.write()
    }

    fn tables(&mut self) -> Result<&mut ArrayOfTables, AccessError> {
        let form = AccessError::Syntax {
            path: self.path.clone(),
            message: "`key` is written in a form that cannot be changed here: edit it by hand".to_owned(),
        };
        let item = self.document.entry("key");
        let item = item.or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or(form)
    }

    /// In one step: a server that reads it finds the old keys or the new ones.
    fn write(&mut self) -> Result<(), AccessError> {
        let text = self.document.to_string();
        self.entries = parse(&text, &self.path)?;
        // Readable like any other file, for the server may be another user than who makes keys; a digest of 256 random bits
        // tells nobody the key.
        let put = || {
            let mut file = AtomicWriteFile::open(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.commit()
        };
        put().map_err(|source| AccessError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> AccessError {
    AccessError::Read {
        path: path.to_owned(),
        source,
    }
}
