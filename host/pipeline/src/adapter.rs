//! A bundle made ready: everything in it checked against this host.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tch::{Device, Tensor};
use transducer_backbone::Embedder;
use transducer_bundle::{BaseModelPin, Budget, Bundle, Edges, Generation, TransducerShape, ValidatedManifest};
use transducer_core::{CodeSegment, Parts, Pooling, Transducer, TransducerConfig, TransducerError};
use transducer_cpg::SCHEMA_VERSION;
use transducer_frontends::FrontEnds;
use transducer_tasks::{Task, TaskEngine, TaskLimits, World};

use crate::adapters::Ground;
use crate::residents::{Held, Place, Residents};
use crate::spill::{Kept, Spill};
use crate::{AdapterError, AdapterInfo, Example, RequestError, ResidencyOptions};

/// Seed of the weights of a bundle that brings none. Their value does not matter: an untrained transducer changes
/// nothing whatever its seed.
const UNTRAINED_SEED: u64 = 0;

/// A loaded adapter. It never changes. Its parts may be put out of memory; when it is asked again they come back as they were,
/// from copies that the host keeps.
pub(crate) struct Adapter {
    pub(crate) name: String,
    pub(crate) generation: Generation,
    pub(crate) info: AdapterInfo,
    manifest: ValidatedManifest,
    component: Arc<Kept>,
    weights: Option<Arc<Kept>>,
    loaded: Place<Loaded>,
    /// Whether its parts could not be brought back.
    is_lost: AtomicBool,
}

/// What an adapter answers with, and what of it takes memory.
pub(crate) struct Loaded {
    pub(crate) task: Task,
    pub(crate) transducer: Frozen,
}

/// Where adapters are kept.
pub(crate) struct Memory {
    /// The parts that are in memory.
    pub(crate) residents: Arc<Residents<Loaded>>,
    /// What they can be made of again.
    pub(crate) spill: Arc<Spill>,
}

impl Memory {
    pub(crate) fn new(options: &ResidencyOptions) -> Self {
        Self {
            residents: Arc::new(Residents::new(options.memory)),
            spill: Arc::new(Spill::new(options.dir.as_deref())),
        }
    }
}

/// A transducer that is not trained any more, so that threads can share it.
pub(crate) struct Frozen(Transducer);

// SAFETY: what keeps a `Transducer` from being shared is that its tensors can be written to through a shared reference, as
// an optimizer does. Nothing can get at the tensors of a `Frozen`: what can be done with it is to enrich embeddings and to count
// its weights, which only reads them. libtorch allows any number of threads to read one tensor.
unsafe impl Sync for Frozen {}

impl Frozen {
    /// See [`Transducer::enrich`].
    pub(crate) fn enrich(
        &self,
        prompt: &Tensor,
        codes: &[CodeSegment<'_>],
        text: &[Range<usize>],
    ) -> Result<Tensor, TransducerError> {
        self.0.enrich(prompt, codes, text)
    }

    /// Bytes of its weights.
    fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
        self.0.parameters().map(|(_, tensor)| bytes(tensor) as u64).sum()
    }
}

impl Held for Loaded {
    fn own_bytes(&self) -> u64 {
        self.transducer.bytes()
    }

    /// A task is shared by all adapters with the same component.
    fn shared_bytes(&self) -> (usize, u64) {
        (self.task.id(), self.task.image_bytes() as u64)
    }
}

impl Loaded {
    /// Checks a bundle against this host, cheapest first, and makes its parts.
    pub(crate) fn of(bundle: &Bundle, ground: &Ground) -> Result<Self, AdapterError> {
        check(&bundle.manifest, &ground.embedder, &ground.front_ends)?;
        if bundle.weights.is_some() && bundle.manifest.train.edges != Edges::Real {
            return Err(AdapterError::Experiment);
        }
        Self::make(&bundle.manifest, &bundle.component, bundle.weights.as_deref(), ground)
    }

    fn make(
        manifest: &ValidatedManifest,
        component: &[u8],
        weights: Option<&[u8]>,
        ground: &Ground,
    ) -> Result<Self, AdapterError> {
        Ok(Self {
            transducer: Frozen(transducer(&manifest.transducer, weights, &ground.embedder)?),
            task: compile(manifest, component, &ground.tasks)?,
        })
    }
}

