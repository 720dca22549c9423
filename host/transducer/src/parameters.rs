//! Names, shapes and first values of all parameters: one table, from which they are made, counted, read and written.

use crate::{Pooling, TransducerConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, Tensor};

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) shape: Vec<i64>,
    first: First,
}

/// Values before training.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    /// What writes into the LLM's embeddings: an untrained transducer changes nothing.
    Zeros,
    /// A relation first passes on what its source says.
    Ones,
    /// Uniform around zero with this standard deviation.
    Random(f64),
}

impl Spec {
    fn new(name: impl Into<String>, shape: [usize; 2], first: First) -> Self {
        Self {
            name: name.into(),
            shape: shape.map(|size| size as i64).to_vec(),
            first,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    fn values(&self, random: &mut StdRng) -> Vec<f32> {
        match self.first {
            First::Zeros => vec![0.0; self.len()],
            First::Ones => vec![1.0; self.len()],
            First::Random(deviation) => {
                // The standard deviation of a uniform distribution over ±bound is bound / √3.
                let bound = deviation * 3.0_f64.sqrt();
                (0..self.len())
                    .map(|_| random.random_range(-bound..bound) as f32)
                    .collect()
            }
        }
    }
}

/// Every parameter of a transducer of this configuration, in the order in which they are listed and initialised.
pub(crate) fn specs(config: &TransducerConfig) -> Vec<Spec> {
    let &TransducerConfig {
        hidden,
        width,
        heads,
        node_kinds,
        ..
    } = config;
    // A linear map of `inputs` components keeps their size.
    let keep = |inputs: usize| First::Random((inputs as f64).sqrt().recip());
    // An embedding starts at the size of what it is added to, which is normalised.
    let embedding = First::Random(1.0);
    let mut specs = Vec::new();
    if config.parts.graph() {
        specs.push(Spec::new("gve.down.weight", [width, hidden], keep(hidden)));
        specs.push(Spec::new("gve.kind.weight", [node_kinds, width], embedding));
        for layer in 0..config.layers {
            let mut add =
                |name, shape, first| specs.push(Spec::new(format!("gve.layers.{layer}.{name}"), shape, first));
            add("source.weight", [width, width], keep(width));
            add("target.weight", [width, width], keep(width));
            add("relation.scale", [config.relations(), width], First::Ones);
            add("relation.shift", [config.relations(), width], embedding);
            add("attention", [heads, config.head_width()], keep(config.head_width()));
            add("output.weight", [width, width], keep(width));
        }
    }
    if config.parts.fusion() {
        specs.push(Spec::new("fusion.query.weight", [width, hidden], keep(hidden)));
        for name in ["fusion.key.weight", "fusion.value.weight", "fusion.leaf.weight"] {
            specs.push(Spec::new(name, [width, width], keep(width)));
        }
        specs.push(Spec::new("fusion.output.weight", [hidden, width], First::Zeros));
    }
    let vectors = config.task_vectors();
    if vectors > 0 {
        specs.push(Spec::new("task.vectors", [vectors, hidden], First::Zeros));
        if config.parts.graph() {
            let of_token = match config.pooling {
                Pooling::Attention => "task.query",
                Pooling::Max => "task.gain",
            };
            specs.push(Spec::new(of_token, [vectors, width], embedding));
            specs.push(Spec::new("task.output.weight", [hidden, width], First::Zeros));
        }
    }
    specs
}

/// The parameters of one transducer, complete and of the shapes of its [`specs`].
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, Tensor)>);

impl Parameters {
    /// First values; the same seed gives the same ones.
    pub(crate) fn random(config: &TransducerConfig, device: Device, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self::from_values(config, device, |spec| spec.values(&mut random))
    }

    /// Values for each parameter, in row-major order and as many as the specification says.
    pub(crate) fn from_values(
        config: &TransducerConfig,
        device: Device,
        mut values: impl FnMut(&Spec) -> Vec<f32>,
    ) -> Self {
        let tensor = |spec: Spec| {
            let tensor = Tensor::from_slice(&values(&spec))
                .view(spec.shape.as_slice())
                .to_device(device);
            (spec.name, tensor)
        };
        Self(specs(config).into_iter().map(tensor).collect())
    }

    /// The same parameters in another element type.
    pub(crate) fn to_kind(&self, kind: Kind) -> Self {
        let converted = |tensor: &Tensor| tensor.detach().to_kind(kind).copy();
        Self(
            self.0
                .iter()
                .map(|(name, tensor)| (name.clone(), converted(tensor)))
                .collect(),
        )
    }

    /// A handle to a parameter of the table.
    pub(crate) fn get(&self, name: &str) -> Tensor {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .unwrap_or_else(|| panic!("`{name}` is not in the table of parameters"))
            .1
            .shallow_clone()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}
