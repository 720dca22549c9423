//! The Attention-Based Fusion Layer (ABFL): from node vectors to a step for each code token.

use crate::TransducerConfig;
use crate::batch::{Dense, Graphs};
use crate::parameters::Parameters;
use crate::tensor::linear;
use tch::Tensor;

/// The ABFL. Keys and values are the nodes, so that attention picks nodes and the step depends on the graph.
#[derive(Debug)]
pub(crate) struct Abfl {
    heads: i64,
    /// `[h, D]`.
    query: Tensor,
    /// `[h, h]`.
    key: Tensor,
    /// `[h, h]`.
    value: Tensor,
    /// `[h, h]`.
    leaf: Tensor,
    /// `[D, h]`, zeros until trained.
    output: Tensor,
}

impl Abfl {
    pub(crate) fn new(config: &TransducerConfig, parameters: &Parameters) -> Self {
        let tensor = |name: &str| parameters.get(&format!("fusion.{name}.weight"));
        Self {
            heads: config.heads as i64,
            query: tensor("query"),
            key: tensor("key"),
            value: tensor("value"),
            leaf: tensor("leaf"),
            output: tensor("output"),
        }
    }

    /// The step for each code token `[T, D]`, times its `scale [T, 1]`, from its embedding `[T, D]` with RMS `[T, 1]` and
    /// the node vectors `[N, h]`: what attention over the nodes of its own graph finds, plus the node that it belongs to.
    pub(crate) fn forward(
        &self,
        graphs: &Graphs,
        codes: &Tensor,
        rms: &Tensor,
        scale: &Tensor,
        nodes: &Tensor,
    ) -> Tensor {
        // RMSNorm and scale are factors of a row: they are applied where a row has `h` components, not `D`.
        let query = linear(codes, &self.query) / rms;
        let (key, value) = (linear(nodes, &self.key), linear(nodes, &self.value));
        let found = self.attend(graphs.dense.as_ref(), &query, &key, &value);
        let leaf = linear(nodes, &self.leaf).index_select(0, &graphs.leaves);
        linear(&((found + leaf) * scale), &self.output)
    }

    /// Multi-head attention of each token over the nodes of its graph, `[T, h]`.
    fn attend(&self, dense: Option<&Dense>, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let width = query.size()[1];
        let by_head = |rows: &Tensor, graphs| rows.view([graphs, -1, self.heads, width / self.heads]).transpose(1, 2);
        let attention = |query: &Tensor, key: &Tensor, value: &Tensor, is_node: Option<&Tensor>| {
            // No dropout, not causal, the usual scale 1 / √(head width), as many key heads as query heads.
            let found = Tensor::scaled_dot_product_attention(query, key, value, is_node, 0.0, false, None, false);
            found.transpose(1, 2).reshape([-1, width])
        };
        match dense {
            None => attention(&by_head(query, 1), &by_head(key, 1), &by_head(value, 1), None),
            Some(dense) => {
                let padded = |rows: &Tensor, places| by_head(&rows.index_select(0, places), dense.graphs);
                let query = padded(query, &dense.tokens);
                let (key, value) = (padded(key, &dense.nodes), padded(value, &dense.nodes));
                attention(&query, &key, &value, Some(&dense.is_node)).index_select(0, &dense.places)
            }
        }
    }
}
