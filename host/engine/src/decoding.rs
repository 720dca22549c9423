//! How to choose tokens, and when to stop.

/// The most tokens a request may ask for. Twice the context of the default model: a larger number is a typing error,
/// and a model's own context ends the answer anyway.
pub const MAX_NEW_TOKENS: usize = 16_384;

/// The most stop strings of a request. The OpenAI API allows four; each costs a search a token.
pub const MAX_STOP_STRINGS: usize = 16;

/// The longest stop string, in bytes: as much text as this may be held back from a reader.
pub const MAX_STOP_BYTES: usize = 256;

/// The highest temperature: at 2, the OpenAI API's maximum, text is noise already.
pub const MAX_TEMPERATURE: f64 = 2.0;

/// The most beams. Each costs a row of the KV cache and of every forward pass; gains in the literature end well
/// below this.
pub const MAX_BEAMS: usize = 16;

/// Why a request's decoding options make no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodingError {
    /// Beyond 1 to [`MAX_NEW_TOKENS`].
    #[error("max_new_tokens is {found}, expected 1 to {limit}")]
    MaxNewTokens { found: usize, limit: usize },
    /// More than [`MAX_STOP_STRINGS`].
    #[error("{found} stop strings are given, at most {limit} are accepted")]
    StopStrings { found: usize, limit: usize },
    /// An empty stop string, or one longer than [`MAX_STOP_BYTES`].
    #[error("stop string {index} has {bytes} bytes, expected 1 to {limit}")]
    StopLength { index: usize, bytes: usize, limit: usize },
    /// Negative, above [`MAX_TEMPERATURE`] or not a number.
    #[error("temperature is {found}, expected 0 (the likeliest token) to {limit}")]
    Temperature { found: f64, limit: f64 },
    /// No share of a probability.
    #[error("top_p is {found}, expected more than 0 and at most 1")]
    TopP { found: f64 },
    /// Beyond 1 to [`MAX_BEAMS`].
    #[error("beams is {found}, expected 1 to {limit}")]
    Beams { found: usize, limit: usize },
    /// Two ways to choose at once.
    #[error("{beams} beams at temperature {temperature}: a beam search is for temperature 0")]
    BeamsWithTemperature { beams: usize, temperature: f64 },
}

/// Decoding options as they are asked for. The default is the likeliest token each time, for up to 256 tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodingOptions {
    /// The longest answer, in tokens; the end of the model's context may come before.
    pub max_new_tokens: usize,
    /// Strings that end the answer where they come up.
    pub stop: Vec<String>,
    /// 0 for the likeliest token; above, sampling.
    pub temperature: f64,
    /// Sample from this many of the likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Sample from the fewest tokens that have this probability together; 1 for all.
    pub top_p: f64,
    /// Sequences followed at once; 1 for no beam search.
    pub beams: usize,
    /// The same seed gives the same text. Drawn at random if absent.
    pub seed: Option<u64>,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            stop: Vec::new(),
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            beams: 1,
            seed: None,
        }
    }
}

/// Validated decoding options.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoding {
    max_new_tokens: usize,
    stop: Vec<String>,
    strategy: Strategy,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// The likeliest, each time.
    Greedy,
    /// Drawn from the `top_k` likeliest (0: all) and the fewest of these that have `top_p` of their probability, after
    /// the logits were divided by `temperature`.
    Sample {
        temperature: f64,
        top_k: usize,
        top_p: f64,
        seed: u64,
    },
    /// The likeliest sequence found by following this many at once, two or more.
    Beam { beams: usize },
}

