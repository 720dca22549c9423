//! A loaded backbone: the door to the frozen model.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::cache::KvCache;
use crate::chat::ChatTemplate;
use crate::config::ModelConfig;
use crate::embedder::Embedder;
use crate::error::BackboneError;
use crate::gguf::Gguf;
use crate::hardware::{LoadOptions, WeightFormat};
use crate::model::{Layer, Model};
use crate::step::Stepper;
use crate::tokenizer::Tokenizer;
use crate::weights::{Folder, GgufWeights, LayerWeight, Weight, WeightSource, read_finite, validate};

/// The frozen LLM with its tokenizer and chat template.
///
/// Nothing in here changes after loading, and no weight requires a gradient. No call switches gradients off either:
/// a forward pass without a cache is differentiable with respect to the embeddings it is given, and who only
/// generates calls it under [`tch::no_grad`].
#[derive(Debug)]
pub struct Backbone {
    embedder: Arc<Embedder>,
    model: Model,
    /// `None` where libtorch does it.
    stepper: Option<Stepper>,
}

/// A backbone is an [`Embedder`] with layers.
impl Deref for Backbone {
    type Target = Embedder;

    fn deref(&self) -> &Embedder {
        &self.embedder
    }
}

/// For which tokens of a forward pass logits are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The last of each sequence: generation.
    Last,
    /// Every one: scoring.
    All,
    /// None: filling a cache.
    None,
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Parameters in memory.
    pub loaded: usize,
    /// Parameters of the model.
    pub total: usize,
}

