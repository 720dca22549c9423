//! Rotary position embedding (Su et al., arXiv 2104.09864) and the scalings that stretch it to longer contexts.

use std::f64::consts::TAU;

use tch::{Device, Kind, Tensor};

use crate::BackboneError;

/// How positions turn queries and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies: pair `i` of a head of width `d` turns by `theta^(-2i/d)` a token.
    pub theta: f64,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
}

/// How the frequencies are stretched beyond the context that the model was first trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// The base grows with the sequence once it passes `original_context` (dynamic NTK). The frequencies of one
    /// sequence never change: they follow the length that it may reach, its cache's capacity.
    Dynamic {
        /// The stretch at `original_context`.
        factor: f64,
        /// Length up to which nothing is scaled.
        original_context: usize,
    },
    /// Llama 3.1's.
    Llama3(Llama3),
    /// YaRN (arXiv 2309.00071).
    Yarn(Yarn),
    /// Each pair's frequency divided by its own number, as GGUF files store Llama 3.1's scaling.
    Divisors(Vec<f64>),
}

/// Llama 3.1's scaling: long wavelengths are divided by `factor`, short ones kept, those between blended.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama3 {
    /// Divisor of the low frequencies.
    pub factor: f64,
    /// Wavelengths above `original_context / low_freq_factor` are long.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_context / high_freq_factor` are short.
    pub high_freq_factor: f64,
    /// Context before scaling.
    pub original_context: usize,
}

/// YaRN: like [`Llama3`], blended over the pair's index, and with a temperature for attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// Divisor of the low frequencies.
    pub factor: f64,
    /// Context before scaling.
    pub original_context: usize,
    /// Factor of cosine and sine; by default `0.1 ln(factor) + 1`.
    pub attention_factor: Option<f64>,
    /// Turns over `original_context` above which a frequency is kept.
    pub beta_fast: f64,
    /// Turns over `original_context` below which a frequency is divided.
    pub beta_slow: f64,
    /// Whether the two borders are rounded to whole pairs.
    pub truncate: bool,
}

impl Yarn {
    /// The paper's settings for Llama models with this factor; `original_context` is still to be set.
    pub(crate) fn with_factor(factor: f64) -> Self {
        Self {
            factor,
            original_context: 0,
            attention_factor: None,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
        }
    }

    /// Tokens that the stretched context has.
    pub(crate) fn context(&self) -> usize {
        (self.original_context as f64 * self.factor) as usize
    }