impl Adapter {
    /// Checks a bundle against this host, and takes it in.
    pub(crate) fn load(bundle: Bundle, ground: &Ground, memory: &Memory) -> Result<Self, AdapterError> {
        let loaded = Loaded::of(&bundle, ground)?;
        let Bundle {
            manifest,
            generation,
            component,
            weights,
        } = bundle;
        let task = loaded.task.info();
        let info = AdapterInfo {
            version: manifest.version.to_string(),
            generation: generation.to_string(),
            summary: manifest.summary.clone(),
            license: manifest.license.clone(),
            languages: manifest.languages.clone(),
            trained: weights.is_some(),
            parameters: loaded.transducer.0.parameter_count(),
            request_schema: task.request_schema.clone(),
            answer_schema: task.answer_schema.clone(),
            examples: task
                .examples
                .iter()
                .map(|example| Example {
                    title: example.title.clone(),
                    request: example.request.clone(),
                })
                .collect(),
        };
        Ok(Self {
            name: manifest.name.to_string(),
            generation,
            info,
            manifest,
            component: memory.spill.keep(&component),
            weights: weights.map(|weights| memory.spill.keep(&weights)),
            loaded: memory.residents.admit(loaded),
            is_lost: AtomicBool::new(false),
        })
    }

    /// Whether its parts are in memory.
    pub(crate) fn is_resident(&self) -> bool {
        self.loaded.is_resident()
    }

    /// Whether its parts could not be brought back, so that its bundle has to be read again.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Its parts, which stay in memory as long as the caller holds them. If they were put out of it they are brought back: on this
    /// thread, once for all who ask at the same time.
    ///
    /// # Errors
    /// [`RequestError::Lost`].
    pub(crate) fn loaded(&self, ground: &Ground) -> Result<Arc<Loaded>, RequestError> {
        self.loaded.get(|| self.bring_back(ground)).map_err(|source| {
            if !self.is_lost.swap(true, Ordering::Relaxed) {
                tracing::warn!(adapter = self.name, generation = %self.generation, error = %source, "cannot be brought back");
            }
            RequestError::Lost {
                adapter: self.name.clone(),
                generation: self.generation,
                source: Box::new(source),
            }
        })
    }

    /// What was checked when the bundle was loaded and cannot have changed is not checked again.
    fn bring_back(&self, ground: &Ground) -> Result<Loaded, AdapterError> {
        let begun = Instant::now();
        let read = |kept: &Arc<Kept>| {
            kept.read().map_err(|source| AdapterError::Copy {
                dir: kept.spill().dir().to_owned(),
                source,
            })
        };
        // Both are read, whatever comes of one: a copy is only known to be lost once it was read.
        let (component, weights) = (read(&self.component), self.weights.as_ref().map(read).transpose());
        let loaded = Loaded::make(&self.manifest, &component?, weights?.as_deref(), ground)?;
        tracing::debug!(adapter = self.name, generation = %self.generation, took = ?begun.elapsed(), "brought back");
        Ok(loaded)
    }
}

/// Whether a bundle was made for this host.
pub(crate) fn check(
    manifest: &ValidatedManifest,
    embedder: &Embedder,
    front_ends: &FrontEnds,
) -> Result<(), AdapterError> {
    check_model(&manifest.base_model, embedder)?;
    check_languages(manifest, front_ends)?;
    check_world(manifest)
}

/// Whether there is a front end for each of its languages.
pub(crate) fn check_languages(manifest: &ValidatedManifest, front_ends: &FrontEnds) -> Result<(), AdapterError> {
    for language in &manifest.languages {
        if front_ends.language(language).is_none() {
            let known = front_ends
                .languages()
                .iter()
                .map(|language| language.name.clone())
                .collect();
            return Err(AdapterError::Language {
                language: language.clone(),
                known,
            });
        }
    }
    Ok(())
}

fn check_world(manifest: &ValidatedManifest) -> Result<(), AdapterError> {
    match World::from_name(&manifest.world) {
        Some(_) => Ok(()),
        None => Err(AdapterError::World {
            manifest: manifest.world.clone(),
            supported: World::known(),
        }),
    }
}

/// Checks all of a bundle that can be checked without a model and front ends, as a host that serves it would: the weights with
/// every tensor, and the component in the sandbox.
///
/// # Errors
/// [`AdapterError`] with what is wrong first.
pub fn check_bundle(bundle: &Bundle) -> Result<(), AdapterError> {
    let manifest = &bundle.manifest;
    check_world(manifest)?;
    if bundle.weights.is_some() && manifest.train.edges != Edges::Real {
        return Err(AdapterError::Experiment);
    }
    let hidden = manifest.base_model.hidden_size;
    transducer_on(&manifest.transducer, bundle.weights.as_deref(), hidden, Device::Cpu)?;
    let tasks = TaskEngine::new(TaskLimits::default())?;
    compile(manifest, &bundle.component, &tasks)?;
    Ok(())
}

/// A bundle's task in the sandbox.
pub(crate) fn compile(
    manifest: &ValidatedManifest,
    component: &[u8],
    tasks: &TaskEngine,
) -> Result<Task, AdapterError> {
    let limits = limits(manifest.budget, tasks.limits())?;
    let task = tasks.compile_with(component, limits)?;
    if task.world().name() != manifest.world {
        return Err(AdapterError::OtherWorld {
            manifest: manifest.world.clone(),
            component: task.world().name(),
        });
    }
    Ok(task)
}

