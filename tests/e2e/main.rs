//! The program as its users meet it: the real binary, the real model, the real plugins.

mod authoring;
mod bad_input;
mod bundles;
mod commands;
mod guides;
mod mining;
mod program;
mod serving;
mod training;
mod trust;
