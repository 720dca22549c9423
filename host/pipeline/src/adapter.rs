//! A bundle made ready: everything in it checked against this host.

use std::ops::Range;

use tch::{Device, Tensor};
use transducer_backbone::Embedder;
use transducer_bundle::{BaseModelPin, Budget, Bundle, Edges, Generation, TransducerShape, ValidatedManifest};
use transducer_core::{CodeSegment, Parts, Transducer, TransducerConfig, TransducerError};
use transducer_cpg::SCHEMA_VERSION;
use transducer_frontends::FrontEnds;
use transducer_tasks::{Task, TaskEngine, TaskLimits, World};

use crate::{AdapterError, AdapterInfo, Example};

/// Seed of the weights of a bundle that brings none. Their value does not matter: an untrained transducer changes
/// nothing whatever its seed.
const UNTRAINED_SEED: u64 = 0;

/// A loaded adapter. It never changes.
pub(crate) struct Adapter {
    pub(crate) name: String,
    pub(crate) generation: Generation,
    pub(crate) task: Task,
    pub(crate) transducer: Frozen,
    pub(crate) info: AdapterInfo,
}

/// A transducer that is not trained any more, so that threads can share it.
pub(crate) struct Frozen(Transducer);

// SAFETY: what keeps a `Transducer` from being shared is that its tensors can be written to through a shared reference, as
// an optimizer does. Nothing can get at the tensors of a `Frozen`: the one thing that can be done with it is to enrich
// embeddings, which reads them. libtorch allows any number of threads to read one tensor.
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
}

impl Adapter {
    /// Checks a bundle against this host, cheapest first, and makes its parts.
    pub(crate) fn load(
        bundle: Bundle,
        embedder: &Embedder,
        front_ends: &FrontEnds,
        tasks: &TaskEngine,
    ) -> Result<Self, AdapterError> {
        check(&bundle.manifest, embedder, front_ends)?;
        let Bundle {
            manifest,
            generation,
            component,
            weights,
        } = bundle;
        if weights.is_some() && manifest.train.edges != Edges::Real {
            return Err(AdapterError::Experiment);
        }
        let transducer = transducer(&manifest.transducer, weights.as_deref(), embedder)?;
        let task = compile(&manifest, &component, tasks)?;
        let info = AdapterInfo {
            version: manifest.version.to_string(),
            generation: generation.to_string(),
            summary: manifest.summary,
            license: manifest.license,
            languages: manifest.languages,
            trained: weights.is_some(),
            parameters: transducer.parameter_count(),
            request_schema: task.info().request_schema.clone(),
            answer_schema: task.info().answer_schema.clone(),
            examples: task
                .info()
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
            task,
            transducer: Frozen(transducer),
            info,
        })
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
