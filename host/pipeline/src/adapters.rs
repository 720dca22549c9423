//! The adapters by name, each an immutable generation, and how a name moves to the next one.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use transducer_backbone::Embedder;
use transducer_bundle::{Bundle, Found, Generation, Policy, Signer};
use transducer_frontends::FrontEnds;
use transducer_tasks::TaskEngine;

use crate::adapter::{Adapter, Memory};
use crate::{
    AdapterError, AdapterState, AdapterStatus, LoadError, PolicyStatus, Reloads, RequestError, Residency,
    ResidencyOptions,
};

/// What a bundle is checked against.
pub(crate) struct Ground {
    pub(crate) embedder: Arc<Embedder>,
    pub(crate) front_ends: Arc<FrontEnds>,
    pub(crate) tasks: TaskEngine,
}

/// The adapters of a directory. What requests see is one map that never changes; [`Self::reload`] makes the next map beside
/// it and then puts it in its place, so that a load, however long, holds up nobody.
pub(crate) struct Adapters {
    dir: PathBuf,
    ground: Ground,
    memory: Memory,
    policy: Mutex<InForce>,
    now: RwLock<Arc<BTreeMap<String, Entry>>>,
    /// One reload at a time: two that read the directory at once could finish in the other order.
    turn: Mutex<()>,
    loaded: AtomicU64,
    failed: AtomicU64,
}

/// The policy that bundles are let in by.
#[derive(Default)]
struct InForce {
    policy: Option<Arc<Policy>>,
    /// Why its file, as it is now, is not the policy in force.
    error: Option<String>,
    /// Whether what serves has yet to be held to it.
    new: bool,
}

/// What stands behind a name: an adapter, a reason, or both when the folder holds something newer that is broken.
#[derive(Clone)]
enum Entry {
    Ready {
        adapter: Arc<Adapter>,
        /// Not a part of the adapter: the same generation may be signed by another.
        signer: Option<Signer>,
        newer: Option<Failure>,
    },
    Broken(Failure),
}

/// A bundle that could not be used.
#[derive(Clone)]
struct Failure {
    error: Arc<AdapterError>,
    /// Which bytes they were, so that they are not tried again; none where they could not even be read.
    generation: Option<Generation>,
}

impl Entry {
    fn adapter(&self) -> Option<&Arc<Adapter>> {
        match self {
            Self::Ready { adapter, .. } => Some(adapter),
            Self::Broken(_) => None,
        }
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Ready { newer, .. } => newer.as_ref(),
            Self::Broken(failure) => Some(failure),
        }
    }
}

