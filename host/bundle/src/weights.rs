//! The weights, as far as they can be judged without tensors: the container, the numbers, and the shape that they say they are
//! of. Whether each tensor fits that shape is for the transducer's own crate.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::TransducerShape;
use crate::error::readable;
use crate::manifest::{Parts, Pooling};

/// Where the transducer's configuration stands in the safetensors metadata.
const CONFIG_KEY: &str = "transducer";

/// Longest name of a tensor: it is a column of `inspect`.
const MAX_NAME: usize = 128;

/// Weights that no transducer can be made of.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors container, or a damaged one.
    #[error("not safetensors: {}", readable(&.0.to_string()))]
    Container(#[from] safetensors::SafeTensorError),
    /// The metadata do not hold the configuration of a transducer.
    #[error(
        "the safetensors metadata hold no configuration under `{CONFIG_KEY}`: these are not a transducer's weights"
    )]
    NoConfig,
    /// The configuration is not JSON.
    #[error("the configuration under `{CONFIG_KEY}` is not JSON: {0}")]
    Config(#[from] serde_json::Error),
    /// A tensor is not of 32-bit floats.
    #[error("{tensor} holds {found:?}, expected F32")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its type.
        found: Dtype,
    },
    /// A tensor whose name is none of a transducer's.
    #[error("a tensor is named {name:?}, expected letters, digits, `.`, `_` and `-`, at most {MAX_NAME}")]
    Name {
        /// The name, or its beginning.
        name: String,
    },
    /// NaN or infinity.
    #[error("{tensor}[{index}] is {value}, expected a finite number: the training has diverged or the file is damaged")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Which of its numbers, in row-major order.
        index: usize,
        /// The number.
        value: f32,
    },
    /// The weights are of another shape than the manifest says.
    #[error("the weights have `{key}` = {}, the manifest says {manifest}", readable(&.weights.to_string()))]
    OtherShape {
        /// The key of the configuration.
        key: &'static str,
        /// Of the weights.
        weights: Value,
        /// Of the manifest.
        manifest: Value,
    },
}

/// What is known of a weights file.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct WeightsInfo {
    /// Numbers in all.
    pub parameters: usize,
    /// By name.
    pub tensors: Vec<TensorInfo>,
}

/// What is known of a tensor.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Least number; 0 of none.
    pub min: f64,
    /// Greatest number; 0 of none.
    pub max: f64,
    /// Mean; 0 of none.
    pub mean: f64,
    /// Root of the mean square; 0 of none.
    pub rms: f64,
}

/// Reads weights and compares them with the manifest's shape.
///
/// # Errors
/// [`WeightsError`] with what is wrong first.
pub fn check_weights(bytes: &[u8], shape: &TransducerShape, hidden_size: usize) -> Result<WeightsInfo, WeightsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let config = header.metadata().as_ref().and_then(|entries| entries.get(CONFIG_KEY));
    let config: Value = serde_json::from_str(config.ok_or(WeightsError::NoConfig)?)?;
    compare(&config["config"], shape, hidden_size)?;
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = file
        .iter()
        .map(|(name, view)| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if name.len() > MAX_NAME || !name.bytes().all(fits) {
                return Err(WeightsError::Name {
                    name: name.chars().take(MAX_NAME).collect(),
                });
            }
            if view.dtype() != Dtype::F32 {
                return Err(WeightsError::Dtype {
                    tensor: name.to_owned(),
                    found: view.dtype(),
                });
            }
            statistics(name, view.shape(), view.data())
        })
        .collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let parameters = tensors
        .iter()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .sum();
    Ok(WeightsInfo { parameters, tensors })
}

fn compare(config: &Value, shape: &TransducerShape, hidden_size: usize) -> Result<(), WeightsError> {
    let parts = match shape.parts {
        Parts::Full => "full",
        Parts::NoFusion => "no-fusion",
        Parts::NoGraph => "no-graph",
    };
    let said: [(&'static str, Value); 8] = [
        ("hidden", hidden_size.into()),
        ("width", shape.width.into()),
        ("layers", shape.layers.into()),
        ("heads", shape.heads.into()),
        ("task_tokens", shape.task_tokens.into()),
        ("edge_kinds", shape.edge_kinds.clone().into()),
        ("cpg_schema", shape.cpg_schema.into()),
        ("parts", parts.into()),
    ];
    let pooling = match shape.pooling {
        Pooling::Attention => "attention",
        Pooling::Max => "max",
    };
    let found = said.map(|(key, manifest)| (key, config[key].clone(), manifest));
    // What weights of before do not name.
    let since =
        |key: &'static str, before: Value, manifest: Value| (key, config.get(key).cloned().unwrap_or(before), manifest);
    let later = [
        since("reply_tokens", 0.into(), shape.reply_tokens.into()),
        since("pooling", "attention".into(), pooling.into()),
    ];
    match found
        .into_iter()
        .chain(later)
        .find(|(_, weights, manifest)| weights != manifest)
    {
        None => Ok(()),
        Some((key, weights, manifest)) => Err(WeightsError::OtherShape { key, weights, manifest }),
    }
}

fn statistics(name: &str, shape: &[usize], data: &[u8]) -> Result<TensorInfo, WeightsError> {
    let (words, _) = data.as_chunks::<4>();
    let (mut min, mut max, mut sum, mut squares) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0);
    for (index, &word) in words.iter().enumerate() {
        let value = f32::from_le_bytes(word);
        if !value.is_finite() {
            return Err(WeightsError::NotFinite {
                tensor: name.to_owned(),
                index,
                value,
            });
        }
        let value = f64::from(value);
        (min, max) = (min.min(value), max.max(value));
        (sum, squares) = (sum + value, squares + value * value);
    }
    if words.is_empty() {
        (min, max) = (0.0, 0.0);
    }
    let count = words.len().max(1) as f64;
    Ok(TensorInfo {
        name: name.to_owned(),
        shape: shape.to_vec(),
        min,
        max,
        mean: sum / count,
        rms: (squares / count).sqrt(),
    })
}