/// The usual limits, with the budget that the bundle asks for.
fn limits(asked: Budget, usual: &TaskLimits) -> Result<TaskLimits, AdapterError> {
    let most = Budget::MOST;
    if asked.memory > most.memory {
        return Err(AdapterError::Greedy {
            key: "limits.memory-mib",
            asked: format!("{} MiB", asked.memory_mib()),
            most: format!("{} MiB", most.memory_mib()),
        });
    }
    if asked.deadline > most.deadline {
        return Err(AdapterError::Greedy {
            key: "limits.deadline-ms",
            asked: format!("{:?}", asked.deadline),
            most: format!("{:?}", most.deadline),
        });
    }
    Ok(TaskLimits {
        memory_bytes: asked.memory,
        call_time: asked.deadline,
        ..usual.clone()
    })
}

/// A transducer for another model would run and answer nonsense, so the pin is compared before anything else.
fn check_model(pin: &BaseModelPin, embedder: &Embedder) -> Result<(), AdapterError> {
    let (config, fingerprint) = (embedder.config(), embedder.fingerprint());
    let facts = [
        ("family", pin.family.clone(), config.family.name().to_owned()),
        (
            "hidden size",
            pin.hidden_size.to_string(),
            config.hidden_size.to_string(),
        ),
        (
            "table of input embeddings (SHA-256)",
            pin.embedding_sha256.clone(),
            fingerprint.embedding_sha256.clone(),
        ),
        (
            "tokenizer (SHA-256)",
            pin.tokenizer_sha256.clone(),
            fingerprint.tokenizer_sha256.clone(),
        ),
    ];
    match facts.into_iter().find(|(_, expected, found)| expected != found) {
        None => Ok(()),
        Some((what, expected, found)) => Err(AdapterError::OtherModel {
            pinned: pin.id.clone(),
            what,
            expected,
            found,
        }),
    }
}

/// The shape that a manifest asks for.
pub(crate) fn transducer_config(
    shape: &TransducerShape,
    embedder: &Embedder,
) -> Result<TransducerConfig, AdapterError> {
    config_for(shape, embedder.config().hidden_size)
}

fn config_for(shape: &TransducerShape, hidden: usize) -> Result<TransducerConfig, AdapterError> {
    if shape.cpg_schema != SCHEMA_VERSION {
        return Err(AdapterError::OtherGraph {
            expected: shape.cpg_schema,
            found: SCHEMA_VERSION,
        });
    }
    let edge_kinds = shape
        .edge_kinds
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    Ok(TransducerConfig {
        width: shape.width,
        layers: shape.layers,
        heads: shape.heads,
        task_tokens: shape.task_tokens,
        reply_tokens: shape.reply_tokens,
        edge_kinds,
        parts: match shape.parts {
            transducer_bundle::Parts::Full => Parts::Full,
            transducer_bundle::Parts::NoFusion => Parts::NoFusion,
            transducer_bundle::Parts::NoGraph => Parts::NoGraph,
        },
        pooling: match shape.pooling {
            transducer_bundle::Pooling::Attention => Pooling::Attention,
            transducer_bundle::Pooling::Max => Pooling::Max,
        },
        ..TransducerConfig::for_hidden(hidden)
    })
}

pub(crate) fn transducer(
    shape: &TransducerShape,
    weights: Option<&[u8]>,
    embedder: &Embedder,
) -> Result<Transducer, AdapterError> {
    transducer_on(shape, weights, embedder.config().hidden_size, embedder.device())
}

fn transducer_on(
    shape: &TransducerShape,
    weights: Option<&[u8]>,
    hidden: usize,
    device: Device,
) -> Result<Transducer, AdapterError> {
    let asked = config_for(shape, hidden)?;
    let Some(weights) = weights else {
        return Ok(Transducer::new(asked, device, UNTRAINED_SEED)?);
    };
    let transducer = Transducer::from_safetensors(weights, device)?;
    let found = transducer.config();
    // The scales are the weights' own business; the manifest's numbers have to agree.
    let same = TransducerConfig {
        fusion_scale: found.fusion_scale,
        task_scale: found.task_scale,
        ..asked
    };
    if *found != same {
        return Err(AdapterError::OtherShape {
            manifest: format!("{same:?}"),
            weights: format!("{found:?}"),
        });
    }
    Ok(transducer)
}

#[cfg(test)]
mod tests {
    use transducer_bundle::Budget;
    use transducer_tasks::TaskLimits;

    use super::limits;

    #[test]
    fn a_bundle_that_asks_for_nothing_has_the_usual_limits() {
        let usual = TaskLimits::default();
        assert_eq!(limits(Budget::USUAL, &usual).expect("the usual"), usual);
    }
}
