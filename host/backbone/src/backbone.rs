//! A loaded backbone: the door to the frozen model.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tch::{Kind, Tensor};

use crate::cache::KvCache;
use crate::chat::ChatTemplate;
use crate::config::{ModelConfig, Shape};
use crate::embedder::Embedder;
use crate::error::BackboneError;
use crate::gguf::Gguf;
use crate::hardware::{LoadOptions, Place, Products};
use crate::lesson::{Lesson, hand_on};
use crate::model::{Decoder, Model, T5};
use crate::tokenizer::Tokenizer;
use crate::weights::{Folder, GgufWeights, WeightSource};

/// The frozen LLM with its tokenizer and chat template: a decoder, or an encoder with a decoder. Whoever uses it need not know which:
/// a prompt's embeddings come first, then one token after the other.
///
/// Nothing in here changes after loading, and no weight requires a gradient. No call switches gradients off either:
/// a forward pass without a cache is differentiable with respect to the embeddings it is given, and who only
/// generates calls it under [`tch::no_grad`].
#[derive(Debug)]
pub struct Backbone {
    embedder: Arc<Embedder>,
    model: Box<dyn Model>,
    products: Products,
    threads: i32,
}

/// A backbone is an [`Embedder`] with layers.
impl Deref for Backbone {
    type Target = Embedder;

    fn deref(&self) -> &Embedder {
        &self.embedder
    }
}

