//! How often to try again, altogether: so that servers that fail are not asked many times as much because they fail.

use std::sync::atomic::{AtomicI64, Ordering};

/// A request that is asked for the first time pays for a part of a retry, one over this: in the long run at most a tenth more is asked.
const PART: i64 = 10;

/// Retries that may be made, of all requests together.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// In parts of a retry.
    left: AtomicI64,
    most: i64,
}

impl RetryBudget {
    /// A budget that is full with so many retries: as many as may be lost with one endpoint.
    pub(crate) fn new(retries: usize) -> Self {
        let most = PART * i64::try_from(retries).unwrap_or(i64::MAX / PART);
        Self {
            left: AtomicI64::new(most),
            most,
        }
    }

    /// A request is asked for the first time.
    pub(crate) fn earn(&self) {
        let earn = |left: i64| (left < self.most).then_some(left + 1);
        // A full budget stays as it is.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Whether one may be asked again.
    pub(crate) fn spend(&self) -> bool {
        let spend = |left: i64| (left >= PART).then_some(left - PART);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::RetryBudget;

    #[test]
    fn retries_are_a_tenth_of_requests_once_the_reserve_is_spent() {
        let budget = RetryBudget::new(3);
        budget.earn();
        assert_eq!((0..5).filter(|_| budget.spend()).count(), 3);
        for _ in 0..25 {
            budget.earn();
        }
        assert_eq!((0..5).filter(|_| budget.spend()).count(), 2);
    }
}
