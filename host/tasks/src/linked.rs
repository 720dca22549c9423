//! A linker for each world, and the exports of all of them behind one set of functions.

use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Result, Store};

use crate::World;
use crate::bindings::{cpg, log, types, v1_0, v1_1};
use crate::host::CallState;

/// What tasks of each world get to import.
pub(crate) struct Linkers {
    v1_0: Linker<CallState>,
    v1_1: Linker<CallState>,
}

/// A component with everything that it imports.
pub(crate) struct Linked {
    instance: InstancePre<CallState>,
    handler: HandlerIndices,
    scorer: Option<v1_1::scorer::GuestIndices>,
    world: World,
}

enum HandlerIndices {
    V1_0(v1_0::handler::GuestIndices),
    V1_1(v1_1::handler::GuestIndices),
}

/// What one instance exports.
pub(crate) struct Exports {
    handler: Handler,
    scorer: Option<v1_1::scorer::Guest>,
}

enum Handler {
    V1_0(v1_0::handler::Guest),
    V1_1(v1_1::handler::Guest),
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> Result<Self> {
        Ok(Self {
            v1_0: linker(engine, World::V1_0)?,
            v1_1: linker(engine, World::V1_1)?,
        })
    }

    /// Links a component that was built for this world.
    pub(crate) fn link(&self, component: &Component, world: World) -> Result<Linked> {
        let (instance, handler) = match world {
            World::V1_0 => {
                let instance = self.v1_0.instantiate_pre(component)?;
                let handler = v1_0::handler::GuestIndices::new(&instance)?;
                (instance, HandlerIndices::V1_0(handler))
            }
            World::V1_1 => {
                let instance = self.v1_1.instantiate_pre(component)?;
                let handler = v1_1::handler::GuestIndices::new(&instance)?;
                (instance, HandlerIndices::V1_1(handler))
            }
        };
        let scorer = component.get_export_index(None, World::V1_1.interface("scorer"));
        let scorer = match (world, scorer) {
            (World::V1_1, Some(_)) => Some(v1_1::scorer::GuestIndices::new(&instance)?),
            _ => None,
        };
        Ok(Linked {
            instance,
            handler,
            scorer,
            world,
        })
    }
}

/// The imports under the names of this world. A world that changes one of these interfaces has bindings of its own for it.
fn linker(engine: &Engine, world: World) -> Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    let mut instance = linker.instance(&world.interface("types"))?;
    types::add_to_linker_instance::<_, HasSelf<CallState>>(&mut instance, |state| state)?;
    let mut instance = linker.instance(&world.interface("log"))?;
    log::add_to_linker_instance::<_, HasSelf<CallState>>(&mut instance, |state| state)?;
    let mut instance = linker.instance(&world.interface("cpg"))?;
    cpg::add_to_linker_instance::<_, HasSelf<CallState>>(&mut instance, |state| state)?;
    Ok(linker)
}

impl Linked {
    pub(crate) fn world(&self) -> World {
        self.world
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.instance.engine()
    }

    /// Bytes of its compiled code, with the data that the code begins with.
    pub(crate) fn image_bytes(&self) -> usize {
        let image = self.instance.component().image_range();
        image.end.addr() - image.start.addr()
    }

    /// Whether it exports metrics of its own. It may then still have none.
    pub(crate) fn is_measured(&self) -> bool {
        self.scorer.is_some()
    }

    pub(crate) fn instantiate(&self, store: &mut Store<CallState>) -> Result<Exports> {
        let instance = self.instance.instantiate(&mut *store)?;
        let handler = match &self.handler {
            HandlerIndices::V1_0(handler) => Handler::V1_0(handler.load(&mut *store, &instance)?),
            HandlerIndices::V1_1(handler) => Handler::V1_1(handler.load(&mut *store, &instance)?),
        };
        let scorer = self.scorer.as_ref();
        Ok(Exports {
            handler,
            scorer: scorer.map(|scorer| scorer.load(&mut *store, &instance)).transpose()?,
        })
    }
}

impl Exports {
    pub(crate) fn describe(&self, store: &mut Store<CallState>) -> Result<types::TaskInfo> {
        match &self.handler {
            Handler::V1_0(handler) => handler.call_describe(store),
            Handler::V1_1(handler) => handler.call_describe(store),
        }
    }

    pub(crate) fn prepare(
        &self,
        store: &mut Store<CallState>,
        request: &str,
    ) -> Result<Result<types::Prepared, types::Error>> {
        match &self.handler {
            Handler::V1_0(handler) => handler.call_prepare(store, request),
            Handler::V1_1(handler) => handler.call_prepare(store, request),
        }
    }

    pub(crate) fn finish(
        &self,
        store: &mut Store<CallState>,
        state: &[u8],
        generated: &str,
    ) -> Result<Result<types::Answer, types::Error>> {
        match &self.handler {
            Handler::V1_0(handler) => handler.call_finish(store, state, generated),
            Handler::V1_1(handler) => handler.call_finish(store, state, generated),
        }
    }

    pub(crate) fn metrics(&self, store: &mut Store<CallState>) -> Result<Vec<v1_1::scorer::Metric>> {
        match &self.scorer {
            Some(scorer) => scorer.call_metrics(store),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn score(
        &self,
        store: &mut Store<CallState>,
        state: &[u8],
        answer: &types::Answer,
        reference: &str,
    ) -> Result<Result<Vec<f64>, types::Error>> {
        match &self.scorer {
            Some(scorer) => scorer.call_score(store, state, answer, reference),
            None => Ok(Ok(Vec::new())),
        }
    }
}
