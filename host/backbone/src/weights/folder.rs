//! Weights of a Hugging Face folder: one or more safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::{LayerWeight, Weight, WeightSource};
use crate::BackboneError;
use crate::config::{Family, ModelConfig};
use crate::model::{embedding_name, is_redundant_in_t5};

/// A model in one file.
const SINGLE: &str = "model.safetensors";

/// The directory of a model in several files.
const INDEX: &str = "model.safetensors.index.json";

/// The weights in a folder's safetensors files, by transformers' names.
pub(crate) struct Folder {
    path: PathBuf,
    shards: Vec<Mmap>,
    tensors: HashMap<String, Stored>,
}

/// Where a tensor is, and as what.
struct Stored {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Folder {
    /// Maps the safetensors files in `path` and checks their headers.
    pub(crate) fn open(path: &Path) -> Result<Self, BackboneError> {
        let mut folder = Self {
            path: path.to_owned(),
            shards: Vec::new(),
            tensors: HashMap::new(),
        };
        let index = path.join(INDEX);
        if !index.is_file() {
            folder.add_shard(&path.join(SINGLE))?;
            return Ok(folder);
        }
        let placed = read_index(&index)?;
        let mut files = placed.values().collect::<Vec<_>>();
        files.sort_unstable();
        files.dedup();
        for file in files {
            folder.add_shard(&path.join(file))?;
        }
        // A shard that lacks what the index promises would show as a missing tensor of the model; one that the
        // model does not need is no concern of ours.
        Ok(folder)
    }

    /// Maps only the file that has the table of input embeddings; the others need not be there.
    pub(crate) fn open_for_embedding(path: &Path, config: &ModelConfig) -> Result<Self, BackboneError> {
        let mut folder = Self {
            path: path.to_owned(),
            shards: Vec::new(),
            tensors: HashMap::new(),
        };
        let index = path.join(INDEX);
        let file = if index.is_file() {
            let tensor = embedding_name(&folder, config);
            let missing = || BackboneError::MissingTensor {
                path: index.clone(),
                tensor: tensor.clone(),
            };
            read_index(&index)?.remove(&tensor).ok_or_else(missing)?
        } else {
            SINGLE.to_owned()
        };
        folder.add_shard(&path.join(file))?;
        Ok(folder)
    }

    fn add_shard(&mut self, file: &Path) -> Result<(), BackboneError> {
        let io = |source| BackboneError::Io {
            path: file.to_owned(),
            source,
        };
        let opened = File::open(file).map_err(io)?;
        // SAFETY: the map is read only; as with every mapped file, it must not be truncated while it is in use. A
        // model file is replaced by renaming, never rewritten in place.
        let map = unsafe { Mmap::map(&opened) }.map_err(io)?;
        let shard = self.shards.len();
        let parsed = SafeTensors::deserialize(&map).map_err(|source| BackboneError::Safetensors {
            path: file.to_owned(),
            source,
        })?;
        for (name, view) in parsed.iter() {
            // Data lies within the map, so that its address tells the range.
            let start = view.data().as_ptr().addr() - map.as_ptr().addr();
            let range = start..start + view.data().len();
            let stored = Stored {
                shard,
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                range,
            };
            self.tensors.insert(name.to_owned(), stored);
        }
        self.shards.push(map);
        Ok(())
    }
}

fn read_index(path: &Path) -> Result<HashMap<String, String>, BackboneError> {
    let text = std::fs::read(path).map_err(|source| BackboneError::Io {
        path: path.to_owned(),
        source,
    })?;
    let index: Index = serde_json::from_slice(&text).map_err(|source| BackboneError::Json {
        path: path.to_owned(),
        source,
    })?;
    // The names come from outside: none may lead out of the folder.
    match index
        .weight_map
        .iter()
        .find(|(_, file)| Path::new(file).file_name() != Some(file.as_ref()))
    {
        None => Ok(index.weight_map),
        Some((tensor, file)) => {
            let (path, tensor, file) = (path.to_owned(), tensor.clone(), file.clone());
            Err(BackboneError::ShardName { path, tensor, file })
        }
    }
}

impl WeightSource for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, weight: Weight) -> String {
        let (layer, name) = match weight {
            Weight::Embedding => return "model.embed_tokens.weight".to_owned(),
            Weight::FinalNorm => return "model.norm.weight".to_owned(),
            Weight::FinalNormBias => return "model.norm.bias".to_owned(),
            Weight::Head => return "lm_head.weight".to_owned(),
            Weight::Layer(layer, weight) => (layer, weight),
        };
        let name = match name {
            LayerWeight::AttentionNorm => "input_layernorm.weight",
            LayerWeight::Query => "self_attn.q_proj.weight",
            LayerWeight::Key => "self_attn.k_proj.weight",
            LayerWeight::Value => "self_attn.v_proj.weight",
            LayerWeight::QueryBias => "self_attn.q_proj.bias",
            LayerWeight::KeyBias => "self_attn.k_proj.bias",
            LayerWeight::ValueBias => "self_attn.v_proj.bias",
            LayerWeight::Output => "self_attn.o_proj.weight",
            LayerWeight::FfnNorm => "post_attention_layernorm.weight",
            LayerWeight::Gate => "mlp.gate_proj.weight",
            LayerWeight::Up => "mlp.up_proj.weight",
            LayerWeight::Down => "mlp.down_proj.weight",
            LayerWeight::AttentionNormBias => "input_layernorm.bias",
            LayerWeight::OutputBias => "self_attn.o_proj.bias",
            LayerWeight::FfnNormBias => "post_attention_layernorm.bias",
            LayerWeight::Fc => "mlp.c_fc.weight",
            LayerWeight::FcBias => "mlp.c_fc.bias",
            LayerWeight::Proj => "mlp.c_proj.weight",
            LayerWeight::ProjBias => "mlp.c_proj.bias",
        };
        format!("model.layers.{layer}.{name}")
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|stored| stored.shape.clone())
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn is_redundant(&self, name: &str, config: &ModelConfig) -> bool {
        match config.family {
            Family::T5 => is_redundant_in_t5(name),
            // Some files repeat a tied head; old ones keep RoPE's frequencies, which the configuration determines.
            _ => (config.tied_head && name == self.name(Weight::Head)) || name.ends_with(".rotary_emb.inv_freq"),
        }
    }

    fn read(&self, weight: Weight, config: &ModelConfig) -> Result<Vec<f32>, BackboneError> {
        let mut values = self.values(&self.name(weight))?;
        if config.family == Family::Gemma && weight.is_of_norm() {
            // It is stored as what is added to 1.
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        Ok(values)
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, BackboneError> {
        let tensor = name.to_owned();
        let Some(stored) = self.tensors.get(&tensor) else {
            return Err(BackboneError::MissingTensor {
                path: self.path.clone(),
                tensor,
            });
        };
        let bytes = &self.shards[stored.shard][stored.range.clone()];
        let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        match stored.dtype {
            Dtype::F32 => Ok(bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()),
            Dtype::F16 => Ok(pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect()),
            Dtype::BF16 => Ok(pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect()),
            other => Err(BackboneError::TensorType {
                path: self.path.clone(),
                tensor,
                found: format!("{other:?}"),
            }),
        }
    }
}
