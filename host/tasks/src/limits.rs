//! What a task may use. Every number has its reason beside it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Largest component that is compiled, in bytes. Rust tasks are 0.1 MB; a JavaScript engine compiled to WebAssembly is
/// about 10 MB. Compilation costs about a second a MB on one core, and cannot be interrupted.
const MAX_COMPONENT_BYTES: usize = 16 << 20;

/// Most local variables of all functions of a component together. Eight bytes of a component can ask for 50,000, and each takes about
/// 0.1 µs to compile, whether it is used or not: this is a tenth of a second. A Rust task has some 1,200.
pub(crate) const MAX_LOCALS: u64 = 1 << 20;

/// All linear memories of one call together, in bytes. A task handles texts of a few hundred KB; a JavaScript engine
/// starts at about 20 MB.
const MAX_MEMORY_BYTES: usize = 64 << 20;

/// All tables of one call together, in elements. A table holds a program's indirect functions: a Rust task has under
/// 1,000, a JavaScript engine under 20,000.
const MAX_TABLE_ELEMENTS: usize = 32_768;

/// Core instances, tables and memories of one component. A component made from one core module has three instances
/// (itself and two shims) and two tables; linking a few modules together multiplies that.
const MAX_INSTANCES: usize = 32;

/// Stack of the guest, in bytes. WebAssembly frames are small: this is thousands of calls deep, and leaves most of a
/// thread's usual 2 MiB to the host.
const MAX_STACK_BYTES: usize = 512 << 10;

/// Wall-clock time of one call. `prepare` and `finish` take well below a millisecond, and most of that is the front
/// end; a second is out of reach of an honest task even on a machine that is busy with generating.
const MAX_CALL_TIME: Duration = Duration::from_secs(1);

/// Largest request, in bytes of JSON. Far more than fits the context window of the LLM.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Largest text that a task may hand to the host in one piece, be it a prompt, an answer or an argument, in bytes.
/// Four times the largest request leaves room for a prompt that repeats it.
const MAX_OUTPUT_BYTES: usize = 4 << 20;

/// Most segments in a prompt. A task has a handful; hundreds are a prompt with many examples.
const MAX_SEGMENTS: usize = 1024;

/// Largest `prepared.state`, in bytes. It is kept as long as the LLM generates.
const MAX_STATE_BYTES: usize = 1 << 20;

/// Most diagnostics in an answer. A person reads a few.
const MAX_DIAGNOSTICS: usize = 256;

/// Most metrics of a task. A person compares a few.
pub(crate) const MAX_METRICS: usize = 32;

/// Longest name of a metric, in bytes: it is a column's head.
pub(crate) const MAX_METRIC_NAME: usize = 32;

/// Longest reply that a task may ask for, in tokens. Half the context window of the default LLM.
const MAX_NEW_TOKENS: u32 = 4096;

/// Lines that one call may log, enough to debug with.
const MAX_LOG_LINES: usize = 100;

/// Bytes that one call may log.
const MAX_LOG_BYTES: usize = 16 << 10;

/// Calls of `cpg.parse` in one call. A prompt with examples parses each of them.
const MAX_PARSE_CALLS: usize = 64;

/// Source text that one call may have parsed, all together, in bytes. A front end is not interrupted by the deadline:
/// it parses about 10 MB a second.
const MAX_PARSE_BYTES: usize = 1 << 20;

/// Most items in a list that a graph gives. Above what the WIT promises, and more than a method that fits a context
/// window has of anything.
pub(crate) const MAX_QUERY_ITEMS: usize = 4096;

/// Bytes after which a name or text that a graph gives is cut. A node's text may be the whole file.
pub(crate) const MAX_QUERY_TEXT: usize = 4096;

/// Bytes after which a list that a graph gives ends: nested nodes repeat each other's text.
pub(crate) const MAX_QUERY_BYTES: usize = 1 << 20;

/// Most stop strings, and bytes of each: every generated token is compared with all of them.
pub(crate) const MAX_STOP_STRINGS: usize = 16;
/// See [`MAX_STOP_STRINGS`].
pub(crate) const MAX_STOP_BYTES: usize = 256;

/// Most beams of a beam search: each costs as much as a request of its own.
pub(crate) const MAX_BEAMS: u32 = 16;

/// Bytes after which one line of the log is cut.
pub(crate) const MAX_LOG_LINE_BYTES: usize = 1024;

/// How often the clock behind the deadlines ticks. A deadline is exact to one tick; a hundred ticks a second cost
/// nothing that can be measured.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How many times as long as it may compute a call may take.
pub(crate) const PATIENCE: u32 = 10;

/// The budget of a task. The defaults are generous for an honest task and cheap for the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskLimits {
    /// Largest component, in bytes.
    pub component_bytes: usize,
    /// All linear memories of one call together, in bytes.
    pub memory_bytes: usize,
    /// All tables of one call together, in elements.
    pub table_elements: usize,
    /// Core instances, and as many tables and memories, of one call.
    pub instances: usize,
    /// Stack of the guest, in bytes. Set for the whole engine: other values in
    /// [`compile_with`](crate::TaskEngine::compile_with) have no effect.
    pub stack_bytes: usize,
    /// Time that a thread may compute for one call, without what the host parses for it (see `parse_bytes`). On the clock a call may
    /// take [`PATIENCE`] times as long, as on a machine that has other things to do, too.
    pub call_time: Duration,
    /// Largest request, in bytes.
    pub request_bytes: usize,
    /// Largest prompt, answer or argument of an import, in bytes.
    pub output_bytes: usize,
    /// Most segments in a prompt.
    pub segments: usize,
    /// Largest state from `prepare` to `finish`, in bytes.
    pub state_bytes: usize,
    /// Most diagnostics in an answer.
    pub diagnostics: usize,
    /// Longest reply that a task may ask for, in tokens.
    pub new_tokens: u32,
    /// Lines that one call may log. Further lines are dropped and counted.
    pub log_lines: usize,
    /// Bytes that one call may log. Further lines are dropped and counted.
    pub log_bytes: usize,
    /// Calls of `cpg.parse` in one call. Further calls fail in the guest, which may go on without.
    pub parse_calls: usize,
    /// Bytes of source that one call may have parsed. Further calls fail in the guest, which may go on without.
    pub parse_bytes: usize,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            component_bytes: MAX_COMPONENT_BYTES,
            memory_bytes: MAX_MEMORY_BYTES,
            table_elements: MAX_TABLE_ELEMENTS,
            instances: MAX_INSTANCES,
            stack_bytes: MAX_STACK_BYTES,
            call_time: MAX_CALL_TIME,
            request_bytes: MAX_REQUEST_BYTES,
            output_bytes: MAX_OUTPUT_BYTES,
            segments: MAX_SEGMENTS,
            state_bytes: MAX_STATE_BYTES,
            diagnostics: MAX_DIAGNOSTICS,
            new_tokens: MAX_NEW_TOKENS,
            log_lines: MAX_LOG_LINES,
            log_bytes: MAX_LOG_BYTES,
            parse_calls: MAX_PARSE_CALLS,
            parse_bytes: MAX_PARSE_BYTES,
        }
    }
}

/// The longest prefix of `text` that is at most `limit` bytes and ends at a character boundary.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// How long this thread has computed.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