/// libtorch's own choice, the physical cores, whatever this process told it since.
fn usual_threads() -> i32 {
    static USUAL: OnceLock<i32> = OnceLock::new();
    *USUAL.get_or_init(tch::get_num_threads)
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

/// Some more embeddings of one sequence, see [`Backbone::forward_pieces`].
#[derive(Debug)]
pub struct Piece<'a> {
    /// `[tokens, hidden]`, of any float kind.
    pub embeddings: Tensor,
    /// Of this sequence alone.
    pub cache: &'a mut KvCache,
    /// For which of these tokens logits are computed.
    pub positions: Positions,
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
        mut progress: impl FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        let threads = options.threads.map_or_else(usual_threads, |threads| {
            i32::try_from(threads.get()).unwrap_or(i32::MAX)
        });
        tch::set_num_threads(threads);
        if path.is_file() {
            let gguf = Gguf::open(path)?;
            let config = ModelConfig::from_gguf(&gguf)?;
            let text = (Tokenizer::from_gguf(&gguf)?, ChatTemplate::from_gguf(&gguf)?);
            let place = options.resolve(&config)?;
            Self::assemble(&GgufWeights(&gguf), config, text, (place, threads), &mut progress)
        } else if path.join("config.json").is_file() {
            let config = ModelConfig::from_config_json(&path.join("config.json"))?;
            let text = (Tokenizer::from_folder(path)?, ChatTemplate::from_folder(path)?);
            let place = options.resolve(&config)?;
            Self::assemble(&Folder::open(path)?, config, text, (place, threads), &mut progress)
        } else {
            Err(BackboneError::NoModel { path: path.to_owned() })
        }
    }

    fn assemble(
        source: &dyn WeightSource,
        config: ModelConfig,
        text: (Tokenizer, ChatTemplate),
        (place, threads): (Place, i32),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        let embedder = Arc::new(Embedder::read(source, config, text, &place)?);
        let model: Box<dyn Model> = match &embedder.config().shape {
            Shape::Decoder { rope } => Box::new(Decoder::load(source, &embedder, rope, place.products, progress)?),
            Shape::EncoderDecoder(shape) => Box::new(T5::load(source, &embedder, shape, progress)?),
        };
        Ok(Self {
            embedder,
            model,
            products: place.products,
            threads,
        })
    }

    /// How many threads its forward passes share their work between, where the thread that makes them says so
    /// ([`tch::set_num_threads`]); the one that loaded it has.
    pub fn threads(&self) -> i32 {
        self.threads
    }

    /// The numbers that it answers with: `float`, `bfloat16`, or `int8` where inputs are rounded, see [`crate::DtypeChoice::Int8`].
    pub fn precision(&self) -> String {
        if self.products.inputs_in_int8 {
            return "int8".to_owned();
        }
        self.embedder.precision()
    }

    /// What stands before the first layer.
    pub fn embedder(&self) -> &Arc<Embedder> {
        &self.embedder
    }

    /// An empty cache for `batch` sequences of up to `capacity` tokens, prompts included. Memory:
    /// `2 × layers × kv_heads × head_dim` numbers a token and sequence.
    ///
    /// # Errors
    ///
    /// [`BackboneError::ContextFull`] if `capacity` exceeds what the model can hold, [`BackboneError::CacheRows`] if `batch`
    /// is 0, [`BackboneError::Torch`] if memory does not suffice.
    pub fn new_cache(&self, batch: usize, capacity: usize) -> Result<KvCache, BackboneError> {
        self.new_padded_cache(&vec![0; batch], capacity)
    }

    /// A cache for sequences of different lengths, whose embeddings are padded at their start: the first `padding[i]` tokens of
    /// sequence `i` count as not there, for its positions and for what its tokens see. `capacity` includes them.
    ///
    /// # Errors
    ///
    /// As [`Self::new_cache`].
    pub fn new_padded_cache(&self, padding: &[usize], capacity: usize) -> Result<KvCache, BackboneError> {
        if padding.is_empty() {
            let (rows, batch) = (Vec::new(), 0);
            return Err(BackboneError::CacheRows { rows, batch });
        }
        let (tokens, limit) = (capacity, self.config().longest_sequence());
        if tokens > limit {
            return Err(BackboneError::ContextFull { tokens, limit });
        }
        self.model.new_cache(padding, capacity)
    }

    /// Logits of the next token after `embeddings`, `[batch, tokens, hidden]` of any float kind, and after what `cache`
    /// holds; their keys and values are added to `cache`. Returns `[batch, positions, vocab]` in `f32`, positions being
    /// `tokens`, 1 or 0 as `positions` says.
    ///
    /// An encoder reads the first embeddings, which are the prompt, as a whole: without a cache, or into an empty one. Only after the
    /// last of them is there a next token, so that [`Positions::All`] means [`Positions::Last`] there.
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
        self.check_embeddings(embeddings)?;
        self.model.forward(embeddings, cache, positions)
    }

    /// Hidden states from which [`Self::logits`] predicts the tokens of `answers`, each after its prompt `[tokens, hidden]` and after
    /// those before it: `[answer tokens, hidden]`, those of the first answer first. Prompts and answers have at least one token. All are
    /// read at once, as one padded batch; libtorch differentiates it with respect to the prompts.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] if a prompt or an answer does not fit the model.
    pub fn hidden_of_answers(&self, prompts: &[Tensor], answers: &[&[u32]]) -> Result<Tensor, BackboneError> {
        self.check_lesson(prompts, answers)?;
        self.model.hidden_of_answers(prompts, answers)
    }

    /// The negative log-likelihood of every token of `answers`, in nats, each after its prompt `[tokens, hidden]` and after those before
    /// it. Prompts and answers have at least one token. Where `weight` is given and all are finite, the gradient of `weight` times
    /// their sum is added to the gradients of what the prompts were computed from.
    ///
    /// About `most` tokens are read at once, padding included where there is any: what a training needs of memory grows with it, what it
    /// computes does not change but for rounding.
    ///
    /// # Errors
    ///
    /// As [`Self::hidden_of_answers`].
    pub fn losses(
        &self,
        prompts: &[Tensor],
        answers: &[&[u32]],
        weight: Option<f64>,
        most: usize,
    ) -> Result<Vec<Vec<f32>>, BackboneError> {
        self.check_lesson(prompts, answers)?;
        let own: Vec<Tensor> = prompts.iter().map(Tensor::detach).collect();
        let learned = self.model.learn(&own, answers, &Lesson { weight, most })?;
        let (losses, gradients): (Vec<_>, Vec<_>) = learned
            .into_iter()
            .map(|learned| (learned.losses, learned.gradient))
            .unzip();
        let is_wanted =
            prompts.iter().any(Tensor::requires_grad) && losses.iter().flatten().all(|loss| loss.is_finite());
        if is_wanted && let Some(gradients) = gradients.into_iter().collect::<Option<Vec<_>>>() {
            hand_on(&Tensor::f_cat(prompts, 0)?, &Tensor::f_cat(&gradients, 0)?)?;
        }
        Ok(losses)
    }

    fn check_lesson(&self, prompts: &[Tensor], answers: &[&[u32]]) -> Result<(), BackboneError> {
        for prompt in prompts {
            self.check_embeddings(&prompt.f_unsqueeze(0)?)?;
        }
        for answer in answers {
            self.embedder.check_ids(answer)?;
        }
        Ok(())
    }

    /// Logits of hidden states, `[.., hidden]` to `[.., vocab]` in `f32`.
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
        self.model.step_bytes()
    }

    /// Logits after one more token of each of several sequences that have nothing to do with one another, each in a cache of its
    /// own: `embeddings [sequences, 1, hidden]` → `[sequences, 1, vocab]` in `f32`. What does not depend on the past is computed
    /// for all in one go, and attention for each as [`Self::forward`] would alone.
    ///
    /// # Errors
    ///
    /// As [`Self::forward`]; [`BackboneError::CacheBatch`] also where the number of caches is not that of the embeddings, or one
    /// of them is not for one sequence, [`BackboneError::PaddedCache`], and [`BackboneError::NoPrompt`] for an encoder's cache
    /// that is empty. The caches are then as they were.
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
        self.model.forward_each(embeddings, caches)
    }

    /// Whether [`Self::forward_pieces`] computes for all pieces in one go what does not depend on the past.
    pub fn reads_together(&self) -> bool {
        self.model.reads_together()
    }

    /// Logits after some more embeddings of each of several sequences that have nothing to do with one another, one token or a piece of
    /// a prompt: `[positions, vocab]` in `f32`, those of the first piece first.
    ///
    /// # Errors
    ///
    /// As [`Self::forward`], and [`BackboneError::PaddedCache`]. Where the model [reads together](Self::reads_together) the caches are
    /// then as they were; else those of the pieces before the one that failed have gone on.
    pub fn forward_pieces(&self, pieces: &mut [Piece<'_>]) -> Result<Tensor, BackboneError> {
        for piece in pieces.iter() {
            self.check_embeddings(&piece.embeddings.f_unsqueeze(0)?)?;
        }
        self.model.forward_pieces(pieces)
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
