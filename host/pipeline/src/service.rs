//! What the host offers to those who bring requests: the command line, the HTTP server, a test.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use transducer_bundle::{Expected, Signer};
use transducer_remote::EndpointStatus;

use crate::{
    CancelToken, ChangeError, Changed, Completion, GraphRequest, Install, PlainInput, PlainRequest, RequestError,
};

/// How busy the frozen LLM is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for it.
    pub queued: usize,
    /// Requests whose answers are in the making.
    pub running: usize,
    /// Tokens, prompts and answers, that their memory has room for.
    pub cache_tokens: usize,
    /// Tokens that there is memory for.
    pub cache_bound: usize,
}

/// A host that answers requests. The implementation is [`crate::Host`]; the trait is there so that the HTTP server can
/// be tested without a model.
pub trait Service: Send + Sync {
    /// Every bundle of the adapters directory, also those that cannot be used.
    fn adapters(&self) -> Vec<AdapterStatus>;

    /// By which policy bundles are let in.
    fn policy(&self) -> PolicyStatus {
        PolicyStatus::None
    }

    /// How bundles fared since the host began.
    fn reloads(&self) -> Reloads {
        Reloads::default()
    }

    /// How much memory adapters hold.
    fn residency(&self) -> Residency {
        Residency::default()
    }

    /// How busy the frozen LLM is.
    fn load(&self) -> Load {
        Load::default()
    }

    /// How many requests wait for the frozen LLM, by adapter.
    fn waiting(&self) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }

    /// Servers that have the frozen LLM's layers; none where this process has them.
    fn endpoints(&self) -> Vec<EndpointStatus> {
        Vec::new()
    }

    /// The frozen LLM.
    fn model(&self) -> &ModelInfo;

    /// The graph of a piece of code, written down. Blocks.
    fn graph(&self, request: &GraphRequest<'_>) -> Result<String, RequestError>;

    /// Has the frozen LLM itself write, without an adapter, and reports on the way. Blocks, as [`Service::answer`] does.
    fn complete(&self, request: &PlainRequest<'_>, events: &mut Events<'_>) -> Result<Completion, RequestError>;

    /// The tokens that the LLM reads for this.
    fn tokenize(&self, input: &PlainInput<'_>) -> Result<Vec<u32>, RequestError>;

    /// The text of tokens.
    fn detokenize(&self, tokens: &[u32]) -> Result<String, RequestError>;

    /// Puts an archive into the adapters directory, and returns once it serves. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`]; what served before goes on.
    fn install(&self, install: Install<'_>) -> Result<Changed, ChangeError>;

    /// Removes an adapter that was installed, and its earlier versions. Running requests finish. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`]; what served before goes on.
    fn remove(&self, name: &str, expected: Option<&Expected>) -> Result<(), ChangeError>;

    /// Puts the version of an adapter back that was installed before the current one, and returns once it serves. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`]; what served before goes on.
    fn roll_back(&self, name: &str, expected: Option<&Expected>) -> Result<Changed, ChangeError>;

    /// Takes one request from end to end and reports on the way. Blocks; any number of threads may call it at once.
    fn answer(&self, request: &Request<'_>, events: &mut Events<'_>) -> Result<Answer, RequestError>;
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The adapter that is asked for.
    pub adapter: &'a str,
    /// The request's JSON, in the form that the adapter's task takes.
    pub body: &'a str,
    /// Stops the work from another thread.
    pub cancel: CancelToken,
    /// How long the answer may take, from now; none for as long as it takes.
    pub time_limit: Option<Duration>,
}

/// Where events go. [`ControlFlow::Break`] cancels the request.
pub type Events<'a> = dyn FnMut(Event) -> ControlFlow<()> + Send + 'a;

/// What happens to a request before it is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The prompt is made, and generation begins.
    Started {
        /// Which bundle answers: SHA-256 over it.
        generation: String,
        /// Length of the prompt.
        prompt_tokens: usize,
    },
    /// A piece of the generated text. The pieces together are the text that the task's `finish` gets.
    Text(String),
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// Who answered.
    pub adapter: String,
    /// Which bundle of that name: SHA-256 over it.
    pub generation: String,
    /// The answer as a person reads it.
    pub text: String,
    /// The answer as a program reads it, by the task's own schema.
    pub data: serde_json::Value,
    /// What the user should know about it.
    pub diagnostics: Vec<Diagnostic>,
    /// Why the model wrote no further.
    pub finish_reason: FinishReason,
    /// Tokens.
    pub usage: Usage,
    /// Where the time went.
    pub timings: Timings,
}

/// Something that the user should know about an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// A stable name, for programs.
    pub code: String,
    /// In words.
    pub message: String,
}

/// Why the model wrote no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// It was done, or came to where the task had it stop.
    Stop,
    /// It had written as much as the task lets it.
    Length,
}

