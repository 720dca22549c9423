//! Weights onto the device.

use tch::Tensor;

use super::{LayerWeight, Named, Weight, WeightSource, finite};
use crate::BackboneError;
use crate::backbone::Progress;
use crate::config::ModelConfig;
use crate::embedder::Embedder;

/// Reads weights, puts them on the device and counts them.
pub(crate) struct Loader<'a> {
    source: &'a dyn WeightSource,
    embedder: &'a Embedder,
    progress: &'a mut dyn FnMut(Progress),
    counted: Progress,
}

impl<'a> Loader<'a> {
    /// For these weights, which are there. They go where the embedding table is.
    pub(crate) fn new(
        source: &'a dyn WeightSource,
        weights: &[Named],
        embedder: &'a Embedder,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let total = weights.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        Self {
            source,
            embedder,
            progress,
            counted: Progress { loaded: 0, total },
        }
    }

    /// The embedding table, which is loaded already.
    pub(crate) fn embedding(&mut self) -> Tensor {
        let table = self.embedder.embedding_table().shallow_clone();
        self.count(table.numel());
        table
    }

    /// The tensor `name` as it is stored.
    pub(crate) fn named(&mut self, name: &str) -> Result<Tensor, BackboneError> {
        self.named_stack(&[name])
    }

    /// Tensors as they are stored, one above the other, as one.
    pub(crate) fn named_stack(&mut self, names: &[&str]) -> Result<Tensor, BackboneError> {
        let parts = names.iter().map(|&name| {
            let values = finite(self.source, name, self.source.values(name)?)?;
            Ok((values, self.source.shape(name).unwrap_or_default()))
        });
        let parts = parts.collect::<Result<Vec<_>, BackboneError>>()?;
        self.stacked(parts)
    }

    /// A weight of a llama-like model.
    pub(crate) fn weight(&mut self, weight: Weight, config: &ModelConfig) -> Result<Tensor, BackboneError> {
        let part = self.part(weight, config)?;
        self.stacked(vec![part])
    }

    /// Weights of one layer of a llama-like model, one above the other, as one.
    pub(crate) fn layer_stack(
        &mut self,
        index: usize,
        weights: &[LayerWeight],
        config: &ModelConfig,
    ) -> Result<Tensor, BackboneError> {
        let parts = weights
            .iter()
            .map(|&weight| self.part(Weight::Layer(index, weight), config));
        let parts = parts.collect::<Result<_, _>>()?;
        self.stacked(parts)
    }

    fn part(&self, weight: Weight, config: &ModelConfig) -> Result<(Vec<f32>, Vec<usize>), BackboneError> {
        let values = self.source.read(weight, config)?;
        let values = finite(self.source, &self.source.name(weight), values)?;
        Ok((values, weight.shape(config)))
    }

    /// Values and shapes that differ in the number of rows only.
    fn stacked(&mut self, parts: Vec<(Vec<f32>, Vec<usize>)>) -> Result<Tensor, BackboneError> {
        let mut all = Vec::new();
        let mut shape: Vec<usize> = Vec::new();
        for (values, of_part) in parts {
            let rows = shape.first().copied().unwrap_or(0);
            shape = of_part;
            shape[0] += rows;
            // The first is not copied.
            if all.is_empty() {
                all = values;
            } else {
                all.extend(values);
            }
        }
        self.tensor(&all, &shape)
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
