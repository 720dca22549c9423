//! The sandbox through its public door: hostile guests, the log, and the project's own tasks. One binary, since each
//! would link the whole runtime.

mod compiled;
mod components;
mod guest;
mod hostile;
mod log;
mod outputs;
mod scores;
#[path = "../../../../tests/hostile.rs"]
mod table;
mod tasks;
