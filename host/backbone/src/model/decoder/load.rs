//! A decoder from its weights.

use tch::Tensor;

use super::{Decoder, Layer, Norm};
use crate::BackboneError;
use crate::backbone::Progress;
use crate::config::ModelConfig;
use crate::embedder::Embedder;
use crate::hardware::Products;
use crate::rope::Rope;
use crate::step::Stepper;
use crate::weights::{LayerWeight, Loader, Weight, WeightSource, validate};

impl Decoder {
    /// Loads the layers behind an embedder.
    pub(crate) fn load(
        source: &dyn WeightSource,
        embedder: &Embedder,
        rope: &Rope,
        how: Products,
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
        let final_norm = Norm {
            weight: loader.weight(Weight::FinalNorm, config)?,
            bias: bias(&mut loader, Weight::FinalNormBias, config)?,
        };
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
        decoder.stepper = Stepper::new(config, &decoder, how)?;
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
    let of_layer = |weight| Weight::Layer(index, weight);
    let (gate_up, down): (&[W], W) = if config.family.is_biased() {
        (&[W::Fc], W::Proj)
    } else {
        (&[W::Gate, W::Up], W::Down)
    };
    Ok(Layer {
        attention_norm: Norm {
            weight: loader.weight(of_layer(W::AttentionNorm), config)?,
            bias: bias(loader, of_layer(W::AttentionNormBias), config)?,
        },
        qkv: loader.layer_stack(index, &[W::Query, W::Key, W::Value], config)?,
        qkv_bias,
        output: loader.weight(of_layer(W::Output), config)?,
        output_bias: bias(loader, of_layer(W::OutputBias), config)?,
        ffn_norm: Norm {
            weight: loader.weight(of_layer(W::FfnNorm), config)?,
            bias: bias(loader, of_layer(W::FfnNormBias), config)?,
        },
        gate_up: loader.layer_stack(index, gate_up, config)?,
        gate_up_bias: bias(loader, of_layer(W::FcBias), config)?,
        down: loader.weight(of_layer(down), config)?,
        down_bias: bias(loader, of_layer(W::ProjBias), config)?,
    })
}

/// A bias, in families that have one there.
fn bias(loader: &mut Loader<'_>, weight: Weight, config: &ModelConfig) -> Result<Option<Tensor>, BackboneError> {
    let is_there = config.family.is_biased();
    is_there.then(|| loader.weight(weight, config)).transpose()
}
