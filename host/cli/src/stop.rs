//! Ctrl-C and SIGTERM, where a command works for long.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Exit status of a command that was stopped, as shells have it: 128 and the number of SIGINT.
pub const STOPPED: u8 = 130;

/// How a command ends that was stopped before all was done: no error, and no success that a script may build on. The text says what is
/// there of its work.
#[derive(Debug)]
pub struct Stopped(pub String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped: {}", self.0)
    }
}

impl std::error::Error for Stopped {}

/// Ends the process as one that was stopped, without what it does at its end: libtorch's threads would go on with what that takes away.
pub fn end_at_once() -> ! {
    // SAFETY: nothing of the process runs any more.
    unsafe { libc::_exit(STOPPED.into()) }
}

/// Raised by Ctrl-C and SIGTERM; the second time the program ends at once.
///
/// # Errors
/// Where signals cannot be listened for.
pub fn stop_flag() -> Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            end_at_once();
        }
        eprintln!("stopping; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(&STOP)
}
