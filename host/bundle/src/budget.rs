//! What one call of a task may use.

use std::time::Duration;

/// Memory and time of one call of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All linear memories together, in bytes.
    pub memory: usize,
    /// How long it may compute.
    pub deadline: Duration,
}

impl Budget {
    /// For a bundle that asks for nothing. A task handles texts of a few hundred KB in well below a millisecond; a JavaScript
    /// engine starts at about 20 MB.
    pub const USUAL: Self = Self::new(64, 1_000);

    /// The most that a bundle may ask for. A task in a scripting language carries an interpreter; what needs more memory than
    /// this does more than pre- and post-processing. The time is what a person waits for without a sign of life.
    pub const MOST: Self = Self::new(256, 5_000);

    /// A budget in the manifest's units.
    #[must_use]
    pub const fn new(memory_mib: u32, deadline_ms: u32) -> Self {
        Self {
            memory: (memory_mib as usize) << 20,
            deadline: Duration::from_millis(deadline_ms as u64),
        }
    }

    /// The memory in MiB.
    #[must_use]
    pub const fn memory_mib(self) -> u32 {
        (self.memory >> 20) as u32
    }

    /// The time in milliseconds.
    #[must_use]
    pub const fn deadline_ms(self) -> u32 {
        self.deadline.as_millis() as u32
    }
}