impl Adapters {
    /// None yet: see [`Self::reload`].
    pub(crate) fn new(dir: PathBuf, ground: Ground, residency: &ResidencyOptions, policy: Option<Arc<Policy>>) -> Self {
        Self {
            dir,
            ground,
            memory: Memory::new(residency),
            policy: Mutex::new(InForce {
                policy,
                ..InForce::default()
            }),
            now: RwLock::default(),
            turn: Mutex::default(),
            loaded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn dir(&self) -> &PathBuf {
        &self.dir
    }

    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The policy in force, if there is one.
    pub(crate) fn policy_now(&self) -> Option<Arc<Policy>> {
        self.in_force().policy.clone()
    }

    /// Where the policy is, if there is one.
    pub(crate) fn policy_file(&self) -> Option<PathBuf> {
        self.in_force().policy.as_ref().map(|policy| policy.path().to_owned())
    }

    pub(crate) fn policy(&self) -> PolicyStatus {
        let InForce { policy, error, .. } = &*self.in_force();
        match (policy, error) {
            (None, _) => PolicyStatus::None,
            (Some(policy), error) => PolicyStatus::InForce {
                require_signature: policy.require_signature,
                last_error: error.clone(),
            },
        }
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the policy again. Returns the one in force now, and whether it is another than what serves was held to. A file that
    /// cannot be used leaves the policy before it in force.
    fn reread_policy(&self) -> (Option<Arc<Policy>>, bool) {
        let mut in_force = self.in_force();
        let Some(policy) = in_force.policy.clone() else {
            return (None, false);
        };
        let read = policy.reread().and_then(|changed| {
            let now = changed.as_ref().unwrap_or(&policy);
            now.lies_outside(&self.dir)?;
            Ok(changed)
        });
        match read {
            Ok(None) => in_force.error = None,
            Ok(Some(changed)) => {
                tracing::info!(policy = %changed.path().display(), "the policy has changed");
                let changed = Arc::new(changed);
                *in_force = InForce {
                    policy: Some(changed.clone()),
                    error: None,
                    new: true,
                };
                return (Some(changed), true);
            }
            Err(error) => {
                let error = error.to_string();
                if in_force.error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the policy changed and cannot be used; the one before stays in force");
                }
                in_force.error = Some(error);
            }
        }
        (Some(policy), in_force.new)
    }

    /// The adapter that a name stands for now. It stays what it is for as long as the caller holds it.
    pub(crate) fn lease(&self, name: &str) -> Result<Arc<Adapter>, RequestError> {
        let now = self.now();
        match now.get(name) {
            Some(Entry::Ready { adapter, .. }) => Ok(adapter.clone()),
            Some(Entry::Broken(failure)) => Err(RequestError::BrokenAdapter {
                name: name.to_owned(),
                error: failure.error.to_string(),
            }),
            None => Err(RequestError::UnknownAdapter {
                name: name.to_owned(),
                known: now
                    .iter()
                    .filter(|(_, entry)| entry.adapter().is_some())
                    .map(|(name, _)| name.clone())
                    .collect(),
            }),
        }
    }

    pub(crate) fn statuses(&self) -> Vec<AdapterStatus> {
        let status = |(name, entry): (&String, &Entry)| {
            let resident = entry.adapter().is_some_and(|adapter| adapter.is_resident());
            let (state, signer, last_error) = match entry {
                Entry::Ready { adapter, signer, newer } => {
                    let error = newer.as_ref().map(|failure| failure.error.to_string());
                    (AdapterState::Ready(adapter.info.clone()), signer.clone(), error)
                }
                Entry::Broken(failure) => {
                    let error = failure.error.to_string();
                    (AdapterState::Broken { error }, None, None)
                }
            };
            AdapterStatus {
                name: name.clone(),
                state,
                resident,
                signer,
                last_error,
            }
        };
        self.now().iter().map(status).collect()
    }

    pub(crate) fn reloads(&self) -> Reloads {
        Reloads {
            loaded: self.loaded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn residency(&self) -> Residency {
        let Memory { residents, spill } = &self.memory;
        Residency {
            budget_bytes: residents.budget(),
            held_bytes: residents.held() + spill.in_memory(),
            evicted: residents.evicted(),
            brought_back: residents.brought_back(),
        }
    }

    /// Reads the directory for the first time, by as many threads as there are cores. `stage` is told what is being loaded.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub(crate) fn load(&self, stage: &dyn Fn(&str)) -> Result<(), LoadError> {
        let (told, names) = channel();
        std::thread::scope(|scope| {
            let loading = scope.spawn(move || self.reload_by(0, &told));
            names.iter().for_each(|name: String| stage(&format!("adapter {name}")));
            loading.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Reads the directory and moves every name whose bundle changed. A bundle is checked completely first; one that is
    /// broken leaves the generation before it in its place. Bundles that are what they were cost their reading. One thread does it,
    /// since answers are being made.
    ///
    /// # Errors
    /// When the directory itself cannot be read; then nothing changes.
    pub(crate) fn reload(&self) -> Result<(), LoadError> {
        self.reload_by(1, &channel().0)
    }

    /// [`Self::reload`] by so many threads, or one a core; `told` gets the name of what is being loaded.
    fn reload_by(&self, threads: usize, told: &Sender<String>) -> Result<(), LoadError> {
        let pool = ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(|_| "adapters".to_owned()).build();
        pool.map_err(LoadError::Threads)?.install(|| self.reread(told))
    }

    fn reread(&self, told: &Sender<String>) -> Result<(), LoadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now();
        let (policy, changed) = self.reread_policy();
        let found = Bundle::open_all_under(&self.dir, policy.as_deref())?;
        let entries = found.into_par_iter().map_with(told.clone(), |told, found| {
            let name = found.name.clone();
            // After a change of the policy nothing goes on that it does not let in, or of which that cannot be told: what is found is
            // what it let in, and no word on a generation before.
            let is_found = |adapter: &Arc<Adapter>| {
                let found = found.bundle.as_ref().ok();
                found.is_some_and(|found| found.generation == adapter.generation)
            };
            let old = before.get(&name);
            let old = old.filter(|old| !changed || old.adapter().is_none_or(is_found));
            let entry = self.next(old, found, told);
            (name, entry)
        });
        let after: BTreeMap<_, _> = entries.collect();
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            tracing::info!(adapter = name, "removed");
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        self.in_force().new = false;
        Ok(())
    }

    /// What a name stands for once its folder holds this.
    fn next(&self, old: Option<&Entry>, found: Found, told: &Sender<String>) -> Entry {
        let Found {
            name, bundle, signer, ..
        } = found;
        let name = name.as_str();
        let serving = old.and_then(Entry::adapter);
        let failed = old.and_then(Entry::failure);
        let generation = bundle.as_ref().ok().map(|bundle| bundle.generation);
        if let Some(adapter) = serving
            && generation == Some(adapter.generation)
            && !adapter.is_lost()
        {
            if failed.is_some() {
                tracing::info!(adapter = name, generation = %adapter.generation, "its bundle is again the one that serves");
            }
            return Entry::Ready {
                adapter: adapter.clone(),
                signer,
                newer: None,
            };
        }
        if let (Some(old), Some(failure)) = (old, failed)
            && generation.is_some()
            && generation == failure.generation
        {
            return old.clone();
        }
        // Nobody may be listening.
        let _ = told.send(name.to_owned());
        let loaded = bundle
            .map_err(AdapterError::from)
            .and_then(|bundle| Adapter::load(bundle, &self.ground, &self.memory));
        let error = match loaded {
            Ok(adapter) => {
                self.loaded.fetch_add(1, Ordering::Relaxed);
                tracing::info!(adapter = name, generation = %adapter.generation, "serves");
                return Entry::Ready {
                    adapter: Arc::new(adapter),
                    signer,
                    newer: None,
                };
            }
            Err(error) => error,
        };
        // A folder that stays unreadable is looked at again and again, and is news only once.
        if failed.is_none_or(|failure| failure.error.to_string() != error.to_string()) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            match serving {
                Some(adapter) => tracing::warn!(
                    adapter = name, %error, generation = %adapter.generation,
                    "its bundle changed and cannot be used; the generation before goes on"
                ),
                None => tracing::warn!(adapter = name, %error, "cannot be used"),
            }
        }
        let failure = Failure {
            error: Arc::new(error),
            generation,
        };
        match old {
            Some(Entry::Ready { adapter, signer, .. }) => Entry::Ready {
                adapter: adapter.clone(),
                signer: signer.clone(),
                newer: Some(failure),
            },
            _ => Entry::Broken(failure),
        }
    }

    fn now(&self) -> Arc<BTreeMap<String, Entry>> {
        // The map is replaced as a whole, so a panic elsewhere cannot have left it half changed.
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
