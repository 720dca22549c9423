//! The Graph Vectorization Engine (GVE): from a graph and the LLM's own embeddings to a vector for each node.

use crate::TransducerConfig;
use crate::batch::{Edges, Graphs, Piece};
use crate::parameters::Parameters;
use crate::tensor::{linear, rms, rms_norm};
use tch::Tensor;

/// Slope of the LeakyReLU of GATv2 (Brody et al., arXiv 2105.14491).
const NEGATIVE_SLOPE: f64 = 0.2;

/// `embedding_bag`'s number for the mean.
const MEAN: i64 = 1;

/// The GVE.
#[derive(Debug)]
pub(crate) struct Gve {
    /// `[h, D]`.
    down: Tensor,
    /// `[kinds, h]`.
    kinds: Tensor,
    layers: Vec<Layer>,
}

/// One round of relational GATv2.
///
/// A relation transforms what its source says by a scale and a shift for each component: the diagonal part of a
/// relation's own matrix, at `2h` instead of `h²` parameters a relation.
#[derive(Debug)]
struct Layer {
    /// `[h, h]`.
    source: Tensor,
    /// `[h, h]`.
    target: Tensor,
    /// `[R, h]`.
    scale: Tensor,
    /// `[R, h]`.
    shift: Tensor,
    /// `[heads, h / heads]`.
    attention: Tensor,
    /// `[h, h]`.
    output: Tensor,
}

impl Gve {
    pub(crate) fn new(config: &TransducerConfig, parameters: &Parameters) -> Self {
        let layers = (0..config.layers).map(|layer| {
            let tensor = |name: &str| parameters.get(&format!("gve.layers.{layer}.{name}"));
            Layer {
                source: tensor("source.weight"),
                target: tensor("target.weight"),
                scale: tensor("relation.scale"),
                shift: tensor("relation.shift"),
                attention: tensor("attention"),
                output: tensor("output.weight"),
            }
        });
        Self {
            down: parameters.get("gve.down.weight"),
            kinds: parameters.get("gve.kind.weight"),
            layers: layers.collect(),
        }
    }

    /// What the text of the nodes of a piece says, `[n, h]`, from the embeddings of its tokens `[t, D]`: the mean of a node's own, zeros if
    /// it has none.
    pub(crate) fn texts(&self, piece: &Piece, codes: &Tensor) -> Tensor {
        let (tokens, begins) = &piece.own_tokens;
        let texts = match tokens.size()[0] {
            // The operator wants at least one row to choose from.
            0 => Tensor::zeros([begins.size()[0], codes.size()[1]], (codes.kind(), codes.device())),
            _ => Tensor::embedding_bag(codes, tokens, begins, false, MEAN, false, None::<&Tensor>, false).0,
        };
        // RMSNorm, then down: dividing afterwards is the same and divides `h` components instead of `D`.
        linear(&texts, &self.down) / rms(&texts)
    }

    /// Node vectors `[N, h]`, each of RMS 1, from what their texts say.
    ///
    /// A node starts from its text and from its kind, and changes with what its neighbours say, round by round.
    pub(crate) fn forward(&self, graphs: &Graphs, texts: &Tensor) -> Tensor {
        let mut nodes = texts + self.kinds.index_select(0, &graphs.kinds);
        if let Some(edges) = &graphs.edges {
            for layer in &self.layers {
                // Not in place: the norm's gradient needs the nodes as they were.
                nodes = &nodes + layer.forward(edges, &rms_norm(&nodes));
            }
        }
        rms_norm(&nodes)
    }
}

impl Layer {
    /// What the nodes `[N, h]` hear from their neighbours, `[N, h]`: attention over all edges that end at a node,
    /// whatever their relation.
    fn forward(&self, edges: &Edges, nodes: &Tensor) -> Tensor {
        let width = nodes.size()[1];
        let by_head = [-1, self.attention.size()[0], self.attention.size()[1]];
        let says = linear(nodes, &self.source).unsqueeze(1);
        // Every relation's form of what every node says, [N, R, h]: one gather an edge instead of three.
        let says = self.shift.addcmul(&says, &self.scale).view([-1, width]);
        let messages = says.index_select(0, &edges.messages);
        let hears = edges.targets.spread(&linear(nodes, &self.target));
        let scores = leaky_relu(&(&messages + hears)).view(by_head) * &self.attention;
        let scores = scores.sum_dim_intlist([-1_i64].as_slice(), false, None);
        let heard = edges.targets.attend(&scores, &messages.view(by_head));
        linear(&heard.view([-1, width]).gelu("none"), &self.output)
    }
}

/// `max(x, slope · x)`; the binding of libtorch's own operator takes no slope.
fn leaky_relu(x: &Tensor) -> Tensor {
    x.maximum(&(x * NEGATIVE_SLOPE))
}
