//! What stands before a frozen model's first layer, and needs none of its layers.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::chat::ChatTemplate;
use crate::config::ModelConfig;
use crate::error::BackboneError;
use crate::fingerprint::{Fingerprint, sha256_f32};
use crate::gguf::Gguf;
use crate::hardware::{LoadOptions, Place};
use crate::model::{embed, embedding_name};
use crate::tokenizer::Tokenizer;
use crate::weights::{Folder, GgufWeights, WeightSource, check_shape, finite};

/// A frozen LLM up to its first layer: chat template, tokenizer and the table of input embeddings. A [`crate::Backbone`] has the
/// layers too; where another program has those, this is all that a host loads.
///
/// Nothing in here changes after loading.
#[derive(Debug)]
pub struct Embedder {
    config: ModelConfig,
    table: Table,
    tokenizer: Tokenizer,
    chat: ChatTemplate,
    fingerprint: Fingerprint,
}

/// `[vocab, hidden]`
#[derive(Debug)]
struct Table(Tensor);

// SAFETY: the tensor is only ever shared by reference, and nothing writes to it after loading; libtorch lets any number of threads
// read one tensor, and counts references to it atomically.
unsafe impl Sync for Table {}

impl Embedder {
    /// Loads what is needed of the model at `path`, a GGUF file or a Hugging Face folder. Of a folder whose weights are in
    /// several files only the one with the table has to be there.
    ///
    /// # Errors
    ///
    /// [`BackboneError`] names the file and the key or tensor that is damaged, missing or not supported.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, BackboneError> {
        if path.is_file() {
            let gguf = Gguf::open(path)?;
            let config = ModelConfig::from_gguf(&gguf)?;
            let text = (Tokenizer::from_gguf(&gguf)?, ChatTemplate::from_gguf(&gguf)?);
            let place = options.resolve(&config)?;
            Self::read(&GgufWeights(&gguf), config, text, &place)
        } else if path.join("config.json").is_file() {
            let config = ModelConfig::from_config_json(&path.join("config.json"))?;
            let text = (Tokenizer::from_folder(path)?, ChatTemplate::from_folder(path)?);
            let place = options.resolve(&config)?;
            Self::read(&Folder::open_for_embedding(path, &config)?, config, text, &place)
        } else {
            Err(BackboneError::NoModel { path: path.to_owned() })
        }
    }

    /// Reads the table from an open model.
    pub(crate) fn read(
        source: &dyn WeightSource,
        config: ModelConfig,
        (tokenizer, chat): (Tokenizer, ChatTemplate),
        place: &Place,
    ) -> Result<Self, BackboneError> {
        let (name, shape) = (embedding_name(source, &config), [config.vocab_size, config.hidden_size]);
        check_shape(source, &name, &shape)?;
        if tokenizer.vocab_size() > config.vocab_size {
            return Err(BackboneError::Config {
                path: source.path().to_owned(),
                what: "the tokenizer's vocabulary",
                found: tokenizer.vocab_size().to_string(),
                expected: format!("at most {}, the rows of the embedding table", config.vocab_size),
            });
        }
        let values = finite(source, &name, source.values(&name)?)?;
        let fingerprint = Fingerprint {
            embedding_sha256: sha256_f32(&values),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
        };
        let table = Tensor::f_from_slice(&values)?
            .f_view(shape.map(|size| size as i64))?
            .f_to_device(place.device)?
            .f_to_kind(place.kind)?;
        Ok(Self {
            config,
            table: Table(table),
            tokenizer,
            chat,
            fingerprint,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the table is, and with it the embeddings.
    pub fn device(&self) -> Device {
        self.table.0.device()
    }

    /// The kind of numbers that embeddings are.
    pub fn kind(&self) -> Kind {
        self.table.0.kind()
    }

    /// [`Self::kind`] in a word: `float` or `bfloat16`.
    pub fn precision(&self) -> String {
        format!("{:?}", self.kind()).to_lowercase()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template.
    pub fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    /// The special tokens before and after a prompt that the chat template did not write.
    pub fn around_prompt(&self) -> (Option<u32>, Option<u32>) {
        let end = self.tokenizer.text_end();
        (self.text_start(), end.filter(|_| self.config.reads_prompts_whole()))
    }

    /// The special token that an answer begins with: a decoder that does not go on where the prompt stops was trained to write whole
    /// texts.
    pub fn before_answer(&self) -> Option<u32> {
        self.text_start().filter(|_| self.config.reads_prompts_whole())
    }

    fn text_start(&self) -> Option<u32> {
        self.tokenizer.bos().filter(|_| self.tokenizer.add_bos())
    }

    /// What identifies this model, independent of how it was loaded.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The input embeddings of all tokens, `[vocab, hidden]`, in [`Self::kind`]. Not to be written to.
    pub fn embedding_table(&self) -> &Tensor {
        &self.table.0
    }

    /// The input embeddings of `ids`, `[tokens, hidden]`. They require no gradient.
    ///
    /// # Errors
    ///
    /// [`BackboneError::TokenId`] for an id outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor, BackboneError> {
        self.check_ids(ids)?;
        embed(self.embedding_table(), ids)
    }

    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<(), BackboneError> {
        let vocab = self.config.vocab_size;
        match ids.iter().enumerate().find(|&(_, &id)| id as usize >= vocab) {
            None => Ok(()),
            Some((place, &id)) => Err(BackboneError::TokenId { id, place, vocab }),
        }
    }
}
