//! The weights of a model by what they are for, wherever they are stored.

mod folder;
mod gguf;
mod loader;

use std::collections::HashSet;
use std::path::Path;

use crate::BackboneError;
use crate::config::ModelConfig;

pub(crate) use folder::Folder;
pub(crate) use gguf::GgufWeights;
pub(crate) use loader::Loader;

/// One weight of a llama-like model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Embedding,
    FinalNorm,
    FinalNormBias,
    Head,
    Layer(usize, LayerWeight),
}

/// One weight of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerWeight {
    AttentionNorm,
    Query,
    Key,
    Value,
    QueryBias,
    KeyBias,
    ValueBias,
    Output,
    FfnNorm,
    Gate,
    Up,
    Down,
    AttentionNormBias,
    OutputBias,
    FfnNormBias,
    /// Of a feed-forward layer without gate.
    Fc,
    FcBias,
    Proj,
    ProjBias,
}

impl LayerWeight {
    const ATTENTION: [Self; 6] = [
        Self::AttentionNorm,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::FfnNorm,
    ];
    const GATED: [Self; 3] = [Self::Gate, Self::Up, Self::Down];
    const BIASED: [Self; 7] = [
        Self::AttentionNormBias,
        Self::OutputBias,
        Self::FfnNormBias,
        Self::Fc,
        Self::FcBias,
        Self::Proj,
        Self::ProjBias,
    ];
    const QKV_BIASES: [Self; 3] = [Self::QueryBias, Self::KeyBias, Self::ValueBias];
}

impl Weight {
    /// Every weight that a model of this shape has.
    pub(crate) fn all(config: &ModelConfig) -> Vec<Self> {
        let biases = if config.family.has_qkv_bias() {
            &LayerWeight::QKV_BIASES[..]
        } else {
            &[]
        };
        let mut all = vec![Self::Embedding, Self::FinalNorm];
        let feed_forward = if config.family.is_biased() {
            all.push(Self::FinalNormBias);
            &LayerWeight::BIASED[..]
        } else {
            &LayerWeight::GATED[..]
        };
        if !config.tied_head {
            all.push(Self::Head);
        }
        for layer in 0..config.layers {
            let of_layer = LayerWeight::ATTENTION.iter().chain(feed_forward).chain(biases);
            all.extend(of_layer.map(|&weight| Self::Layer(layer, weight)));
        }
        all
    }

    /// Whether a norm multiplies by it.
    fn is_of_norm(self) -> bool {
        matches!(
            self,
            Self::FinalNorm | Self::Layer(_, LayerWeight::AttentionNorm | LayerWeight::FfnNorm)
        )
    }

    /// The shape that the weight has in a model of this shape; `[out, in]` for a projection.
    pub(crate) fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let (hidden, ffn) = (config.hidden_size, config.ffn_size);
        let Self::Layer(_, weight) = self else {
            return match self {
                Self::FinalNorm | Self::FinalNormBias => vec![hidden],
                _ => vec![config.vocab_size, hidden],
            };
        };
        match weight {
            LayerWeight::AttentionNorm
            | LayerWeight::FfnNorm
            | LayerWeight::AttentionNormBias
            | LayerWeight::OutputBias
            | LayerWeight::FfnNormBias
            | LayerWeight::ProjBias => vec![hidden],
            LayerWeight::FcBias => vec![ffn],
            LayerWeight::Query => vec![config.query_size(), hidden],
            LayerWeight::Key | LayerWeight::Value => vec![config.kv_size(), hidden],
            LayerWeight::QueryBias => vec![config.query_size()],
            LayerWeight::KeyBias | LayerWeight::ValueBias => vec![config.kv_size()],
            LayerWeight::Output => vec![hidden, config.query_size()],
            LayerWeight::Gate | LayerWeight::Up | LayerWeight::Fc => vec![ffn, hidden],
            LayerWeight::Down | LayerWeight::Proj => vec![hidden, ffn],
        }
    }
}

/// A place where a model's weights are stored.
pub(crate) trait WeightSource {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// What the source calls the weight of a llama-like model.
    fn name(&self, weight: Weight) -> String;

    /// The stored shape of the tensor `name`, outermost dimension first, if there is one.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The names of all tensors that are there.
    fn names(&self) -> Vec<&str>;

    /// Whether a tensor that is no weight may be there: it repeats or derives what is known otherwise.
    fn is_redundant(&self, name: &str, config: &ModelConfig) -> bool;

    /// The tensor `name` as `f32`, row major, as it is stored.
    fn values(&self, name: &str) -> Result<Vec<f32>, BackboneError>;

    /// The weight as `f32`, row major: what a norm multiplies by; query and key rows such that RoPE pairs the places `i` and `i + head_dim / 2`.
    fn read(&self, weight: Weight, config: &ModelConfig) -> Result<Vec<f32>, BackboneError>;
}

/// A tensor's name and shape.
pub(crate) type Named = (String, Vec<usize>);

/// Whether the tensor that a model needs is there, and has the shape that it has to have.
pub(crate) fn check_shape(source: &dyn WeightSource, tensor: &str, expected: &[usize]) -> Result<(), BackboneError> {
    let (path, tensor) = (source.path().to_owned(), tensor.to_owned());
    match source.shape(&tensor) {
        None => Err(BackboneError::MissingTensor { path, tensor }),
        Some(found) if found != expected => Err(BackboneError::TensorShape {
            path,
            tensor,
            expected: expected.to_owned(),
            found,
        }),
        Some(_) => Ok(()),
    }
}

/// The one door for weights: all that a model of this `config` has are there, as `expected` names them, and have its shapes; and
/// nothing else is there.
pub(crate) fn validate(
    source: &dyn WeightSource,
    config: &ModelConfig,
    expected: &[Named],
) -> Result<(), BackboneError> {
    for (tensor, shape) in expected {
        check_shape(source, tensor, shape)?;
    }
    let known: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    match source
        .names()
        .into_iter()
        .find(|&name| !known.contains(name) && !source.is_redundant(name, config))
    {
        None => Ok(()),
        Some(name) => {
            let (tensor, family) = (name.to_owned(), config.family.name());
            Err(BackboneError::SurplusTensor {
                path: source.path().to_owned(),
                tensor,
                family,
            })
        }
    }
}

/// Refuses infinities and NaN: one of them turns every output into NaN, far from its cause.
pub(crate) fn finite(source: &dyn WeightSource, tensor: &str, values: Vec<f32>) -> Result<Vec<f32>, BackboneError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => Err(BackboneError::NotFinite {
            path: source.path().to_owned(),
            tensor: tensor.to_owned(),
            place,
            value: values[place],
        }),
    }
}
