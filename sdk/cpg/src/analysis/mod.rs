//! Algorithms over bare integer graphs.
