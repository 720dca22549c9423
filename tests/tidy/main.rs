//! The invariants of `host/README.md`, as tests.

mod layout;
mod rooms;
