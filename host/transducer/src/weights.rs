//! Weights as safetensors: 32-bit floats, the configuration as JSON in the file's metadata.

use crate::parameters::{Parameters, Spec, specs};
use crate::{TransducerConfig, TransducerError};
use atomic_write_file::AtomicWriteFile;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Version of the names, shapes and meaning of the tensors and of the configuration beside them.
pub const FORMAT_VERSION: u64 = 1;

/// Where the configuration stands in the safetensors metadata. There is no other key, so that equal weights are equal
/// bytes.
pub const METADATA_KEY: &str = "transducer";

/// The largest transducer that a configuration allows takes 20 MiB; three times that is room enough, and far below what
/// an LLM's weights take.
pub const MAX_WEIGHTS_BYTES: u64 = 64 << 20;

/// What stands under [`METADATA_KEY`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    format: u64,
    config: TransducerConfig,
}

/// The part of [`Metadata`] that every version has.
#[derive(Deserialize)]
struct AnyVersion {
    format: u64,
}

/// Reads a file, then [`decode`]s it.
pub(crate) fn read(path: &Path, device: Device) -> Result<(TransducerConfig, Parameters), TransducerError> {
    let bytes = || {
        let io = |action| move |source| TransducerError::Io { action, source };
        let file = std::fs::File::open(path).map_err(io("open"))?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large, whatever its size is said to be.
        file.take(MAX_WEIGHTS_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io("read"))?;
        Ok(bytes)
    };
    let in_file = |source| TransducerError::File {
        path: path.to_owned(),
        source: Box::new(source),
    };
    bytes().and_then(|bytes| decode(&bytes, device)).map_err(in_file)
}

/// Checks everything: the container, the configuration, and of each tensor its name, type, shape and values.
pub(crate) fn decode(bytes: &[u8], device: Device) -> Result<(TransducerConfig, Parameters), TransducerError> {
    if bytes.len() as u64 > MAX_WEIGHTS_BYTES {
        return Err(TransducerError::TooLarge {
            bytes: bytes.len() as u64,
            limit: MAX_WEIGHTS_BYTES,
        });
    }
    let config = decode_config(bytes)?;
    let file = SafeTensors::deserialize(bytes)?;
    let specs = specs(&config);
    if let Some(name) = file
        .names()
        .into_iter()
        .filter(|name| specs.iter().all(|spec| spec.name != **name))
        .min()
    {
        return Err(TransducerError::SurplusTensor { name: name.to_owned() });
    }
    let values: Vec<Vec<f32>> = specs
        .iter()
        .map(|spec| decode_tensor(&file, spec))
        .collect::<Result<_, _>>()?;
    let mut values = values.into_iter();
    let parameters = Parameters::from_values(&config, device, |_| values.next().unwrap_or_default());
    Ok((config, parameters))
}

fn decode_config(bytes: &[u8]) -> Result<TransducerConfig, TransducerError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let json = header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY));
    let json = json.ok_or(TransducerError::NoConfig { key: METADATA_KEY })?;
    let not_ours = |source| TransducerError::Metadata {
        key: METADATA_KEY,
        source,
    };
    let AnyVersion { format } = serde_json::from_str(json).map_err(not_ours)?;
    if format != FORMAT_VERSION {
        return Err(TransducerError::Format {
            found: format,
            expected: FORMAT_VERSION,
        });
    }
    let Metadata { config, .. } = serde_json::from_str(json).map_err(not_ours)?;
    config.validate()?;
    Ok(config)
}

fn decode_tensor(file: &SafeTensors<'_>, spec: &Spec) -> Result<Vec<f32>, TransducerError> {
    let Spec { name, shape, .. } = spec;
    let Ok(tensor) = file.tensor(name) else {
        return Err(TransducerError::MissingTensor {
            name: name.clone(),
            expected: shape.clone(),
        });
    };
    if tensor.dtype() != Dtype::F32 {
        return Err(TransducerError::Dtype {
            name: name.clone(),
            found: tensor.dtype(),
        });
    }
    if !tensor.shape().iter().map(|&size| size as i64).eq(shape.iter().copied()) {
        let found = tensor.shape().to_vec();
        return Err(TransducerError::Shape {
            name: name.clone(),
            expected: shape.clone(),
            found,
        });
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(TransducerError::NotFinite {
            name: name.clone(),
            index,
            value: values[index],
        }),
        None => Ok(values),
    }
}

/// The bytes of a weights file; the same for the same configuration and weights.
pub(crate) fn encode(config: &TransducerConfig, parameters: &Parameters) -> Result<Vec<u8>, TransducerError> {
    let json = serde_json::to_string(&Metadata {
        format: FORMAT_VERSION,
        config: config.clone(),
    })
    .map_err(|source| TransducerError::Metadata {
        key: METADATA_KEY,
        source,
    })?;
    let mut tensors = Vec::new();
    for (name, tensor) in parameters.iter() {
        let values = to_vec(tensor);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(TransducerError::NotFinite {
                name: name.to_owned(),
                index,
                value: values[index],
            });
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
        tensors.push((name, shape, bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, TransducerError>>()?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Writes a file in one step: whoever reads the path finds the old weights or the new ones, never half a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TransducerError> {
    let put = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(bytes)?;
        file.commit()
    };
    put().map_err(|source| TransducerError::File {
        path: path.to_owned(),
        source: Box::new(TransducerError::Io {
            action: "write",
            source,
        }),
    })
}

/// The values of a tensor in row-major order.
fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}
