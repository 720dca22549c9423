//! The order in which examples are seen: a function of the seed and the step alone, so that a run that goes on sees what it
//! would have seen.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// The sequence of examples of a run.
pub(crate) struct Order {
    seed: u64,
    epoch: Option<u64>,
    permutation: Vec<u32>,
}

impl Order {
    /// Over `count` examples, at least one.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        Self {
            seed,
            epoch: None,
            permutation: (0..count.max(1) as u32).collect(),
        }
    }

    /// The examples at `from..to` of the sequence. Each example comes once before any comes again.
    pub(crate) fn examples(&mut self, from: u64, to: u64) -> Vec<usize> {
        let count = self.permutation.len() as u64;
        (from..to)
            .map(|place| {
                self.shuffle(place / count);
                self.permutation[(place % count) as usize] as usize
            })
            .collect()
    }

    fn shuffle(&mut self, epoch: u64) {
        if self.epoch != Some(epoch) {
            // Seeds of neighbouring epochs and runs have to be far apart in all bits; seeding does that.
            let mut random = StdRng::seed_from_u64(self.seed.rotate_left(32) ^ epoch);
            self.permutation.sort_unstable();
            self.permutation.shuffle(&mut random);
            self.epoch = Some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn every_example_comes_once_an_epoch_in_an_order_of_its_own() {
        let mut order = Order::new(7, 10);
        let epochs: Vec<_> = (0..3)
            .map(|epoch| order.examples(10 * epoch, 10 * (epoch + 1)))
            .collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        assert_ne!(Order::new(8, 10).examples(0, 10), epochs[0]);
    }

    #[test]
    fn a_run_that_goes_on_sees_what_it_would_have_seen() {
        let mut whole = Order::new(7, 10);
        let all = whole.examples(0, 40);
        for from in [3, 10, 29] {
            assert_eq!(Order::new(7, 10).examples(from, 40), all[from as usize..]);
        }
    }
}
