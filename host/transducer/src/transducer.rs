//! The transducer as a whole.

use crate::abfl::Abfl;
use crate::batch::Graphs;
use crate::gve::Gve;
use crate::parameters::Parameters;
use crate::task::TaskTokens;
use crate::tensor::rms;
use crate::{Batch, CodeInput, GraphInput, PromptInput, TransducerConfig, TransducerError, weights};
use std::ops::Range;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use transducer_cpg::Cpg;

/// One code segment of a single prompt: see [`Transducer::enrich`].
#[derive(Clone, Debug)]
pub struct CodeSegment<'a> {
    /// Where its tokens stand in the prompt.
    pub tokens: Range<usize>,
    /// The bytes that each of them covers in the graph's source, `(first, one past the last)`.
    pub offsets: &'a [(u32, u32)],
    /// The graph of its source.
    pub graph: &'a Cpg,
}

/// GVE, ABFL and task tokens with their weights.
///
/// Gradients: the forward pass records them where libtorch does, that is for parameters made trainable by
/// [`Transducer::set_trainable`] and outside of [`tch::no_grad`].
#[derive(Debug)]
pub struct Transducer {
    config: TransducerConfig,
    parameters: Parameters,
    gve: Option<Gve>,
    abfl: Option<Abfl>,
    task: Option<TaskTokens>,
    device: Device,
    kind: Kind,
}

/// What is read of the code tokens.
struct Read {
    /// Their RMS, `[T, 1]`.
    sizes: Tensor,
    /// What they look for, `[T, h]`, where there are any and it is asked for.
    query: Option<Tensor>,
    /// The node vectors, `[N, h]`.
    nodes: Tensor,
}

impl Transducer {
    /// An untrained transducer, which returns the embeddings it is given. Equal seeds give equal weights.
    ///
    /// # Errors
    /// [`TransducerError::Config`].
    pub fn new(config: TransducerConfig, device: Device, seed: u64) -> Result<Self, TransducerError> {
        config.validate()?;
        let parameters = Parameters::random(&config, device, seed);
        Ok(Self::assemble(config, parameters, device, Kind::Float))
    }

    /// Reads a weights file.
    ///
    /// # Errors
    /// [`TransducerError::File`] with what [`Transducer::from_safetensors`] says, or what the file system said.
    pub fn load(path: &Path, device: Device) -> Result<Self, TransducerError> {
        let (config, parameters) = weights::read(path, device)?;
        Ok(Self::assemble(config, parameters, device, Kind::Float))
    }

    /// Reads the bytes of a weights file. Nothing about them is trusted.
    ///
    /// # Errors
    /// What is wrong with the container, the configuration, or the name, type, shape or values of a tensor.
    pub fn from_safetensors(bytes: &[u8], device: Device) -> Result<Self, TransducerError> {
        let (config, parameters) = weights::decode(bytes, device)?;
        Ok(Self::assemble(config, parameters, device, Kind::Float))
    }

