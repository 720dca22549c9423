//! `--backbone`: servers that have the LLM's layers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use transducer_pipeline::{Addresses, DEFAULT_PATIENCE, DEFAULT_REQUESTS, RemoteOptions};

/// Where the LLM's layers are, if not here.
#[derive(Args, Debug)]
pub(crate) struct BackboneArgs {
    /// Servers that run the LLM and take prompt embeddings (`vllm serve --enable-prompt-embeds`), with commas between them:
    /// vllm+http://HOST:PORT; of --model nothing is loaded then but the tokenizer and the embedding table
    #[arg(long, env = "TRANSDUCER_BACKBONE", value_name = "URLS")]
    backbone: Option<Addresses>,

    /// The model to ask those servers for, where they serve several
    #[arg(long, env = "TRANSDUCER_BACKBONE_MODEL", value_name = "ID")]
    backbone_model: Option<String>,

    /// File with the key that those servers ask for
    #[arg(long, env = "TRANSDUCER_BACKBONE_KEY", value_name = "FILE")]
    backbone_key: Option<PathBuf>,

    /// Most answers that one of those servers makes at once
    #[arg(long, env = "TRANSDUCER_BACKBONE_REQUESTS", value_name = "N", default_value_t = DEFAULT_REQUESTS)]
    backbone_requests: usize,

    /// For how long those servers may say nothing, in seconds, before another is asked
    #[arg(long, env = "TRANSDUCER_BACKBONE_PATIENCE", value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE.as_secs())]
    backbone_patience: u64,

    /// Longest prompt that those servers take, in bytes of embeddings (NVIDIA Dynamo: 10000000) [default: any]
    #[arg(long, env = "TRANSDUCER_BACKBONE_PROMPT_BYTES", value_name = "BYTES")]
    backbone_prompt_bytes: Option<usize>,
}

impl BackboneArgs {
    /// The servers, if any are named; so many requests may wait for them.
    pub(crate) fn options(&self, queue_bound: usize) -> Result<Option<RemoteOptions>> {
        let Some(Addresses(endpoints)) = self.backbone.clone() else {
            return Ok(None);
        };
        let key = self.backbone_key.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            text.with_context(|| format!("cannot read --backbone-key {}", path.display()))
        });
        Ok(Some(RemoteOptions {
            endpoints,
            model: self.backbone_model.clone(),
            key: key.transpose()?.map(|key| key.trim().to_owned()),
            requests: self.backbone_requests,
            queue_bound,
            patience: Duration::from_secs(self.backbone_patience),
            prompt_bytes: self.backbone_prompt_bytes,
        }))
    }
}
