//! The invariants of `host/README.md`, as tests.

mod frozen;
mod layout;
mod rooms;
