//! What can go wrong between a request and the servers that answer it.

use std::time::Duration;

use transducer_engine::EngineError;

use crate::Address;
use crate::wire::WireError;

/// Why an endpoint did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Nothing was asked of it yet.
    #[error("it was not asked yet")]
    New,
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection ended before the answer did.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The connection stands, and nothing comes.
    #[error("nothing came for {0:.1?}")]
    Silent(Duration),
    /// It does not take requests now.
    #[error("it is busy ({status}): {message}")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It answered with an error.
    #[error("it answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It told of an error after the answer had begun.
    #[error("it gave the answer up: {0}")]
    GaveUp(String),
    /// What came is no answer.
    #[error("what it sent is no stream of completions: {0}")]
    Garbage(String),
    /// Its answers have text only.
    #[error("its answers carry no token ids: it does not know `return_token_ids`, which vLLM has since 0.10.2")]
    NoTokenIds,
    /// It serves several models, or none.
    #[error("it serves {found:?}: name one of them with --backbone-model")]
    WhichModel {
        /// The models' ids.
        found: Vec<String>,
    },
    /// The model that was named is not there.
    #[error("it does not serve {wanted:?}, but {found:?}: mend --backbone-model")]
    NoSuchModel {
        /// What was asked for.
        wanted: String,
        /// The models' ids.
        found: Vec<String>,
    },
    /// The prompt means something else to it as embeddings than as tokens.
    #[error(
        "its model {id:?} is not the one of this host's embedding table: it goes on with {by_ids:?} after a prompt's token ids, and with \
         {by_embeddings:?} after this host's embeddings of them; give --model the folder or file of the model that it serves"
    )]
    OtherModel {
        /// The model's id there.
        id: String,
        /// Tokens that follow the ids.
        by_ids: Vec<u32>,
        /// Tokens that follow their embeddings.
        by_embeddings: Vec<u32>,
    },
}

impl EndpointError {
    /// Whether waiting mends nothing: it is another server than the one that is wanted.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::NoTokenIds | Self::WhichModel { .. } | Self::NoSuchModel { .. } | Self::OtherModel { .. }
        )
    }
}

/// Why a request has no answer, or an engine no endpoint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No endpoint is named.
    #[error("no endpoint is named: --backbone vllm+http://HOST:PORT names one, and more behind commas")]
    NoAddress,
    /// None of them can be used.
    #[error("no endpoint can be used, for {waited:.1?} now: {}", list(.endpoints))]
    NoEndpoint {
        /// Since when.
        waited: Duration,
        /// Each, and why.
        endpoints: Vec<(Address, EndpointError)>,
    },
    /// One of them is not what it should be.
    #[error("{address}: {error}")]
    Unfit {
        /// Which.
        address: Address,
        /// What is wrong with it.
        error: EndpointError,
    },
    /// Endpoint after endpoint failed.
    #[error("given up after {attempts} attempts; at the last, {address}: {error}")]
    Lost {
        /// How often it was asked.
        attempts: usize,
        /// Where at last.
        address: Address,
        /// What went wrong there.
        error: EndpointError,
    },
    /// So many requests fail that this one was not tried again.
    #[error("{address}: {error}; not tried again, since too many requests were lately")]
    BudgetSpent {
        /// Where it was asked.
        address: Address,
        /// What went wrong there.
        error: EndpointError,
    },
    /// The endpoint understood the request and does not take it.
    #[error("{address} refuses the request ({status}): {message}")]
    Refused {
        /// Which.
        address: Address,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The prompt's file is longer than the endpoints take.
    #[error(
        "the prompt's embeddings are {bytes} bytes, and {limit} may be sent (--backbone-prompt-bytes): send less code (one method \
         rather than a file)"
    )]
    TooLarge {
        /// Of the file.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Servers have none for embeddings.
    #[error(
        "a search with {beams} beams is not to be had over embeddings from a server: ask for one beam, or serve the model in this process"
    )]
    Beams {
        /// How many.
        beams: usize,
    },
    /// The embeddings have no form on the wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The key of the servers.
    #[error("the key of the endpoints has characters that no header may have")]
    Key,
    /// Nothing to verify servers by.
    #[error("cannot verify encrypted endpoints: {0}")]
    Certificates(String),
    /// The operating system.
    #[error("cannot start the engine's threads: {0}")]
    Threads(String),
}

impl From<RemoteError> for EngineError {
    fn from(error: RemoteError) -> Self {
        match error {
            error @ (RemoteError::TooLarge { .. }
            | RemoteError::Beams { .. }
            | RemoteError::Refused { .. }
            | RemoteError::Wire(_)) => Self::Refused(error.into()),
            error => Self::Unavailable(error.into()),
        }
    }
}

fn list(endpoints: &[(Address, EndpointError)]) -> String {
    let each: Vec<_> = endpoints
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    each.join("; ")
}
