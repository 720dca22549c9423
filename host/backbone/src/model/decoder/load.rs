//! A decoder from its weights.

use super::{Decoder, Layer};
use crate::backbone::Progress;
use crate::config::ModelConfig;
use crate::embedder::Embedder;
use crate::rope::Rope;
use crate::step::Stepper;
use crate::weights::{LayerWeight, Loader, Weight, WeightSource, validate};
use crate::{BackboneError, WeightFormat};

impl Decoder {
    /// Loads the layers behind an embedder.
    pub(crate) fn load(
        source: &dyn WeightSource,
        embedder: &Embedder,
        rope: &Rope,
        format: WeightFormat,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        let config = embedder.config();
        let weights: Vec<_> = Weight::all(config)
            .into_iter()
            .map(|weight| (source.name(weight), weight.shape(config)))
            .collect();
        validate(source, config, &weights)?;
        let mut loader = Loader::new(source, &weights, embedder, progress);
        let embedding = loader.embedding();
        let layers = (0..config.layers).map(|index| layer(&mut loader, index, config));
        let layers = layers.collect::<Result<_, _>>()?;
        let final_norm = loader.weight(Weight::FinalNorm, config)?;
        let head = if config.tied_head {
            None
        } else {
            Some(loader.weight(Weight::Head, config)?)
        };
        let mut decoder = Self {
            config: config.clone(),
            rope: rope.clone(),
            embedding,
            layers,
            final_norm,
            head,
            stepper: None,
        };
        decoder.stepper = Stepper::new(config, &decoder, format)?;
        Ok(decoder)
    }
}

fn layer(loader: &mut Loader<'_>, index: usize, config: &ModelConfig) -> Result<Layer, BackboneError> {
    use LayerWeight as W;
    let qkv_bias = if config.family.has_qkv_bias() {
        Some(loader.layer_stack(index, &[W::QueryBias, W::KeyBias, W::ValueBias], config)?)
    } else {
        None
    };
    Ok(Layer {
        attention_norm: loader.weight(Weight::Layer(index, W::AttentionNorm), config)?,
        qkv: loader.layer_stack(index, &[W::Query, W::Key, W::Value], config)?,
        qkv_bias,
        output: loader.weight(Weight::Layer(index, W::Output), config)?,
        ffn_norm: loader.weight(Weight::Layer(index, W::FfnNorm), config)?,
        gate_up: loader.layer_stack(index, &[W::Gate, W::Up], config)?,
        down: loader.weight(Weight::Layer(index, W::Down), config)?,
    })
}