    fn frequencies(&self, theta: f64, plain: &[f64]) -> Vec<f64> {
        let width = (2 * plain.len()) as f64;
        // The (fractional) pair that makes `turns` turns over the original context.
        let pair = |turns: f64| width * (self.original_context as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (pair(self.beta_fast), pair(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(width - 1.0));
        // As the reference implementation: no division by zero where both borders meet.
        let span = if high != low { high - low } else { 0.001 };
        plain
            .iter()
            .enumerate()
            .map(|(index, frequency)| {
                let divided = ((index as f64 - low) / span).clamp(0.0, 1.0);
                frequency / self.factor * divided + frequency * (1.0 - divided)
            })
            .collect()
    }
}

impl Llama3 {
    fn frequency(&self, plain: f64) -> f64 {
        let wavelengths = self.original_context as f64 * plain / TAU; // in the original context
        let kept =
            ((wavelengths - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)).clamp(0.0, 1.0);
        plain / self.factor * (1.0 - kept) + plain * kept
    }
}

impl Rope {
    /// Checks the numbers, as (what, found, expected).
    pub(crate) fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        const FACTOR: &str = "a number from 1 to 1024";
        let factor_in_range = |factor: f64| (1.0..=1024.0).contains(&factor);
        let context_in_range = |context: usize| context > 0 && context <= 1 << 24;
        if !(self.theta > 1.0 && self.theta <= 1e12) {
            return Err(("the RoPE base", self.theta.to_string(), "above 1, at most 1e12"));
        }
        let (factor, context) = match &self.scaling {
            RopeScaling::None => return Ok(()),
            RopeScaling::Divisors(divisors) => {
                return match divisors.iter().find(|&&divisor| !factor_in_range(divisor)) {
                    Some(divisor) => Err(("a divisor in rope_freqs.weight", divisor.to_string(), FACTOR)),
                    None => Ok(()),
                };
            }
            RopeScaling::Linear { factor } => (*factor, 1),
            RopeScaling::Dynamic {
                factor,
                original_context,
            } => (*factor, *original_context),
            RopeScaling::Llama3(llama3) => {
                if !(llama3.low_freq_factor > 0.0 && llama3.high_freq_factor > llama3.low_freq_factor) {
                    let found = format!("{} to {}", llama3.low_freq_factor, llama3.high_freq_factor);
                    return Err((
                        "the RoPE scaling's low to high frequency factor",
                        found,
                        "positive and rising",
                    ));
                }
                (llama3.factor, llama3.original_context)
            }
            RopeScaling::Yarn(yarn) => {
                if !(yarn.beta_slow > 0.0 && yarn.beta_fast > yarn.beta_slow && yarn.beta_fast.is_finite()) {
                    let found = format!("{} to {}", yarn.beta_slow, yarn.beta_fast);
                    return Err((
                        "the RoPE scaling's beta_slow to beta_fast",
                        found,
                        "positive and rising",
                    ));
                }
                if !yarn
                    .attention_factor
                    .is_none_or(|factor| factor > 0.0 && factor.is_finite())
                {
                    let found = format!("{:?}", yarn.attention_factor);
                    return Err(("the RoPE scaling's attention factor", found, "a positive number"));
                }
                (yarn.factor, yarn.original_context)
            }
        };
        if !factor_in_range(factor) {
            return Err(("the RoPE scaling's factor", factor.to_string(), FACTOR));
        }
        if !context_in_range(context) {
            return Err((
                "the RoPE scaling's original context",
                context.to_string(),
                "1 to 16777216",
            ));
        }
        Ok(())
    }

    /// Angle a token of each of the `head_dim / 2` pairs, for a sequence that may reach `length` tokens.
    pub(crate) fn frequencies(&self, head_dim: usize, length: usize) -> Vec<f64> {
        let width = head_dim as f64;
        let plain = |theta: f64| (0..head_dim / 2).map(move |pair| theta.powf(-2.0 * pair as f64 / width));
        match &self.scaling {
            RopeScaling::None => plain(self.theta).collect(),
            RopeScaling::Linear { factor } => plain(self.theta).map(|frequency| frequency / factor).collect(),
            RopeScaling::Dynamic {
                factor,
                original_context,
            } => {
                let stretch = (length as f64 / *original_context as f64).max(1.0);
                // A head of width 2 has one pair, of frequency 1 whatever the base.
                let power = if head_dim > 2 { width / (width - 2.0) } else { 0.0 };
                plain(self.theta * (factor * stretch - (factor - 1.0)).powf(power)).collect()
            }
            RopeScaling::Llama3(llama3) => plain(self.theta).map(|frequency| llama3.frequency(frequency)).collect(),
            RopeScaling::Yarn(yarn) => yarn.frequencies(self.theta, &plain(self.theta).collect::<Vec<_>>()),
            RopeScaling::Divisors(divisors) => plain(self.theta)
                .zip(divisors)
                .map(|(frequency, divisor)| frequency / divisor)
                .collect(),
        }
    }

    /// Factor of cosine and sine.
    fn attention_factor(&self) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor.unwrap_or_else(|| 0.1 * yarn.factor.ln() + 1.0),
            _ => 1.0,
        }
    }
}

/// Cosines and sines of the positions `0..length`.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    /// `[length, 1, head_dim]`, or `[batch, length, 1, head_dim]` where each sequence has positions of its own.
    cos: Tensor,
    /// Likewise, the first half negated.
    signed_sin: Tensor,
}

