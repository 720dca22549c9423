//! Task tokens: what a task says to the LLM before it sees the code.
//!
//! The published method puts extra positions in front of the prompt. Here the vectors are *added* to the embeddings of
//! the first and the last tokens of the prompt's text: in most chat templates the system turn and the start of the reply.
//! Extra positions change what a frozen LLM answers even when their vectors are zero (they take part in every softmax and
//! shift every position), so that an untrained transducer would not be the frozen LLM; and each would cost a key and a
//! value in every layer's cache for the whole answer.

use crate::batch::{Graphs, Tasks};
use crate::parameters::Parameters;
use crate::tensor::linear;
use crate::{Pooling, TransducerConfig};
use tch::Tensor;

/// The task tokens.
#[derive(Debug)]
pub(crate) struct TaskTokens {
    /// `[M, D]`, zeros until trained.
    vectors: Tensor,
    graph: Option<GraphPart>,
}

/// What the graph adds: each task token pools the nodes in a way of its own.
#[derive(Debug)]
struct GraphPart {
    pool: Pool,
    /// `[D, h]`, zeros until trained.
    output: Tensor,
}

/// How: see [`Pooling`]. The output matrix would absorb any matrix of values.
#[derive(Debug)]
enum Pool {
    /// One head, the queries `[M, h]`: a matrix of keys would be absorbed by them.
    Attention(Tensor),
    /// The gains `[M, h]`.
    Max(Tensor),
}

impl TaskTokens {
    pub(crate) fn new(config: &TransducerConfig, parameters: &Parameters) -> Self {
        let graph = config.parts.graph().then(|| GraphPart {
            pool: match config.pooling {
                Pooling::Attention => Pool::Attention(parameters.get("task.query")),
                Pooling::Max => Pool::Max(parameters.get("task.gain")),
            },
            output: parameters.get("task.output.weight"),
        });
        Self {
            vectors: parameters.get("task.vectors"),
            graph,
        }
    }

    /// The step for each task token of the batch, `[K, D]`. `nodes [N, h]` are the vectors of all prompts' nodes, where
    /// there are any.
    pub(crate) fn forward(&self, tasks: &Tasks, nodes: Option<(&Graphs, &Tensor)>) -> Tensor {
        let learned = self.vectors.index_select(0, &tasks.which);
        match (&self.graph, nodes) {
            (Some(part), Some((graphs, nodes))) => {
                let pooled = part.pool(graphs, nodes).index_select(0, &tasks.slots);
                learned + linear(&pooled, &part.output)
            }
            _ => learned,
        }
    }
}

impl GraphPart {
    /// The graph vectors: what each task token of each prompt pools, `[prompts × M, h]`. A prompt with several graphs pools
    /// them together.
    fn pool(&self, graphs: &Graphs, nodes: &Tensor) -> Tensor {
        let width = nodes.size()[1];
        let pooled = match &self.pool {
            Pool::Attention(query) => {
                let scores = linear(nodes, query) / (width as f64).sqrt();
                graphs.prompts.attend(&scores, &nodes.unsqueeze(1))
            }
            Pool::Max(gain) => graphs.prompts.largest(nodes).unsqueeze(1) * gain,
        };
        pooled.view([-1, width])
    }
}