/// Counts of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Usage {
    /// In the prompt, the chat template's included.
    pub prompt_tokens: usize,
    /// Generated.
    pub completion_tokens: usize,
}

/// The time that each stage took, in milliseconds. Parsing happens while the task prepares; it is counted as `cpg` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Timings {
    /// The task's `prepare`, without the parsing that it asked for; and bringing the adapter back, if it was put out of memory.
    pub prepare_ms: f64,
    /// Front ends: source to graph.
    pub cpg_ms: f64,
    /// Tokens and input embeddings.
    pub embed_ms: f64,
    /// GVE and ABFL.
    pub transducer_ms: f64,
    /// Waiting for the LLM.
    pub queue_ms: f64,
    /// The prompt through the LLM.
    pub prefill_ms: f64,
    /// The answer out of the LLM.
    pub decode_ms: f64,
    /// The task's `finish`.
    pub finish_ms: f64,
    /// From the request to its answer.
    pub total_ms: f64,
}

impl Timings {
    /// The stages in the order in which a request passes them, by name.
    pub fn stages(&self) -> [(&'static str, f64); 8] {
        [
            ("prepare", self.prepare_ms),
            ("cpg", self.cpg_ms),
            ("embed", self.embed_ms),
            ("transducer", self.transducer_ms),
            ("queue", self.queue_ms),
            ("prefill", self.prefill_ms),
            ("decode", self.decode_ms),
            ("finish", self.finish_ms),
        ]
    }
}

/// A duration as the timings count it.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The frozen LLM, as far as a caller may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelInfo {
    /// Name of the file or folder.
    pub name: String,
    /// `llama`, `qwen2`, `t5`.
    pub family: String,
    /// Width of the input embeddings.
    pub hidden_size: usize,
    /// Longest prompt and answer together, in tokens.
    pub context: usize,
    /// SHA-256 of the table of input embeddings, for a bundle's `[base-model]`.
    pub embedding_sha256: String,
    /// SHA-256 of the tokenizer, for a bundle's `[base-model]`.
    pub tokenizer_sha256: String,
    /// The numbers that it computes with: `float`, `bfloat16`, or `int8` where the inputs of products are rounded to 8 bits.
    pub precision: String,
    /// Where it runs.
    pub device: String,
}

/// One bundle of the adapters directory.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AdapterStatus {
    /// Name of its folder, which requests ask for.
    pub name: String,
    /// Whether it can be asked.
    #[serde(flatten)]
    pub state: AdapterState,
    /// Whether what it answers with is in memory; if not, its next request brings it back.
    pub resident: bool,
    /// Who signed the bundle that answers, as the host's policy knows them; null where there is no policy, or nobody did.
    pub signer: Option<Signer>,
    /// Why the bundle that is there now is not the one that answers: it changed and is broken, so the generation before
    /// goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// By which policy bundles are let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PolicyStatus {
    /// By none: every bundle is.
    None,
    /// By the host's.
    InForce {
        /// Whether a bundle has to be signed.
        require_signature: bool,
        /// Why the policy's file, as it is now, is not the policy in force: it changed and cannot be used.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_error: Option<String>,
    },
}

/// Counts of bundles that were looked at, those at the start included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloads {
    /// Bundles that began to serve.
    pub loaded: u64,
    /// Bundles that could not be used.
    pub failed: u64,
}

/// How much memory adapters hold, and what came of its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Residency {
    /// What they may hold, in bytes.
    pub budget_bytes: u64,
    /// What they hold, in bytes: the weights of those in memory and, once for each different component, the image of its compiled
    /// code; and copies that could not be put on disk. What wasmtime and the allocator need besides cannot be asked for: of a hundred
    /// adapters with a component each, resident memory was 1.4 times this. Running requests may hold on to more.
    pub held_bytes: u64,
    /// How often an adapter was put out of memory.
    pub evicted: u64,
    /// How often one was brought back.
    pub brought_back: u64,
}

/// Whether an adapter can be asked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AdapterState {
    /// It answers.
    Ready(AdapterInfo),
    /// It does not, for this reason.
    Broken {
        /// What is wrong, where, and what to do.
        error: String,
    },
}

/// An adapter that answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AdapterInfo {
    /// The bundle's version.
    pub version: String,
    /// SHA-256 over the bundle.
    pub generation: String,
    /// One line on what it does.
    pub summary: String,
    /// SPDX expression.
    pub license: String,
    /// Languages of the code that it takes.
    pub languages: Vec<String>,
    /// Whether the bundle brings weights. Without them it answers as the frozen LLM does.
    pub trained: bool,
    /// Trainable parameters of the transducer.
    pub parameters: usize,
    /// JSON Schema of a request.
    pub request_schema: serde_json::Value,
    /// JSON Schema of an answer's `data`.
    pub answer_schema: serde_json::Value,
    /// Requests to try.
    pub examples: Vec<Example>,
}

/// A request to try.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// The request's JSON.
    pub request: serde_json::Value,
}
