//! The string table: each name once, nodes and edges hold its index.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// A name's index in its graph's string table. [`NameId::EMPTY`] is the empty name of every graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub(crate) u32);

impl NameId {
    /// The empty name.
    pub const EMPTY: NameId = NameId(0);
}

/// Names back to back, `ends[i]` one past the last byte of name `i`; name 0 is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            text: String::new(),
            ends: vec![0],
        }
    }
}

impl Names {
    /// A table from its parts; `None` when the ends do not cut `text` into names, the first of them empty.
    pub(crate) fn from_parts(text: String, ends: Vec<u32>) -> Option<Self> {
        let cut = ends.first() == Some(&0)
            && ends.last().is_some_and(|&end| end as usize == text.len())
            && ends.is_sorted()
            && ends.iter().all(|&end| text.is_char_boundary(end as usize));
        cut.then_some(Self { text, ends })
    }

    pub(crate) fn get(&self, id: NameId) -> Option<&str> {
        let index = id.0 as usize;
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(&self.text[start..end])
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends
    }
}

/// A string table under construction: finds a name's index again in constant time.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: Names,
    index: HashTable<u32>,
}

impl Interner {
    /// The index of `name`, the same for the same name. `None` when the table would outgrow its 32-bit offsets.
    pub(crate) fn intern(&mut self, name: &str) -> Option<NameId> {
        if name.is_empty() {
            return Some(NameId::EMPTY);
        }
        let hash = FxBuildHasher.hash_one(name);
        let names = &mut self.names;
        if let Some(&found) = self.index.find(hash, |&id| names.get(NameId(id)) == Some(name)) {
            return Some(NameId(found));
        }
        let end = u32::try_from(names.text.len() + name.len()).ok()?;
        let id = u32::try_from(names.ends.len()).ok()?;
        names.text.push_str(name);
        names.ends.push(end);
        self.index.insert_unique(hash, id, |&id| {
            FxBuildHasher.hash_one(names.get(NameId(id)).unwrap_or_default())
        });
        Some(NameId(id))
    }

    /// The index of `name`, if it is in the table.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        let hash = FxBuildHasher.hash_one(name);
        let found = self.index.find(hash, |&id| self.names.get(NameId(id)) == Some(name));
        found.map(|&id| NameId(id))
    }

    pub(crate) fn get(&self, id: NameId) -> &str {
        self.names.get(id).unwrap_or_default()
    }

    pub(crate) fn finish(self) -> Names {
        self.names
    }
}