impl Decoding {
    /// Checks the options.
    ///
    /// # Errors
    /// [`DecodingError`] names the option, its value and what it may be.
    pub fn new(options: DecodingOptions) -> Result<Self, DecodingError> {
        let DecodingOptions {
            max_new_tokens,
            stop,
            temperature,
            top_k,
            top_p,
            beams,
            seed,
        } = options;
        if !(1..=MAX_NEW_TOKENS).contains(&max_new_tokens) {
            return Err(DecodingError::MaxNewTokens {
                found: max_new_tokens,
                limit: MAX_NEW_TOKENS,
            });
        }
        if stop.len() > MAX_STOP_STRINGS {
            return Err(DecodingError::StopStrings {
                found: stop.len(),
                limit: MAX_STOP_STRINGS,
            });
        }
        if let Some((index, text)) = stop
            .iter()
            .enumerate()
            .find(|(_, text)| !(1..=MAX_STOP_BYTES).contains(&text.len()))
        {
            return Err(DecodingError::StopLength {
                index,
                bytes: text.len(),
                limit: MAX_STOP_BYTES,
            });
        }
        if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
            return Err(DecodingError::Temperature {
                found: temperature,
                limit: MAX_TEMPERATURE,
            });
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(DecodingError::TopP { found: top_p });
        }
        if !(1..=MAX_BEAMS).contains(&beams) {
            return Err(DecodingError::Beams {
                found: beams,
                limit: MAX_BEAMS,
            });
        }
        let strategy = match (beams, temperature > 0.0) {
            (1, false) => Strategy::Greedy,
            (1, true) => Strategy::Sample {
                temperature,
                top_k,
                top_p,
                seed: seed.unwrap_or_else(rand::random),
            },
            (beams, false) => Strategy::Beam { beams },
            (beams, true) => return Err(DecodingError::BeamsWithTemperature { beams, temperature }),
        };
        Ok(Self {
            max_new_tokens,
            stop,
            strategy,
        })
    }

    /// The longest answer, in tokens.
    pub fn max_new_tokens(&self) -> usize {
        self.max_new_tokens
    }

    /// Strings that end the answer.
    pub fn stop(&self) -> &[String] {
        &self.stop
    }

    /// How the next token is chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Sequences that are decoded side by side for one answer.
    pub(crate) fn sequences(&self) -> usize {
        match self.strategy {
            Strategy::Beam { beams } => beams,
            Strategy::Greedy | Strategy::Sample { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut DecodingOptions), expected: &str) {
        let mut options = DecodingOptions::default();
        change(&mut options);
        let found = Decoding::new(options).map_or_else(|error| error.to_string(), |ok| format!("{:?}", ok.strategy));
        assert_eq!(found, expected);
    }

    #[test]
    fn options_become_a_strategy() {
        check(|_| {}, "Greedy");
        // Without a temperature there is nothing to draw, whatever is asked for.
        check(
            |options| (options.top_k, options.top_p, options.seed) = (5, 0.5, Some(1)),
            "Greedy",
        );
        check(
            |options| (options.temperature, options.top_k, options.seed) = (0.7, 5, Some(9)),
            "Sample { temperature: 0.7, top_k: 5, top_p: 1.0, seed: 9 }",
        );
        check(|options| options.beams = 2, "Beam { beams: 2 }");
    }

    #[test]
    fn options_outside_their_limits_are_named() {
        check(
            |options| options.max_new_tokens = 0,
            "max_new_tokens is 0, expected 1 to 16384",
        );
        check(
            |options| options.max_new_tokens = 16_385,
            "max_new_tokens is 16385, expected 1 to 16384",
        );
        check(
            |options| options.stop = vec!["x".into(); 17],
            "17 stop strings are given, at most 16 are accepted",
        );
        check(
            |options| options.stop = vec!["x".into(), String::new()],
            "stop string 1 has 0 bytes, expected 1 to 256",
        );
        check(
            |options| options.stop = vec!["x".repeat(257)],
            "stop string 0 has 257 bytes, expected 1 to 256",
        );
        for (temperature, shown) in [(-0.1, "-0.1"), (2.5, "2.5"), (f64::NAN, "NaN")] {
            let expected = format!("temperature is {shown}, expected 0 (the likeliest token) to 2");
            check(|options| options.temperature = temperature, &expected);
        }
        for (top_p, shown) in [(0.0, "0"), (1.5, "1.5"), (f64::NAN, "NaN")] {
            check(
                |options| options.top_p = top_p,
                &format!("top_p is {shown}, expected more than 0 and at most 1"),
            );
        }
        check(|options| options.beams = 0, "beams is 0, expected 1 to 16");
        check(
            |options| (options.beams, options.temperature) = (2, 1.0),
            "2 beams at temperature 1: a beam search is for temperature 0",
        );
    }
}
