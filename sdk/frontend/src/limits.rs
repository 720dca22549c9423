//! How much a front end may spend on one source.

use std::time::{Duration, Instant};

use abi_stable::StableAbi;
use transducer_cpg::passes::Budget;

use crate::ParseError;

/// Cooperative limits of one [`FrontEnd::parse`](crate::FrontEnd::parse): the front end looks at them as it goes.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Bytes of source; a longer one is refused with [`ParseError::TooLong`].
    pub max_bytes: u32,
    /// Nodes of the graph; beyond it the rest of the source is left out, with a diagnostic.
    pub max_nodes: u32,
    /// Edges of the graph; an edge kind that would go beyond it is left out, with a diagnostic.
    pub max_edges: u32,
    /// Milliseconds of wall clock; beyond it edge kinds are left out, or the parse fails with [`ParseError::TimedOut`].
    pub max_millis: u32,
}

impl ParseLimits {
    /// Limits for code that a person wrote.
    pub const DEFAULT: Self = Self {
        // The largest hand-written files of the JDK and Elasticsearch are below 1 MB; four times that leaves room.
        max_bytes: 4 << 20,
        // Real code has about one node in five bytes; the densest (`a+a+a`) one in one. 24 bytes each on the wire.
        max_nodes: 4 << 20,
        // Real code has about six edges a node over all kinds. 16 bytes each on the wire: at most 256 MB.
        max_edges: 16 << 20,
        // 4 MB parse in under two seconds on one slow core; ten times a real file's time is a runaway.
        max_millis: 20_000,
    };

    /// Refuses a source that is too long.
    ///
    /// # Errors
    /// [`ParseError::TooLong`].
    pub fn check_length(&self, bytes: usize) -> Result<(), ParseError> {
        if bytes > self.max_bytes as usize {
            return Err(ParseError::TooLong {
                bytes: bytes as u64,
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    /// The same limits for the passes of [`transducer_cpg::passes`], the clock starting now.
    pub fn budget(&self) -> Budget {
        Budget {
            max_nodes: self.max_nodes as usize,
            max_edges: self.max_edges as usize,
            deadline: Instant::now().checked_add(Duration::from_millis(u64::from(self.max_millis))),
        }
    }
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