    /// The bytes of a weights file: the same for the same configuration and weights.
    ///
    /// # Errors
    /// [`TransducerError::NotFinite`] for a transducer whose training has diverged.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, TransducerError> {
        weights::encode(&self.config, &self.parameters)
    }

    /// Writes a weights file, in one step: a reader finds the old file or the new one.
    ///
    /// # Errors
    /// [`TransducerError::NotFinite`] as above, or [`TransducerError::File`] with what the file system said.
    pub fn save(&self, path: &Path) -> Result<(), TransducerError> {
        weights::write(path, &self.to_safetensors()?)
    }

    /// The same weights computing in another floating-point type, such as `Double` to check gradients.
    pub fn to_kind(&self, kind: Kind) -> Self {
        Self::assemble(self.config.clone(), self.parameters.to_kind(kind), self.device, kind)
    }

    fn assemble(config: TransducerConfig, parameters: Parameters, device: Device, kind: Kind) -> Self {
        let gve = config.parts.graph().then(|| Gve::new(&config, &parameters));
        let abfl = config.parts.fusion().then(|| Abfl::new(&config, &parameters));
        let task = (config.task_vectors() > 0).then(|| TaskTokens::new(&config, &parameters));
        Self {
            config,
            parameters,
            gve,
            abfl,
            task,
            device,
            kind,
        }
    }

    /// Its shape.
    pub fn config(&self) -> &TransducerConfig {
        &self.config
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The parameters with their names, in a fixed order. The tensors are the transducer's own: an optimizer changes
    /// them in place, and finds their gradients in them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter()
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Whether the forward pass records gradients for the parameters; not so at first.
    pub fn set_trainable(&self, trainable: bool) {
        for (_, tensor) in self.parameters.iter() {
            let _same_tensor = tensor.set_requires_grad(trainable);
        }
    }

    /// Prepares prompts over embeddings of `rows` rows: see [`Batch::new`].
    ///
    /// # Errors
    /// Those of [`Batch::new`].
    pub fn batch(&self, prompts: &[PromptInput<'_>], rows: usize) -> Result<Batch, TransducerError> {
        Batch::new(&self.config, prompts, rows, self.device)
    }

    /// Enriches the embeddings `[rows, D]` of a batch of prompts: the rows of code tokens and of the task tokens change,
    /// all others stay. The result has the element type of `embeddings`; everything between is computed in
    /// 32-bit floats.
    ///
    /// The embedding `x` of a changed token becomes `x + rms(x) · scale · step`, the step being what the ABFL or the task
    /// tokens say. A step of zero leaves an embedding as it is (save that a component of -0 becomes 0).
    ///
    /// # Errors
    /// [`TransducerError::Embeddings`] for embeddings of another shape, device or of integers, and
    /// [`TransducerError::OtherConfig`] for a batch of another configuration.
    pub fn forward(&self, batch: &Batch, embeddings: &Tensor) -> Result<Tensor, TransducerError> {
        self.check(batch, embeddings)?;
        let code = batch
            .graphs
            .as_ref()
            .zip(self.gve.as_ref())
            .map(|(graphs, gve)| (graphs, self.read(graphs, gve, embeddings)));
        let mut enriched = embeddings.copy();
        let mut add = |rows: &Tensor, steps: &Tensor| {
            let _in_place = enriched.index_add_(0, rows, &steps.to_kind(embeddings.kind()));
        };
        // Code tokens come first, then task tokens.
        let mut tokens = 0;
        if let Some((graphs, read)) = &code {
            tokens = graphs.tokens;
            if let Some((abfl, query)) = self.abfl.as_ref().zip(read.query.as_ref()) {
                let said = abfl.forward(graphs, query, &read.nodes) * (&read.sizes * self.config.fusion_scale);
                for first in (0..tokens).step_by(graphs.at_once) {
                    let count = (graphs.at_once as i64).min(tokens - first);
                    let steps = abfl.steps(&said.narrow(0, first, count));
                    add(&batch.rows.narrow(0, first, count), &steps);
                }
            }
        }
        if let (Some(task), Some(tasks)) = (&self.task, &batch.tasks) {
            let rows = batch.rows.narrow(0, tokens, batch.rows.size()[0] - tokens);
            let nodes = code.as_ref().map(|(graphs, read)| (*graphs, &read.nodes));
            let sizes = rms(&embeddings.index_select(0, &rows).to_kind(self.kind));
            add(&rows, &(task.forward(tasks, nodes) * (sizes * self.config.task_scale)));
        }
        Ok(enriched)
    }

    /// Reads the embeddings of all code tokens, piece by piece.
    fn read(&self, graphs: &Graphs, gve: &Gve, embeddings: &Tensor) -> Read {
        let (mut sizes, mut query, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for piece in &graphs.pieces {
            let codes = embeddings.index_select(0, &piece.rows).to_kind(self.kind);
            let size = rms(&codes);
            texts.push(gve.texts(piece, &codes));
            query.extend(self.abfl.as_ref().map(|abfl| abfl.query(&codes, &size)));
            sizes.push(size);
        }
        let of_tokens = |pieces: &[Tensor]| {
            let all = Tensor::cat(pieces, 0);
            graphs
                .order
                .as_ref()
                .map_or(all.shallow_clone(), |order| all.index_select(0, order))
        };
        Read {
            sizes: of_tokens(&sizes),
            query: (graphs.tokens > 0 && !query.is_empty()).then(|| of_tokens(&query)),
            nodes: gve.forward(graphs, &Tensor::cat(&texts, 0)),
        }
    }

    fn check(&self, batch: &Batch, embeddings: &Tensor) -> Result<(), TransducerError> {
        if batch.config != self.config {
            return Err(TransducerError::OtherConfig);
        }
        let shape = [batch.embedding_rows as i64, self.config.hidden as i64];
        let floats = matches!(
            embeddings.kind(),
            Kind::Float | Kind::BFloat16 | Kind::Half | Kind::Double
        );
        if embeddings.size() == shape && floats && embeddings.device() == self.device {
            return Ok(());
        }
        Err(TransducerError::Embeddings {
            expected: format!("{shape:?} of floating-point numbers on {:?}", self.device),
            found: embeddings.size(),
            kind: embeddings.kind(),
            device: embeddings.device(),
        })
    }

    /// Enriches the embeddings `[tokens, D]` of one prompt.
    ///
    /// `codes` are its code segments, `text` the runs of tokens between them: see [`PromptInput`].
    ///
    /// # Errors
    /// Those of [`GraphInput::new`], [`Batch::new`] and [`Transducer::forward`].
    pub fn enrich(
        &self,
        prompt: &Tensor,
        codes: &[CodeSegment<'_>],
        text: &[Range<usize>],
    ) -> Result<Tensor, TransducerError> {
        let graphs = codes
            .iter()
            .map(|code| GraphInput::new(code.graph, code.offsets))
            .collect::<Result<Vec<_>, _>>()?;
        let inputs = codes.iter().zip(&graphs).map(|(code, graph)| CodeInput {
            rows: code.tokens.clone(),
            graph,
        });
        let input = PromptInput {
            codes: inputs.collect(),
            text: text.to_vec(),
        };
        let rows = prompt.size().first().map_or(0, |&rows| rows as usize);
        self.forward(&self.batch(&[input], rows)?, prompt)
    }
}