impl RotaryTable {
    pub(crate) fn new(
        rope: &Rope,
        head_dim: usize,
        length: usize,
        place: (Kind, Device),
    ) -> Result<Self, BackboneError> {
        // Angles in f32, as in training: at far positions the lost digits are part of what the model learned.
        let frequencies = rope
            .frequencies(head_dim, length)
            .into_iter()
            .map(|frequency| frequency as f32)
            .collect::<Vec<_>>();
        let positions = Tensor::f_arange(length as i64, (Kind::Float, Device::Cpu))?;
        let half = positions.f_outer(&Tensor::f_from_slice(&frequencies)?)?;
        let angles = Tensor::f_cat(&[&half, &half], -1)?.f_unsqueeze(1)?;
        let factor = rope.attention_factor();
        let sign = Tensor::f_cat(&[-half.f_ones_like()?, half.f_ones_like()?], -1)?.f_unsqueeze(1)?;
        let cos = angles.f_cos()?.f_mul_scalar(factor)?;
        let signed_sin = angles.f_sin()?.f_mul_scalar(factor)?.f_mul(&sign)?;
        let (kind, device) = place;
        Ok(Self {
            cos: cos.f_to_kind(kind)?.f_to_device(device)?,
            signed_sin: signed_sin.f_to_kind(kind)?.f_to_device(device)?,
        })
    }

    /// Where the table is.
    pub(crate) fn device(&self) -> Device {
        self.cos.device()
    }

    /// The cosines, and the sines with their signs.
    pub(crate) fn tables(&self) -> (&Tensor, &Tensor) {
        (&self.cos, &self.signed_sin)
    }

    /// The rows of `tokens` positions from `start` on.
    pub(crate) fn narrow(&self, start: i64, tokens: i64) -> Result<Self, BackboneError> {
        Ok(Self {
            cos: self.cos.f_narrow(0, start, tokens)?,
            signed_sin: self.signed_sin.f_narrow(0, start, tokens)?,
        })
    }

    /// The rows of these positions, `[batch, tokens]`.
    pub(crate) fn pick(&self, positions: &Tensor) -> Result<Self, BackboneError> {
        let (batch, tokens) = (positions.size()[0], positions.size()[1]);
        let rows = positions.f_flatten(0, 1)?;
        let pick = |table: &Tensor| table.f_index_select(0, &rows)?.f_view([batch, tokens, 1, -1]);
        Ok(Self {
            cos: pick(&self.cos)?,
            signed_sin: pick(&self.signed_sin)?,
        })
    }

    /// One row of each table, for a batch whose sequences have a table each: `[batch, 1, 1, head_dim]`.
    pub(crate) fn stack(rows: &[Self]) -> Result<Self, BackboneError> {
        let stack = |part: fn(&Self) -> &Tensor| Tensor::f_stack(&rows.iter().map(part).collect::<Vec<_>>(), 0);
        Ok(Self {
            cos: stack(|row| &row.cos)?,
            signed_sin: stack(|row| &row.signed_sin)?,
        })
    }

    /// Turns `heads`, `[batch, tokens, heads, head_dim]`, whose pairs are the places `i` and `i + head_dim / 2`.
    pub(crate) fn turn(&self, heads: &Tensor) -> Result<Tensor, BackboneError> {
        let half = heads.size()[3] / 2;
        let swapped = heads.f_roll([half], [-1])?;
        Ok(heads.f_mul(&self.cos)?.f_addcmul(&swapped, &self.signed_sin)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Llama3, Rope, RopeScaling};

    /// GGUF files hold the quotient of the plain and the scaled frequencies (`rope_freqs.weight`).
    #[test]
    fn divisors_are_llama_3_scaling_in_another_form() {
        let llama3 = Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        let frequencies = |scaling| {
            Rope {
                theta: 500_000.0,
                scaling,
            }
            .frequencies(128, 1)
        };
        let plain = frequencies(RopeScaling::None);
        let scaled = frequencies(RopeScaling::Llama3(llama3));
        let divisors = plain
            .iter()
            .zip(&scaled)
            .map(|(plain, scaled)| plain / scaled)
            .collect::<Vec<_>>();
        // Short wavelengths are kept, long ones divided by the factor.
        assert!((divisors[0] - 1.0).abs() < 1e-12 && (divisors[63] - 8.0).abs() < 1e-12);
        let divided = frequencies(RopeScaling::Divisors(divisors));
        assert!(divided.iter().zip(&scaled).all(|(a, b)| (a / b - 1.0).abs() < 1e-12));
    }
}
