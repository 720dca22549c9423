//! The host's log. Short lines, few of them, and never a user's code.

use crate::bindings::transducer::task::log::Level;

/// For the task's author.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Good to know.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something is odd.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something failed.
pub fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    crate::bindings::transducer::task::log::write(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