impl Backbone {
    /// Loads the model at `path`, a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] names the file and the key or tensor that is damaged, missing or not supported.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, BackboneError> {
        Self::load_with_progress(path, options, |_| {})
    }

    /// [`Self::load`], telling `progress` after every part of the model that is in memory.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_with_progress(
        path: &Path,
        options: &LoadOptions,
        progress: impl FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        let (device, kind) = options.resolve()?;
        if let Some(threads) = options.threads {
            tch::set_num_threads(i32::try_from(threads.get()).unwrap_or(i32::MAX));
        }
        if path.is_file() {
            let gguf = Gguf::open(path)?;
            let config = ModelConfig::from_gguf(&gguf)?;
            let text = (Tokenizer::from_gguf(&gguf)?, ChatTemplate::from_gguf(&gguf)?);
            Self::assemble(
                &GgufWeights(&gguf),
                config,
                text,
                (kind, device, options.weights),
                progress,
            )
        } else if path.join("config.json").is_file() {
            let config = ModelConfig::from_config_json(&path.join("config.json"))?;
            let text = (Tokenizer::from_folder(path)?, ChatTemplate::from_folder(path)?);
            Self::assemble(
                &Folder::open(path)?,
                config,
                text,
                (kind, device, options.weights),
                progress,
            )
        } else {
            Err(BackboneError::NoModel { path: path.to_owned() })
        }
    }

    fn assemble(
        source: &dyn WeightSource,
        config: ModelConfig,
        text: (Tokenizer, ChatTemplate),
        (kind, device, format): (Kind, Device, WeightFormat),
        progress: impl FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        validate(source, &config)?;
        let embedder = Arc::new(Embedder::read(source, config, text, (device, kind))?);
        let model = Loader::new(source, &embedder, progress).model()?;
        let stepper = Stepper::new(embedder.config(), &model, format)?;
        Ok(Self {
            embedder,
            model,
            stepper,
        })
    }

    /// What stands before the first layer.
    pub fn embedder(&self) -> &Arc<Embedder> {
        &self.embedder
    }

    /// An empty cache for `batch` sequences of up to `capacity` tokens. Memory:
    /// `2 × layers × kv_heads × head_dim` numbers a token and sequence.
    ///
    /// # Errors
    ///
    /// [`BackboneError::ContextFull`] if `capacity` exceeds the model's context, [`BackboneError::CacheRows`] if `batch`
    /// is 0, [`BackboneError::Torch`] if memory does not suffice.
    pub fn new_cache(&self, batch: usize, capacity: usize) -> Result<KvCache, BackboneError> {
        KvCache::new(self.config(), batch, capacity, (self.kind(), self.device()))
    }

    /// A cache for sequences of different lengths, whose embeddings are padded at their start: the first `padding[i]` tokens of
    /// sequence `i` count as not there, for its positions and for what its tokens see. `capacity` includes them.
    ///
    /// # Errors
    ///
    /// As [`Self::new_cache`].
    pub fn new_padded_cache(&self, padding: &[usize], capacity: usize) -> Result<KvCache, BackboneError> {
        self.new_cache(padding.len(), capacity)?.with_padding(padding)
    }

    /// Logits of the next token after `embeddings`, `[batch, tokens, hidden]` of any float kind, and after what `cache`
    /// holds; their keys and values are added to `cache`. Returns `[batch, positions, vocab]` in `f32`, positions being
    /// `tokens`, 1 or 0 as `positions` says.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] if the shape, place or number of the embeddings does not fit the model or the cache, or
    /// if they require a gradient together with a cache. The cache is then as it was.
    pub fn forward(
        &self,
        embeddings: &Tensor,
        cache: Option<&mut KvCache>,
        positions: Positions,
    ) -> Result<Tensor, BackboneError> {
        let (batch, tokens) = self.check_embeddings(embeddings)?;
        let (first, count) = match positions {
            Positions::Last => (tokens - 1, 1),
            Positions::All => (0, tokens),
            Positions::None => (0, 0),
        };
        match (&self.stepper, cache) {
            (Some(stepper), Some(cache))
                if batch == 1 && stepper.reads_prompts() && !cache.is_padded() && !embeddings.requires_grad() =>
            {
                cache.check(batch, tokens)?;
                stepper.logits_of(self.config(), embeddings, cache, (first, count))
            }
            (_, cache) => {
                let hidden = self.hidden(embeddings, cache)?;
                self.logits(&hidden.f_narrow(1, first as i64, count as i64)?)
            }
        }
    }

    /// The first half of [`Self::forward`]: hidden states after the final norm, `[batch, tokens, hidden]`.
    ///
    /// Training computes [`Self::logits`] only for the positions that have a label: for a small model with a large
    /// vocabulary the head is most of the work.
    ///
    /// # Errors
    ///
    /// As [`Self::forward`].
    pub fn hidden(&self, embeddings: &Tensor, cache: Option<&mut KvCache>) -> Result<Tensor, BackboneError> {
        let (batch, tokens) = self.check_embeddings(embeddings)?;
        match cache.as_deref() {
            Some(cache) => cache.check(batch, tokens)?,
            None if tokens > self.config().max_context => {
                return Err(BackboneError::ContextFull {
                    tokens,
                    limit: self.config().max_context,
                });
            }
            None => {}
        }
        self.model.hidden(self.config(), embeddings, cache)
    }

    /// The second half of [`Self::forward`]: logits of hidden states, `[.., hidden]` to `[.., vocab]` in `f32`.
    ///
    /// # Errors
    ///
    /// [`BackboneError::Torch`] if the last dimension is not the hidden size.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, BackboneError> {
        self.model.logits(hidden)
    }

    /// Bytes of weights that [`Self::forward_each`] reads for one sequence: what a decoded token costs in memory traffic. `None`
    /// where libtorch does it.
    pub fn step_bytes(&self) -> Option<usize> {
        self.stepper.as_ref().map(Stepper::bytes)
    }

    /// Logits after one more token of each of several sequences that have nothing to do with one another, each in a cache of its
    /// own: `embeddings [sequences, 1, hidden]` → `[sequences, 1, vocab]` in `f32`. What does not depend on the past is computed
    /// for all in one go, and attention for each as [`Self::forward`] would alone.
    ///
    /// # Errors
    ///
    /// As [`Self::forward`]; [`BackboneError::CacheBatch`] also where the number of caches is not that of the embeddings, or one
    /// of them is not for one sequence, and [`BackboneError::PaddedCache`]. The caches are then as they were.
    pub fn forward_each(&self, embeddings: &Tensor, caches: &mut [&mut KvCache]) -> Result<Tensor, BackboneError> {
        let (sequences, tokens) = self.check_embeddings(embeddings)?;
        if caches.len() != sequences {
            return Err(BackboneError::CacheBatch {
                cache: caches.len(),
                embeddings: sequences,
            });
        }
        if tokens != 1 {
            return Err(BackboneError::EmbeddingShape {
                found: embeddings.size(),
                hidden: self.config().hidden_size,
            });
        }
        for (row, cache) in caches.iter().enumerate() {
            cache.check(1, 1)?;
            if cache.is_padded() {
                return Err(BackboneError::PaddedCache { row });
            }
        }
        match &self.stepper {
            Some(stepper) => stepper.logits_each(self.config(), embeddings, caches),
            None => self.logits(&self.model.hidden_each(self.config(), embeddings, caches)?),
        }
    }

    /// Batch size and number of tokens.
    fn check_embeddings(&self, embeddings: &Tensor) -> Result<(usize, usize), BackboneError> {
        let (kind, device, expected) = (embeddings.kind(), embeddings.device(), self.device());
        if !matches!(kind, Kind::Float | Kind::BFloat16 | Kind::Half | Kind::Double) || device != expected {
            return Err(BackboneError::EmbeddingPlace { kind, device, expected });
        }
        let hidden = self.config().hidden_size;
        match embeddings.size()[..] {
            [batch, tokens, width] if batch > 0 && tokens > 0 && width == hidden as i64 => {
                Ok((batch as usize, tokens as usize))
            }
            _ => Err(BackboneError::EmbeddingShape {
                found: embeddings.size(),
                hidden,
            }),
        }
    }
}

