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

    /// What code tokens look for, `[t, h]`, from their embeddings `[t, D]` with RMS `[t, 1]`.
    pub(crate) fn query(&self, codes: &Tensor, rms: &Tensor) -> Tensor {
        // RMSNorm is a factor of a row: it is applied where a row has `h` components, not `D`.
        linear(codes, &self.query) / rms
    }

    /// What the graph says to each code token, `[T, h]`, from what it looks for `[T, h]` and the node vectors `[N, h]`: what attention over the
    /// nodes of its own graph finds, plus the node that it belongs to.
    pub(crate) fn forward(&self, graphs: &Graphs, query: &Tensor, nodes: &Tensor) -> Tensor {
        let (key, value) = (linear(nodes, &self.key), linear(nodes, &self.value));
        let found = self.attend(graphs.dense.as_ref(), query, &key, &value);
        found + linear(nodes, &self.leaf).index_select(0, &graphs.leaves)
    }

    /// The steps of code tokens `[t, D]`, from what the graph says to them, times the scale of each, `[t, h]`.
    pub(crate) fn steps(&self, said: &Tensor) -> Tensor {
        linear(said, &self.output)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, CodeInput, GraphInput, PromptInput};
    use tch::{Device, Kind};
    use transducer_cpg::{CpgBuilder, NameId, NodeKind, NodeSpec, Span};

    /// In the published code the gradient at the graph is 2e-7: nothing that it says is ever learned.
    #[test]
    fn every_node_vector_has_a_gradient() {
        const NODES: u32 = 12;
        let mut builder = CpgBuilder::new("java", NODES as usize).unwrap();
        for node in 1..NODES {
            let span = Span {
                start: node,
                end: node + 1,
            };
            builder.add(
                0,
                NodeSpec {
                    kind: NodeKind::Identifier,
                    span,
                    line: 1,
                    order: node,
                    name: NameId::EMPTY,
                },
            );
        }
        let offsets: Vec<(u32, u32)> = (0..4).map(|byte| (byte, byte + 1)).collect();
        let graph = GraphInput::new(&builder.finish().unwrap(), &offsets).unwrap();
        let config = TransducerConfig::for_hidden(32);
        let prompt = PromptInput {
            codes: vec![CodeInput {
                rows: 0..4,
                graph: &graph,
            }],
            text: Vec::new(),
        };
        let batch = Batch::new(&config, &[prompt], 4, Device::Cpu).unwrap();
        let parameters = Parameters::random(&config, Device::Cpu, 1);
        // Away from zero, as after a first step.
        let _in_place = parameters.get("fusion.output.weight").fill_(0.1);
        let abfl = Abfl::new(&config, &parameters);

        let rows = |count: i64, size: i64| {
            let values = Tensor::arange(count * size, (Kind::Float, Device::Cpu)) * 2.399963;
            values.sin().view([count, size]) * 2.0_f64.sqrt()
        };
        let nodes = rows(i64::from(NODES), config.width as i64).set_requires_grad(true);
        let ones = Tensor::ones([4, 1], (Kind::Float, Device::Cpu));
        let query = abfl.query(&rows(4, 32), &ones);
        let steps = abfl.steps(&abfl.forward(batch.graphs.as_ref().unwrap(), &query, &nodes));
        steps.square().mean(Kind::Float).backward();
        let gradient = nodes.grad().norm_scalaropt_dim(2, [1_i64].as_slice(), false);
        let least = gradient.min().double_value(&[]);
        assert!(least > 1e-3, "the smallest gradient of a node is {least:e}");
    }
}
