//! Runs of `n` tokens or characters, as a multiset.

use std::collections::HashMap;
use std::hash::Hash;

/// How many runs of `n` a text of this length has.
pub(crate) fn count(length: usize, n: usize) -> usize {
    (length + 1).saturating_sub(n)
}

/// How many runs of `n` two texts share, each as often as it is in both.
pub(crate) fn shared<T: Eq + Hash>(a: &[T], b: &[T], n: usize) -> usize {
    let mut left: HashMap<&[T], usize> = HashMap::new();
    for run in b.windows(n) {
        *left.entry(run).or_default() += 1;
    }
    let mut shared = 0;
    for run in a.windows(n) {
        if let Some(left) = left.get_mut(run)
            && *left > 0
        {
            *left -= 1;
            shared += 1;
        }
    }
    shared
}
