//! The manifest as it is written, `adapter.toml`. The doc comment of a field is its documentation everywhere:
//! [`schema`] turns them into a JSON schema, which the tools, the docs and the tests read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Instruction tokens that the transducer may rewrite, 0 to 64.
    pub task_tokens: u32,
    /// The edges that it reads, by their names in the CPG specification: `AST`, `CFG`, `REACHING_DEF` and so on.
    pub edge_kinds: Vec<String>,
    /// Version of the CPG schema that it was made for.
    pub cpg_schema: u32,
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

/// The JSON schema of the manifest, with the documentation of every field.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}
