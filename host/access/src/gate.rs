//! The door of a server.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use subtle::ConstantTimeEq;

use crate::entry::parse;
use crate::key::digest;
use crate::{AccessError, Entry};

/// The keys in force. The file is read again when it has changed; one that cannot be used leaves the keys before it in force.
pub struct Gate {
    path: PathBuf,
    clock: DefaultClock,
    now: Mutex<InForce>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("path", &self.path).finish_non_exhaustive()
    }
}

struct InForce {
    stamp: Option<Stamp>,
    keys: Vec<Arc<Held>>,
}

/// A key and how often it was used.
struct Held {
    entry: Entry,
    limiter: Option<DefaultDirectRateLimiter>,
}

/// By what a changed file is told: another one in its place has another inode.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What a key allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whose key it is.
    pub name: String,
    /// What it may ask for by name; none for everything.
    pub adapters: Option<BTreeSet<String>>,
    /// Whether it may change adapters.
    pub admin: bool,
}

impl Pass {
    /// Whether it may ask for this.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.adapters.as_ref().is_none_or(|adapters| adapters.contains(name))
    }
}

/// Why somebody may not ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody has this key.
    #[error("this key is not known: ask whoever runs the server for one")]
    Unknown,
    /// Its requests of this minute are used up.
    #[error("the key {name:?} has had its requests of this minute: try again in {} s", .wait.as_secs().max(1))]
    TooOften {
        /// Whose key.
        name: String,
        /// How long until the next one.
        wait: Duration,
    },
}

impl Gate {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`AccessError`]: a server does not begin with keys that cannot be used.
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        let gate = Self {
            path: path.to_owned(),
            clock: DefaultClock::default(),
            now: Mutex::new(InForce {
                stamp: None,
                keys: Vec::new(),
            }),
        };
        let stamp = gate.stamp();
        let keys = gate.read(&[])?;
        *gate.lock() = InForce { stamp, keys };
        Ok(gate)
    }

    /// Whether the bearer of this key may ask now. Counts as one request of it.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn pass(&self, secret: &str) -> Result<Pass, Denied> {
        let digest = digest(secret);
        let keys = self.keys();
        // Every key is compared, and each completely, so that time tells nothing about the others.
        let mut found = None;
        for held in &keys {
            if bool::from(held.entry.digest.ct_eq(&digest)) {
                found = Some(held);
            }
        }
        let Held { entry, limiter } = &**found.ok_or(Denied::Unknown)?;
        if let Some(Err(not_yet)) = limiter.as_ref().map(DefaultDirectRateLimiter::check) {
            return Err(Denied::TooOften {
                name: entry.name.clone(),
                wait: not_yet.wait_time_from(self.clock.now()),
            });
        }
        Ok(Pass {
            name: entry.name.clone(),
            adapters: entry.adapters.clone(),
            admin: entry.admin,
        })
    }

    /// The keys, read again if the file has changed.
    fn keys(&self) -> Vec<Arc<Held>> {
        let mut now = self.lock();
        let stamp = self.stamp();
        if stamp != now.stamp {
            match self.read(&now.keys) {
                Ok(keys) => {
                    tracing::info!(path = %self.path.display(), keys = keys.len(), "the keys have changed");
                    now.keys = keys;
                }
                Err(error) => tracing::warn!(%error, "the keys changed and cannot be used; those before stay in force"),
            }
            // Also of a broken file: it is told once.
            now.stamp = stamp;
        }
        now.keys.clone()
    }

    /// The file's keys. One that was there before goes on with its count.
    fn read(&self, before: &[Arc<Held>]) -> Result<Vec<Arc<Held>>, AccessError> {
        let text = std::fs::read_to_string(&self.path).map_err(|source| AccessError::Read {
            path: self.path.clone(),
            source,
        })?;
        let held = |entry: Entry| match before.iter().find(|held| held.entry == entry) {
            Some(held) => held.clone(),
            None => Arc::new(Held {
                limiter: entry
                    .requests_per_minute
                    .map(|rate| RateLimiter::direct(Quota::per_minute(rate))),
                entry,
            }),
        };
        Ok(parse(&text, &self.path)?.into_iter().map(held).collect())
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            size: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        // The keys are replaced as a whole, so a panic elsewhere cannot have left them half changed.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
