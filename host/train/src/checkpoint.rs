//! A training that can go on: weights, the optimizer's memory and where the run stood, in one file that is replaced at once.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::TrainError;
use crate::adamw::Slot;

/// Where the state stands in the file's metadata.
const KEY: &str = "run";

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Steps done.
    pub(crate) step: u32,
    /// The lowest validation loss, and its step.
    pub(crate) best: Option<(f64, u32)>,
    /// Validations since then.
    pub(crate) since_best: u32,
    /// Seconds of training so far.
    pub(crate) seconds: f64,
    /// What the run is made of: each setting by name. One with other settings cannot go on with it.
    pub(crate) settings: Vec<(String, String)>,
}

/// Writes a checkpoint; whoever reads the path finds the old one or the new one.
pub(crate) fn save(path: &Path, state: &State, slots: &[Slot]) -> Result<(), TrainError> {
    let damaged = |message: String| TrainError::Checkpoint {
        path: path.to_owned(),
        message,
    };
    let mut tensors = Vec::new();
    for slot in slots {
        for (part, tensor) in [
            ("value", &slot.parameter),
            ("first", &slot.first),
            ("second", &slot.second),
        ] {
            let values = Vec::<f32>::try_from(
                tensor
                    .detach()
                    .to_device(Device::Cpu)
                    .to_kind(Kind::Float)
                    .flatten(0, -1),
            )?;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            tensors.push((format!("{part}.{}", slot.name), shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
            .map_err(|error| damaged(error.to_string()))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let json = serde_json::to_string(state).map_err(|error| damaged(error.to_string()))?;
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| damaged(error.to_string()))?;
    replace(path, &bytes)
}

/// Reads where a run stands, and none of its tensors.
pub(crate) fn state(path: &Path) -> Result<State, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::file(path))?;
    state_of(&bytes, path)
}

fn state_of(bytes: &[u8], path: &Path) -> Result<State, TrainError> {
    let damaged = |message: String| TrainError::Checkpoint {
        path: path.to_owned(),
        message,
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let json = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let json = json.ok_or_else(|| damaged("it holds no run".to_owned()))?;
    serde_json::from_str(json).map_err(|error| damaged(error.to_string()))
}

/// Reads the state, and the tensors into the slots.
pub(crate) fn load(path: &Path, slots: &mut [Slot]) -> Result<State, TrainError> {
    let damaged = |message: String| TrainError::Checkpoint {
        path: path.to_owned(),
        message,
    };
    let bytes = std::fs::read(path).map_err(TrainError::file(path))?;
    let state = state_of(&bytes, path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    for slot in slots {
        let read = |part: &str| {
            let name = format!("{part}.{}", slot.name);
            let tensor = file
                .tensor(&name)
                .map_err(|error| damaged(format!("{name}: {error}")))?;
            let size = slot.parameter.size();
            let fits = tensor.shape().iter().map(|&size| size as i64).eq(size.iter().copied());
            if !fits || tensor.dtype() != Dtype::F32 {
                return Err(damaged(format!(
                    "{name} is {:?} of {:?}",
                    tensor.shape(),
                    tensor.dtype()
                )));
            }
            let (words, _) = tensor.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
            Ok(Tensor::f_from_slice(&values)?
                .f_view(&size[..])?
                .f_to_device(slot.parameter.device())?)
        };
        let (value, first, second) = (read("value")?, read("first")?, read("second")?);
        tch::no_grad(|| slot.parameter.shallow_clone().f_copy_(&value))?;
        (slot.first, slot.second) = (first, second);
    }
    Ok(state)
}

/// Puts a file in place in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let put = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(bytes)?;
        file.commit()
    };
    put().map_err(TrainError::file(path))
}
