//! The manifest as it is written, `adapter.toml`. The doc comment of a field is its documentation everywhere:
//! [`schema`] turns them into a JSON schema, which `transducer-host inspect --schema` prints.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Evaluation, Provenance, Requires};

/// An adapter bundle's manifest, `adapter.toml`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of the bundle format. This host reads 1.
    pub schema: u32,
    /// Who and what the adapter is.
    pub adapter: Adapter,
    /// The task component.
    pub task: TaskSection,
    /// The frozen LLM that the transducer was made for.
    pub base_model: BaseModel,
    /// The transducer's shape and weights.
    pub transducer: TransducerSection,
    /// What the task needs beyond the host's default budgets.
    #[serde(default)]
    pub limits: Limits,
    /// What the bundle needs of a host.
    #[serde(default)]
    pub requires: Requires,
    /// How to make the weights again.
    #[serde(default)]
    pub train: Train,
    /// What the weights were made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// How the weights were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// `[adapter]`: who and what the adapter is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Adapter {
    /// Name by which requests ask for it: lower-case letters, digits and single hyphens, at most 64 characters. Equal
    /// to the name of the bundle's folder.
    pub name: String,
    /// Version of this bundle, as in Semantic Versioning 2.0.
    pub version: String,
    /// One line on what it does.
    pub summary: String,
    /// Licence of the bundle, an SPDX expression such as `Apache-2.0`.
    pub license: String,
    /// Who made it.
    #[serde(default)]
    pub authors: Vec<String>,
    /// Where to read more.
    #[serde(default)]
    pub homepage: Option<String>,
}

/// `[task]`: the sandboxed component.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TaskSection {
    /// File name of the WebAssembly component in the bundle.
    pub component: String,
    /// The world that the component implements, such as `transducer:task@1.0.0`.
    pub world: String,
    /// Languages whose code it takes, as front ends name them: `java`, `python`.
    pub languages: Vec<String>,
}

/// `[base-model]`: proof of fit, checked before anything of the bundle is used.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseModel {
    /// The model's name, for people.
    pub id: String,
    /// The model's family, such as `llama` or `qwen2`.
    pub family: String,
    /// Width of its input embeddings.
    pub hidden_size: u32,
    /// SHA-256 of its table of input embeddings (f32, little endian), 64 hexadecimal digits.
    pub embedding_sha256: String,
    /// SHA-256 of its tokenizer, 64 hexadecimal digits.
    pub tokenizer_sha256: String,
}

/// `[transducer]`: the shape of the transducer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransducerSection {
    /// File name of the weights in the bundle. Without it the transducer is untrained, and the adapter answers as the
    /// frozen LLM does.
    #[serde(default)]
    pub weights: Option<String>,
    /// Width of a node vector, 8 to 32 for most tasks.
    pub width: u32,
    /// Rounds of message passing over the graph, 0 to 3.
    pub layers: u32,
    /// Attention heads; divides the width.
    pub heads: u32,
    /// How many of the first tokens of the prompt's text the transducer may rewrite, 0 to 64.
    pub task_tokens: u32,
    /// How many of the last tokens of the prompt's text it may rewrite, the start of the reply among them, 0 to 64.
    #[serde(default)]
    pub reply_tokens: u32,
    /// The edges that it reads, by their names in the CPG specification: `AST`, `CFG`, `REACHING_DEF` and so on.
    pub edge_kinds: Vec<String>,
    /// Version of the CPG schema that it was made for.
    pub cpg_schema: u32,
    /// Which parts of the method there are: all, unless this is an experiment.
    #[serde(default)]
    pub parts: Parts,
    /// How the task tokens make one vector of all nodes.
    #[serde(default)]
    pub pooling: Pooling,
}

/// How task tokens pool the nodes of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// By attention, each with a query of its own.
    #[default]
    Attention,
    /// The largest of each component, each with a gain of its own: for answers that a single node knows.
    Max,
}

/// Which parts of the method a transducer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    /// GVE, ABFL, and task tokens that hear of the graph.
    #[default]
    Full,
    /// No ABFL: the graph reaches the LLM through the task tokens alone.
    NoFusion,
    /// Neither GVE nor ABFL: task tokens that are the same for every input.
    NoGraph,
}

/// `[limits]`: what the task asks for beyond the defaults.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Memory of one call of the component, in MiB.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// Time of one call of the component, in milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<u32>,
}

/// `[train]`: how the weights are made. Every key has a default, and can be set by `transducer-host train --set train.KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Train {
    /// The field of a request that a row's `source` fills.
    pub source_field: String,
    /// Further fields of every request, such as `language = "python"`.
    pub request: BTreeMap<String, String>,
    /// Written after a row's `target`, before the model's end token: what the task's own stop string waits for.
    pub answer_end: String,
    /// Rows whose prompt has more tokens are left out.
    pub max_prompt_tokens: u32,
    /// Rows whose answer has more tokens are left out.
    pub max_answer_tokens: u32,
    /// Examples seen in all. More than the data has are seen again, in another order.
    pub examples: u32,
    /// Examples a step.
    pub batch: u32,
    /// About how many tokens go through the LLM at once, padding included where there is any; a step takes as many turns as it needs.
    pub batch_tokens: u32,
    /// Highest learning rate of AdamW. The two matrices that read the LLM's embeddings have less of it, 64 / `base-model.hidden-size`.
    pub learning_rate: f64,
    /// What the learning rate of the task tokens' own vectors is multiplied by: each vector is moved by its own gradient alone,
    /// where a weight of a matrix is moved by every token.
    pub task_rate: f64,
    /// Part of the steps in which the learning rate rises, 0 to 1.
    pub warmup: f64,
    /// How the learning rate falls to zero after that.
    pub schedule: Schedule,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Largest norm of a step's gradient; a longer one is shortened to it.
    pub clip: f64,
    /// Seed of the first weights and of the order of the examples.
    pub seed: u64,
    /// Steps between two validations; 0 for one at the end only.
    pub validate_every: u32,
    /// Validation rows of which the loss is computed.
    pub validate_examples: u32,
    /// Validation rows for which answers are generated and scored; 0 for none.
    pub generate_examples: u32,
    /// Validations without a better loss after which training ends; 0 for never.
    pub patience: u32,
    /// Which edges graphs are given: real ones, unless this is an experiment.
    pub edges: Edges,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            source_field: "code".to_owned(),
            request: BTreeMap::new(),
            answer_end: String::new(),
            max_prompt_tokens: 512,
            max_answer_tokens: 256,
            examples: 10_000,
            batch: 16,
            batch_tokens: 1_024,
            learning_rate: 1e-2,
            task_rate: 5.0,
            warmup: 0.05,
            schedule: Schedule::Cosine,
            weight_decay: 0.0,
            clip: 1.0,
            seed: 1,
            validate_every: 0,
            validate_examples: 200,
            generate_examples: 0,
            patience: 0,
            edges: Edges::Real,
        }
    }
}

/// How a learning rate falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// As half a cosine.
    #[default]
    Cosine,
    /// In a line.
    Linear,
}

/// Which edges a transducer is trained and evaluated with. A host serves only those of real ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edges {
    /// Those of the graph.
    #[default]
    Real,
    /// As many of each kind and as many from each node, but to the targets of other edges of the kind.
    Shuffled,
    /// As many of each kind, between any two nodes.
    Random,
}

/// The JSON schema of the manifest, with the documentation of every field.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}
