//! The types and traits of every world, generated from its WIT.

/// `transducer:task@1.0.0`.
pub(crate) mod v1_0 {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/1.0.0",
        world: "task",
        imports: { default: trappable },
        with: { "transducer:task/cpg.graph": crate::graphs::GraphHandle },
    });

    pub(crate) use exports::transducer::task::handler;
}

/// `transducer:task@1.1.0`: what 1.0.0 has, under its own names, and the interface `scorer`.
pub(crate) mod v1_1 {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/1.1.0",
        world: "measured-task",
        imports: { default: trappable },
        with: {
            "transducer:task/cpg@1.1.0": crate::bindings::v1_0::transducer::task::cpg,
            "transducer:task/log@1.1.0": crate::bindings::v1_0::transducer::task::log,
            "transducer:task/types@1.1.0": crate::bindings::v1_0::transducer::task::types,
        },
    });

    pub(crate) use exports::transducer::task::{handler, scorer};
}

pub(crate) use v1_0::transducer::task::{cpg, log, types};
