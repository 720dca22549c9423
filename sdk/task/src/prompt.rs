//! The prompt that a task builds.

use crate::bindings::transducer::task::types;
use crate::cpg::Graph;

/// The user's turn: text and code, one after the other, with nothing between.
#[derive(Debug, Default)]
pub struct Prompt {
    pub(crate) segments: Vec<Piece>,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Code(Graph),
}

impl Prompt {
    /// An empty prompt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Text as it stands.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.segments.push(Piece::Text(text.into()));
        self
    }

    /// The source that `graph` was parsed from. The transducer enriches it with the graph.
    #[must_use]
    pub fn code(mut self, graph: Graph) -> Self {
        self.segments.push(Piece::Code(graph));
        self
    }
}

/// A prompt, how to decode the reply, and what [`Task::finish`](crate::Task::finish) has to know.
#[derive(Debug)]
pub struct Prepared<State> {
    pub(crate) system: Option<String>,
    pub(crate) prompt: Prompt,
    pub(crate) reply_start: Option<String>,
    pub(crate) decoding: Decoding,
    pub(crate) state: State,
}

impl<State> Prepared<State> {
    /// A prompt without a system turn, decoded greedily up to 128 tokens.
    pub fn new(prompt: Prompt, state: State) -> Self {
        Self {
            system: None,
            prompt,
            reply_start: None,
            decoding: Decoding::greedy(128),
            state,
        }
    }

    /// The system turn. Without one, the chat template chooses.
    #[must_use]
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// How the assistant's reply begins; the LLM goes on from here. What it writes comes to
    /// [`Task::finish`](crate::Task::finish) without this.
    #[must_use]
    pub fn reply_start(mut self, text: impl Into<String>) -> Self {
        self.reply_start = Some(text.into());
        self
    }

    /// How to decode.
    #[must_use]
    pub fn decoding(mut self, decoding: Decoding) -> Self {
        self.decoding = decoding;
        self
    }
}

/// How the LLM picks tokens.
#[derive(Clone, Debug)]
pub struct Decoding(pub(crate) types::Decoding);

impl Decoding {
    /// The likeliest token each time.
    pub fn greedy(max_new_tokens: u32) -> Self {
        Self(types::Decoding {
            max_new_tokens,
            stop: Vec::new(),
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            beams: 1,
        })
    }

    /// A beam search.
    pub fn beams(max_new_tokens: u32, beams: u32) -> Self {
        let mut decoding = Self::greedy(max_new_tokens);
        decoding.0.beams = beams;
        decoding
    }

    /// Tokens drawn at random: `temperature` above 0, among the likeliest with probability `top_p` together.
    pub fn sampled(max_new_tokens: u32, temperature: f32, top_p: f32) -> Self {
        let mut decoding = Self::greedy(max_new_tokens);
        decoding.0.temperature = temperature;
        decoding.0.top_p = top_p;
        decoding
    }

    /// Ends the reply before `text`. Call it again for more stop strings.
    #[must_use]
    pub fn stop(mut self, text: &str) -> Self {
        self.0.stop.push(text.to_owned());
        self
    }
}
