//! The routes, over real sockets, with a service that answers without a model.

mod access;
mod connections;
mod log;
mod metrics;
mod openai;
mod openapi;
mod page;
mod support;
mod tasks;
mod tls;
