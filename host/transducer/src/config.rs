//! The shape of a transducer: everything but its weights.

use crate::TransducerError;
use serde::{Deserialize, Serialize};
use transducer_cpg::{EdgeKind, NodeKind, SCHEMA_VERSION};

/// The largest embedding size of an LLM that we know of is 16,384 (Llama 3.1 405B); it bounds what a weights file can
/// make us allocate.
pub const MAX_HIDDEN: usize = 16_384;

/// Twice the width at which a transducer stays within the parameter budget (8–32): room for experiments, not for waste.
pub const MAX_WIDTH: usize = 64;

/// After three rounds of messages a node of a syntax tree has heard of everything within one statement and its control
/// and data dependences; more rounds make node vectors alike (over-smoothing).
pub const MAX_LAYERS: usize = 3;

/// What a chat template and an instruction come to, a sentence each; vectors beyond their tokens would never be used.
pub const MAX_TASK_TOKENS: usize = 64;

/// Largest `fusion_scale` and `task_scale`: at 1,000 times a token's own size nothing is left of the token.
const MAX_SCALE: f64 = 1_000.0;

/// Which parts of the method are there. The parameters of a part that is left out do not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    /// GVE, ABFL, and task tokens conditioned on the graph.
    #[default]
    Full,
    /// No ABFL: the graph reaches the LLM through the task tokens alone.
    NoFusion,
    /// Neither GVE nor ABFL: learned task vectors, the same for every input.
    NoGraph,
}

impl Parts {
    /// Whether the graph is read at all.
    pub fn graph(self) -> bool {
        self != Self::NoGraph
    }

    /// Whether code tokens are rewritten.
    pub fn fusion(self) -> bool {
        self == Self::Full
    }
}

/// How a task token makes one vector of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Attention with a query of the token's own: the mean of the nodes, weighted by how much they are like the query.
    #[default]
    Attention,
    /// The largest of each component over all nodes, times a gain of the token's own: what one node says of a hundred is heard as loudly as
    /// what all of them say.
    Max,
}

impl Pooling {
    /// Weights from before there was a choice do not name it, and are still written as they were.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The shape of a transducer. Stored as JSON beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransducerConfig {
    /// `D`, the LLM's embedding size.
    pub hidden: usize,
    /// `h`, the size of node vectors and of everything between the LLM's embeddings: 8 to 32 fits the parameter budget.
    pub width: usize,
    /// Rounds of messages along the edges; 0 exactly where `edge_kinds` is empty.
    pub layers: usize,
    /// Attention heads, of GVE and ABFL; a divisor of `width`.
    pub heads: usize,
    /// How many of the first tokens of a prompt's text (all that is not code) are changed; 0 for none.
    pub task_tokens: usize,
    /// How many of the last tokens of a prompt's text are changed, the start of the reply among them; 0 for none.
    #[serde(default)]
    pub reply_tokens: usize,
    /// The edges that are read, by their names in the CPG specification. Each becomes two relations: along the edge and
    /// against it.
    #[serde(with = "edge_kind_names")]
    pub edge_kinds: Vec<EdgeKind>,
    /// How many node kinds there are.
    pub node_kinds: usize,
    /// Version of the graph schema that the weights were trained on: it says what the numbers of the kinds mean.
    pub cpg_schema: u32,
    /// Which parts of the method are there.
    pub parts: Parts,
    /// How task tokens pool the nodes.
    #[serde(default, skip_serializing_if = "Pooling::is_default")]
    pub pooling: Pooling,
    /// What the ABFL's step for a code token is multiplied by, in units of the token's RMS.
    pub fusion_scale: f64,
    /// What the step for a task token is multiplied by, in units of the token's RMS.
    pub task_scale: f64,
}