/// Reads weights, puts them on the device and counts them.
struct Loader<'a, P> {
    source: &'a dyn WeightSource,
    embedder: &'a Embedder,
    progress: P,
    counted: Progress,
}

impl<'a, P: FnMut(Progress)> Loader<'a, P> {
    fn new(source: &'a dyn WeightSource, embedder: &'a Embedder, progress: P) -> Self {
        let config = embedder.config();
        let parameters = |weight: Weight| weight.shape(config).iter().product::<usize>();
        let total = Weight::all(config).into_iter().map(parameters).sum();
        Self {
            source,
            embedder,
            progress,
            counted: Progress { loaded: 0, total },
        }
    }

    fn config(&self) -> &'a ModelConfig {
        self.embedder.config()
    }

    /// The model; its table is the embedder's.
    fn model(mut self) -> Result<Model, BackboneError> {
        let embedding = self.embedder.embedding_table().shallow_clone();
        self.count(embedding.numel());
        let layers = (0..self.config().layers)
            .map(|index| self.layer(index))
            .collect::<Result<_, _>>()?;
        let final_norm = self.weight(Weight::FinalNorm)?;
        let head = if self.config().tied_head {
            None
        } else {
            Some(self.weight(Weight::Head)?)
        };
        Ok(Model {
            embedding,
            layers,
            final_norm,
            head,
        })
    }

    fn layer(&mut self, index: usize) -> Result<Layer, BackboneError> {
        use LayerWeight as W;
        let qkv_bias = if self.config().family.has_qkv_bias() {
            Some(self.stacked(index, &[W::QueryBias, W::KeyBias, W::ValueBias])?)
        } else {
            None
        };
        Ok(Layer {
            attention_norm: self.weight(Weight::Layer(index, W::AttentionNorm))?,
            qkv: self.stacked(index, &[W::Query, W::Key, W::Value])?,
            qkv_bias,
            output: self.weight(Weight::Layer(index, W::Output))?,
            ffn_norm: self.weight(Weight::Layer(index, W::FfnNorm))?,
            gate_up: self.stacked(index, &[W::Gate, W::Up])?,
            down: self.weight(Weight::Layer(index, W::Down))?,
        })
    }

    fn weight(&mut self, weight: Weight) -> Result<Tensor, BackboneError> {
        let values = read_finite(self.source, weight, self.config())?;
        self.tensor(&values, &weight.shape(self.config()))
    }

    /// Weights of one layer one above the other, as one tensor.
    fn stacked(&mut self, index: usize, weights: &[LayerWeight]) -> Result<Tensor, BackboneError> {
        let mut values = Vec::new();
        let mut shape = Vec::new();
        for &weight in weights {
            let weight = Weight::Layer(index, weight);
            values.extend(read_finite(self.source, weight, self.config())?);
            let rows = shape.first().copied().unwrap_or(0);
            shape = weight.shape(self.config());
            shape[0] += rows;
        }
        self.tensor(&values, &shape)
    }

    fn tensor(&mut self, values: &[f32], shape: &[usize]) -> Result<Tensor, BackboneError> {
        let (kind, device) = (self.embedder.kind(), self.embedder.device());
        let shape = shape.iter().map(|&size| size as i64).collect::<Vec<_>>();
        let tensor = Tensor::f_from_slice(values)?
            .f_view(&shape[..])?
            .f_to_device(device)?
            .f_to_kind(kind)?;
        self.count(values.len());
        Ok(tensor)
    }

    fn count(&mut self, parameters: usize) {
        self.counted.loaded += parameters;
        (self.progress)(self.counted);
    }
}
