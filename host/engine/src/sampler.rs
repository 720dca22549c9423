//! Drawing a token from logits.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Draws tokens with a generator whose sequence is fixed by the seed, on every platform and in every version.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f64,
    top_k: usize,
    top_p: f64,
    rng: Xoshiro256PlusPlus,
}

impl Sampler {
    pub(crate) fn new(temperature: f64, top_k: usize, top_p: f64, seed: u64) -> Self {
        Self {
            temperature,
            top_k,
            top_p,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// The index of one of the logits, `None` if one of them is not finite or there is none.
    ///
    /// In the order of transformers: temperature, then the `top_k` likeliest, then the fewest of these whose
    /// probability is `top_p`; the token whose probability crosses `top_p` is among them.
    pub(crate) fn pick(&mut self, logits: &[f32]) -> Option<u32> {
        if logits.is_empty() || logits.iter().any(|logit| !logit.is_finite()) {
            return None;
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // By falling logit, and by index among equals, so that the order is the same every time.
        let likelier = |&a: &usize, &b: &usize| logits[b].total_cmp(&logits[a]).then(a.cmp(&b));
        if (1..order.len()).contains(&self.top_k) {
            order.select_nth_unstable_by(self.top_k - 1, likelier);
            order.truncate(self.top_k);
        }
        // Which are the likeliest only `top_p` asks; to sort a whole vocabulary takes longer than all the rest.
        if self.top_p < 1.0 {
            order.sort_unstable_by(likelier);
        }

        let highest = order
            .iter()
            .map(|&index| logits[index])
            .fold(f32::NEG_INFINITY, f32::max);
        let highest = f64::from(highest);
        let mut weights: Vec<f64> = order
            .iter()
            .map(|&index| ((f64::from(logits[index]) - highest) / self.temperature).exp())
            .collect();
        if self.top_p < 1.0 {
            let wanted = self.top_p * weights.iter().sum::<f64>();
            let mut sum = 0.0;
            let kept = weights.iter().take_while(|&&weight| {
                let before = sum;
                sum += weight;
                before < wanted
            });
            weights.truncate(kept.count().max(1));
        }

        let mut left = self.rng.random::<f64>() * weights.iter().sum::<f64>();
        let drawn = weights.iter().position(|&weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a trace after the last weight.
        Some(order[drawn.unwrap_or(weights.len() - 1)] as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::Sampler;

    /// Logits of the probabilities 0.4, 0.3, 0.2, 0.1, in another order.
    fn logits() -> [f32; 4] {
        [0.2_f32, 0.4, 0.1, 0.3].map(f32::ln)
    }

    /// How often each token is drawn in `count` draws.
    fn draws(temperature: f64, top_k: usize, top_p: f64, count: usize) -> [f64; 4] {
        let mut sampler = Sampler::new(temperature, top_k, top_p, 11);
        let mut seen = [0.0; 4];
        for _ in 0..count {
            seen[sampler.pick(&logits()).expect("finite logits") as usize] += 1.0;
        }
        seen
    }

    /// Pearson's chi-square against the expected probabilities, below the 99.9% quantile for the degrees of freedom.
    fn check(temperature: f64, top_k: usize, top_p: f64, expected: [f64; 4]) {
        /// Quantiles for 1, 2 and 3 degrees of freedom.
        const QUANTILES: [f64; 3] = [10.83, 13.82, 16.27];
        const COUNT: usize = 20_000;
        let seen = draws(temperature, top_k, top_p, COUNT);
        let mut chi_square = 0.0;
        for (seen, expected) in seen.into_iter().zip(expected) {
            if expected == 0.0 {
                assert_eq!(seen, 0.0);
            } else {
                let expected = expected * COUNT as f64;
                chi_square += (seen - expected).powi(2) / expected;
            }
        }
        let possible = expected.iter().filter(|&&expected| expected > 0.0).count();
        if possible > 1 {
            assert!(
                chi_square < QUANTILES[possible - 2],
                "chi-square {chi_square} of {seen:?}"
            );
        }
    }

    #[test]
    fn tokens_are_drawn_by_their_probability() {
        check(1.0, 0, 1.0, [0.2, 0.4, 0.1, 0.3]);
        // At half the temperature probabilities are squared: 4, 16, 1 and 9 of 30.
        check(0.5, 0, 1.0, [4.0 / 30.0, 16.0 / 30.0, 1.0 / 30.0, 9.0 / 30.0]);
        check(1.0, 2, 1.0, [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        // 0.4 is less than 0.6, 0.4 + 0.3 is not.
        check(1.0, 0, 0.6, [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        check(1.0, 0, 0.75, [2.0 / 9.0, 4.0 / 9.0, 0.0, 3.0 / 9.0]);
        // Of the two likeliest, the first has 4/7 already.
        check(1.0, 2, 0.5, [0.0, 1.0, 0.0, 0.0]);
        check(1.0, 1, 1.0, [0.0, 1.0, 0.0, 0.0]);
        check(0.001, 0, 1.0, [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_seed_decides() {
        let draw = |seed| {
            let mut sampler = Sampler::new(1.0, 0, 1.0, seed);
            (0..64).map(|_| sampler.pick(&logits())).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn nothing_is_drawn_from_what_is_no_number() {
        let mut sampler = Sampler::new(1.0, 0, 1.0, 0);
        assert_eq!(sampler.pick(&[0.0, f32::NAN]), None);
        assert_eq!(sampler.pick(&[0.0, f32::INFINITY]), None);
        assert_eq!(sampler.pick(&[]), None);
    }
}
