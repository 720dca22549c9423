//! The program as its users meet it: the real binary, the real model, the real plugins.

mod authoring;
mod bad_input;
mod bundles;
mod cases;
mod commands;
mod config;
mod doctor;
mod families;
mod fleet;
mod guides;
mod hostile;
mod http;
mod mining;
mod openai;
mod program;
mod registry;
mod serving;
#[path = "../hostile.rs"]
mod table;
mod training;
mod trust;
