//! From a row to what the LLM is trained on and asked: the bundle's own task writes every prompt.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use transducer_backbone::Embedder;
use transducer_bundle::Train;
use transducer_core::{CodeInput, GraphInput, PromptInput};
use transducer_engine::{Decoding, Strategy};
use transducer_pipeline::{Blame, PreparedPrompt, RequestError, Workpiece, Workshop};

use crate::{Row, TrainError};

/// A row made ready: everything that does not depend on weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The row's.
    pub id: String,
    /// The row's.
    pub source: String,
    /// The row's `target`.
    pub reference: String,
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The answer's tokens, and [`answer_end`] behind them; before them, where the model writes one, its start token.
    pub answer: Vec<u32>,
    /// Runs of the prompt's tokens that are not code.
    pub text: Vec<(u32, u32)>,
    /// The prompt's code: its first token, and its graph.
    pub codes: Vec<(u32, GraphInput)>,
    /// Most tokens of a generated answer.
    pub max_new_tokens: usize,
    /// What ends a generated answer.
    pub stop: Vec<String>,
    /// What the task wants to know when it finishes.
    pub state: Vec<u8>,
}

/// Why a row was left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeftOut {
    /// The task does not accept it; what it says.
    Rejected(String),
    /// The prompt has more tokens than `max-prompt-tokens`.
    LongPrompt,
    /// The answer has more tokens than `max-answer-tokens`.
    LongAnswer,
    /// Prompt and answer, or the longest answer that the task allows, have more tokens than the LLM's context.
    LongerThanContext,
    /// The task does not get through it; how it fails.
    Failed(String),
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rejected(message) => message,
            Self::LongPrompt => "prompt longer than max-prompt-tokens",
            Self::LongAnswer => "answer longer than max-answer-tokens",
            Self::LongerThanContext => "longer than the model's context",
            Self::Failed(message) => return write!(f, "the task fails on it: {message}"),
        })
    }
}

impl Example {
    /// Makes a row ready.
    ///
    /// # Errors
    /// What fails on the host's side. A row that the task does not accept or get through, or that is too long, is [`LeftOut`].
    pub fn new(
        workshop: &Workshop,
        piece: &Workpiece,
        train: &Train,
        row: Row,
    ) -> Result<Result<Self, LeftOut>, TrainError> {
        let prepared = match workshop.prepare(piece, &request(train, &row.source)) {
            Ok(prepared) => prepared,
            Err(RequestError::Rejected(message)) => return Ok(Err(LeftOut::Rejected(message))),
            Err(RequestError::Task { source, .. }) if source.blame() == Blame::Task => {
                return Ok(Err(LeftOut::Failed(source.to_string())));
            }
            Err(error) => return Err(TrainError::from(error).of_row(&row.id)),
        };
        let PreparedPrompt {
            prompt,
            decoding,
            state,
        } = prepared;
        if decoding.strategy() != Strategy::Greedy {
            return Err(TrainError::Decoding {
                adapter: piece.manifest.name.to_string(),
                decoding: format!("{:?}", decoding.strategy()),
            });
        }
        let embedder = workshop.embedder();
        let tokenizer = embedder.tokenizer();
        let text = tokenizer
            .encode(&format!("{}{}", row.target, train.answer_end))
            .map_err(transducer_backbone::BackboneError::from)?;
        let answer: Vec<u32> = embedder
            .before_answer()
            .into_iter()
            .chain(text.ids)
            .chain(answer_end(embedder))
            .collect();
        if prompt.ids.len() > train.max_prompt_tokens as usize {
            return Ok(Err(LeftOut::LongPrompt));
        }
        if answer.len() > train.max_answer_tokens as usize {
            return Ok(Err(LeftOut::LongAnswer));
        }
        // A host refuses what has no room for the longest answer.
        if answer.len().max(decoding.max_new_tokens()) > embedder.config().room(prompt.ids.len()) {
            return Ok(Err(LeftOut::LongerThanContext));
        }
        let codes = prompt.codes.iter().map(|code| {
            let graph = GraphInput::new(&code.parsed.cpg, &code.offsets)?;
            Ok((code.tokens.start as u32, graph))
        });
        Ok(Ok(Self {
            codes: codes.collect::<Result<_, TrainError>>()?,
            text: prompt
                .text
                .iter()
                .map(|run| (run.start as u32, run.end as u32))
                .collect(),
            prompt: prompt.ids,
            answer,
            max_new_tokens: decoding.max_new_tokens(),
            stop: decoding.stop().to_vec(),
            state,
            id: row.id,
            source: row.source,
            reference: row.target,
        }))
    }

    /// Tokens of prompt and answer.
    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }

    /// The prompt as a transducer reads it, where its first token is row `first` of the embeddings.
    pub fn input(&self, first: usize) -> PromptInput<'_> {
        let codes = self.codes.iter().map(|(start, graph)| {
            let start = first + *start as usize;
            CodeInput {
                rows: start..start + graph.tokens(),
                graph,
            }
        });
        let text = self
            .text
            .iter()
            .map(|&(start, end)| first + start as usize..first + end as usize);
        PromptInput {
            codes: codes.collect(),
            text: text.collect(),
        }
    }

    /// How the answer is decoded.
    ///
    /// # Errors
    /// [`TrainError::Decoding`] for limits that the engine does not take.
    pub fn decoding(&self, adapter: &str) -> Result<Decoding, TrainError> {
        let options = transducer_engine::DecodingOptions {
            max_new_tokens: self.max_new_tokens,
            stop: self.stop.clone(),
            ..transducer_engine::DecodingOptions::default()
        };
        Decoding::new(options).map_err(|error| TrainError::Decoding {
            adapter: adapter.to_owned(),
            decoding: error.to_string(),
        })
    }
}

/// The token at the end of every answer: the lowest of those that may end one, which of the usual models is the end of a text and not
/// that of a turn. Trained to write the latter, answers were no better (`EXPERIMENTS.md`, "How an answer ends").
pub(crate) fn answer_end(embedder: &Embedder) -> Option<u32> {
    embedder.tokenizer().eos_ids().first().copied()
}

/// The request that a row stands for.
fn request(train: &Train, source: &str) -> String {
    let text = |text: &str| Value::String(text.to_owned());
    let fields = train.request.iter().map(|(key, value)| (key.clone(), text(value)));
    let mut request: Map<String, Value> = fields.collect();
    request.insert(train.source_field.clone(), text(source));
    Value::Object(request).to_string()
}