impl TransducerConfig {
    /// The default shape for an LLM with embeddings of size `hidden`: 55,704 parameters at 576.
    ///
    /// The edges are those of the method (syntax, control flow, control and data dependence, references) and the order
    /// of tokens, which ties the leaves of a syntax tree together.
    pub fn for_hidden(hidden: usize) -> Self {
        Self {
            hidden,
            width: 12,
            layers: 2,
            heads: 2,
            task_tokens: 32,
            reply_tokens: 12,
            edge_kinds: vec![
                EdgeKind::Ast,
                EdgeKind::Cfg,
                EdgeKind::Cdg,
                EdgeKind::ReachingDef,
                EdgeKind::Ref,
                EdgeKind::NextToken,
            ],
            node_kinds: NodeKind::ALL.len(),
            cpg_schema: SCHEMA_VERSION,
            parts: Parts::Full,
            pooling: Pooling::Attention,
            fusion_scale: 1.0,
            task_scale: 1.0,
        }
    }

    /// `R`: each edge kind along its direction and against it.
    pub fn relations(&self) -> usize {
        2 * self.edge_kinds.len()
    }

    /// The relation along edges of this kind, if they are read; the one against them is the next number.
    pub(crate) fn relation(&self, kind: EdgeKind) -> Option<usize> {
        self.edge_kinds
            .iter()
            .position(|&read| read == kind)
            .map(|place| 2 * place)
    }

    /// `M`, how many vectors of their own the task tokens have.
    pub(crate) fn task_vectors(&self) -> usize {
        self.task_tokens + self.reply_tokens
    }

    /// Size of one attention head.
    pub(crate) fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Checks every field, also against the graph schema of this build.
    ///
    /// # Errors
    /// [`TransducerError::Config`] for the first field that is out of range.
    pub fn validate(&self) -> Result<(), TransducerError> {
        let within = |field, found: usize, least: usize, most: usize| match found {
            _ if (least..=most).contains(&found) => Ok(()),
            _ => Err(invalid(field, found, format!("{least} to {most}"))),
        };
        within("hidden", self.hidden, 1, MAX_HIDDEN)?;
        within("width", self.width, 1, MAX_WIDTH)?;
        within("layers", self.layers, 0, MAX_LAYERS)?;
        within("heads", self.heads, 1, self.width)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(invalid(
                "heads",
                self.heads,
                format!("a divisor of width ({})", self.width),
            ));
        }
        within("task_tokens", self.task_tokens, 0, MAX_TASK_TOKENS)?;
        within("reply_tokens", self.reply_tokens, 0, MAX_TASK_TOKENS)?;
        if self.task_vectors() == 0 && !self.parts.fusion() {
            let expected = "task tokens or reply tokens: with no fusion there is nothing else to train";
            return Err(invalid("task_tokens", 0, expected.to_owned()));
        }
        for (place, kind) in self.edge_kinds.iter().enumerate() {
            if self.edge_kinds[..place].contains(kind) {
                return Err(invalid("edge_kinds", kind, "each kind once".to_owned()));
            }
        }
        if (self.layers == 0) != self.edge_kinds.is_empty() {
            let found = format!("{} edge kinds and {} layers", self.edge_kinds.len(), self.layers);
            return Err(invalid("edge_kinds", found, "both none or both some".to_owned()));
        }
        for (field, found) in [("fusion_scale", self.fusion_scale), ("task_scale", self.task_scale)] {
            if !(found > 0.0 && found <= MAX_SCALE) {
                return Err(invalid(field, found, format!("above 0, at most {MAX_SCALE}")));
            }
        }
        if self.cpg_schema != SCHEMA_VERSION {
            return Err(invalid(
                "cpg_schema",
                self.cpg_schema,
                format!("{SCHEMA_VERSION}, the graphs of this build"),
            ));
        }
        within("node_kinds", self.node_kinds, NodeKind::ALL.len(), NodeKind::ALL.len())
    }
}

fn invalid(field: &'static str, found: impl ToString, expected: String) -> TransducerError {
    TransducerError::Config {
        field,
        found: found.to_string(),
        expected,
    }
}

/// Edge kinds as their names, so that a configuration can be read and survives new kinds.
mod edge_kind_names {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use transducer_cpg::EdgeKind;

    pub(super) fn serialize<S: Serializer>(kinds: &[EdgeKind], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(kinds.iter().map(|kind| kind.name()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EdgeKind>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names
            .iter()
            .map(|name| name.parse().map_err(D::Error::custom))
            .collect()
    }
}
