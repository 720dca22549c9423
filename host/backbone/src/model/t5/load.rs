//! A T5 from its weights, as transformers names them.

use super::{CrossAttention, DecoderLayer, DistanceBias, EncoderLayer, Ffn, SelfAttention, T5};
use crate::BackboneError;
use crate::backbone::Progress;
use crate::config::{EncoderDecoder, FeedForward, ModelConfig};
use crate::embedder::Embedder;
use crate::weights::{Loader, Named, WeightSource, validate};

pub(crate) const EMBEDDING: &str = "shared.weight";
const HEAD: &str = "lm_head.weight";

/// Whether a tensor repeats what is known, or is one that old files have and nothing uses.
pub(crate) fn is_redundant(name: &str) -> bool {
    matches!(
        name,
        "encoder.embed_tokens.weight"
            | "decoder.embed_tokens.weight"
            | "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    )
}

impl T5 {
    /// Loads the layers behind an embedder.
    ///
    /// A head that is there is used, whatever the configuration says of it: since transformers 5 it says of every T5 that it is
    /// tied, and a head that repeats the embedding table changes nothing.
    pub(crate) fn load(
        source: &dyn WeightSource,
        embedder: &Embedder,
        shape: &EncoderDecoder,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, BackboneError> {
        let config = embedder.config();
        let has_head = !config.tied_head || source.shape(HEAD).is_some();
        let weights = named(config, shape, has_head);
        validate(source, config, &weights)?;
        let mut loader = Loader::new(source, &weights, embedder, progress);
        let embedding = loader.embedding();
        let mut bias = |stack: &str, both_ways| {
            let buckets = loader.named(&bias_name(stack))?;
            DistanceBias::new(&buckets, shape.max_distance, both_ways)
        };
        let (encoder_bias, decoder_bias) = (bias("encoder", true)?, bias("decoder", false)?);
        let encoder = (0..shape.encoder_layers).map(|index| encoder_layer(&mut loader, index, shape));
        let encoder = encoder.collect::<Result<_, _>>()?;
        let decoder = (0..config.layers).map(|index| decoder_layer(&mut loader, index, shape));
        let decoder = decoder.collect::<Result<_, _>>()?;
        Ok(Self {
            encoder_norm: loader.named("encoder.final_layer_norm.weight")?,
            decoder_norm: loader.named("decoder.final_layer_norm.weight")?,
            head: has_head.then(|| loader.named(HEAD)).transpose()?,
            config: config.clone(),
            shape: shape.clone(),
            embedding,
            encoder,
            encoder_bias,
            decoder,
            decoder_bias,
        })
    }
}

/// Every weight of a model of this shape.
fn named(config: &ModelConfig, shape: &EncoderDecoder, has_head: bool) -> Vec<Named> {
    let (hidden, inner, ffn) = (config.hidden_size, config.query_size(), config.ffn_size);
    let table = vec![config.vocab_size, hidden];
    let mut all = vec![(EMBEDDING.to_owned(), table.clone())];
    if has_head {
        all.push((HEAD.to_owned(), table));
    }
    for (stack, layers, attentions) in [
        ("encoder", shape.encoder_layers, &["SelfAttention"][..]),
        ("decoder", config.layers, &["SelfAttention", "EncDecAttention"][..]),
    ] {
        all.push((format!("{stack}.final_layer_norm.weight"), vec![hidden]));
        all.push((bias_name(stack), vec![shape.distance_buckets, config.heads]));
        for index in 0..layers {
            let part = |place: usize, name: &str| format!("{stack}.block.{index}.layer.{place}.{name}.weight");
            for (place, attention) in attentions.iter().enumerate() {
                all.push((part(place, "layer_norm"), vec![hidden]));
                for projection in ["q", "k", "v"] {
                    all.push((part(place, &format!("{attention}.{projection}")), vec![inner, hidden]));
                }
                all.push((part(place, &format!("{attention}.o")), vec![hidden, inner]));
            }
            let place = attentions.len();
            all.push((part(place, "layer_norm"), vec![hidden]));
            for input in ffn_inputs(shape) {
                all.push((part(place, &format!("DenseReluDense.{input}")), vec![ffn, hidden]));
            }
            all.push((part(place, "DenseReluDense.wo"), vec![hidden, ffn]));
        }
    }
    all
}

fn bias_name(stack: &str) -> String {
    format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
}

/// The projections into the feed-forward layer, the gate's first.
fn ffn_inputs(shape: &EncoderDecoder) -> &'static [&'static str] {
    match shape.feed_forward {
        FeedForward::Relu => &["wi"],
        FeedForward::GatedGelu => &["wi_0", "wi_1"],
    }
}

/// The weights of one layer, by what follows its name.
struct Parts<'l, 's> {
    loader: &'l mut Loader<'s>,
    layer: String,
}

impl Parts<'_, '_> {
    fn stack(&mut self, place: usize, names: &[&str]) -> Result<tch::Tensor, BackboneError> {
        let name = |name: &&str| format!("{}.layer.{place}.{name}.weight", self.layer);
        let names: Vec<String> = names.iter().map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.loader.named_stack(&names)
    }

    fn norm(&mut self, place: usize) -> Result<tch::Tensor, BackboneError> {
        self.stack(place, &["layer_norm"])
    }

    fn attention(&mut self) -> Result<SelfAttention, BackboneError> {
        Ok(SelfAttention {
            qkv: self.stack(0, &["SelfAttention.q", "SelfAttention.k", "SelfAttention.v"])?,
            output: self.stack(0, &["SelfAttention.o"])?,
        })
    }

    fn ffn(&mut self, place: usize, shape: &EncoderDecoder) -> Result<Ffn, BackboneError> {
        let inputs: Vec<String> = ffn_inputs(shape)
            .iter()
            .map(|input| format!("DenseReluDense.{input}"))
            .collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(Ffn {
            input: self.stack(place, &inputs)?,
            output: self.stack(place, &["DenseReluDense.wo"])?,
        })
    }
}

fn encoder_layer(loader: &mut Loader<'_>, index: usize, shape: &EncoderDecoder) -> Result<EncoderLayer, BackboneError> {
    let layer = format!("encoder.block.{index}");
    let mut parts = Parts { loader, layer };
    Ok(EncoderLayer {
        attention_norm: parts.norm(0)?,
        attention: parts.attention()?,
        ffn_norm: parts.norm(1)?,
        ffn: parts.ffn(1, shape)?,
    })
}

fn decoder_layer(loader: &mut Loader<'_>, index: usize, shape: &EncoderDecoder) -> Result<DecoderLayer, BackboneError> {
    let layer = format!("decoder.block.{index}");
    let mut parts = Parts { loader, layer };
    Ok(DecoderLayer {
        attention_norm: parts.norm(0)?,
        attention: parts.attention()?,
        cross_norm: parts.norm(1)?,
        cross: CrossAttention {
            query: parts.stack(1, &["EncDecAttention.q"])?,
            key_value: parts.stack(1, &["EncDecAttention.k", "EncDecAttention.v"])?,
            output: parts.stack(1, &["EncDecAttention.o"])?,
        },
        ffn_norm: parts.norm(2)?,
        ffn: parts.ffn(2, shape)?,
    })
}
