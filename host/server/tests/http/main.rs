//! The routes, over real sockets, with a service that answers without a model.

mod metrics;
mod openai;
mod page;
mod support;
mod tasks;
