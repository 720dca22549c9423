//! The world's types and traits, generated from the WIT.

wasmtime::component::bindgen!({
    path: "../../sdk/wit/1.0.0",
    world: "task",
    imports: { default: trappable },
    with: { "transducer:task/cpg.graph": crate::graphs::GraphHandle },
});

pub(crate) use exports::transducer::task::handler;
pub(crate) use transducer::task::{cpg, log, types};
