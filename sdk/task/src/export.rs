//! From the trait that authors implement to the component's exports.

use std::marker::PhantomData;

use crate::bindings::exports::transducer::task::{handler, scorer};
use crate::bindings::transducer::task::types;
use crate::cpg::Graph;
use crate::prompt::Piece;
use crate::{Answer, Error, Judged, Metric, Prepared, Task, TaskInfo};

/// Exports a [`Task`] from a `cdylib`. Outside of WebAssembly it does nothing, so that tests run natively.
#[macro_export]
macro_rules! export {
    ($task:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::Exported<$task>;
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::TaskInfo = <$task as $crate::Task>::describe;
    };
}

/// Implements the generated trait for any [`Task`].
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Task> handler::Guest for Exported<T> {
    fn describe() -> types::TaskInfo {
        let TaskInfo {
            name,
            summary,
            languages,
            request_schema,
            answer_schema,
            examples,
        } = T::describe();
        let examples = examples
            .into_iter()
            .map(|(title, request, answer)| types::Example { title, request, answer });
        types::TaskInfo {
            name,
            summary,
            languages,
            request_schema,
            answer_schema,
            examples: examples.collect(),
        }
    }

    fn prepare(request: String) -> Result<types::Prepared, types::Error> {
        let prepared = parse_request::<T>(&request).and_then(T::prepare).map_err(raw_error)?;
        let state = serde_json::to_vec(&prepared.state);
        Ok(types::Prepared {
            state: state.map_err(|error| types::Error::Internal(format!("cannot write the state: {error}")))?,
            ..raw_prompt(prepared)
        })
    }

    fn finish(state: Vec<u8>, generated: String) -> Result<types::Answer, types::Error> {
        let Answer {
            text,
            data,
            diagnostics,
        } = T::finish(read_state::<T>(&state)?, &generated).map_err(raw_error)?;
        let data = serde_json::to_string(&data);
        Ok(types::Answer {
            text,
            data: data.map_err(|error| types::Error::Internal(format!("cannot write the data: {error}")))?,
            diagnostics,
        })
    }
}

impl<T: Task> scorer::Guest for Exported<T> {
    fn metrics() -> Vec<scorer::Metric> {
        let raw = |Metric { name, summary }: Metric| scorer::Metric { name, summary };
        T::metrics().into_iter().map(raw).collect()
    }

    fn score(state: Vec<u8>, answer: types::Answer, reference: String) -> Result<Vec<f64>, types::Error> {
        let codes = answer.diagnostics.into_iter().map(|diagnostic| diagnostic.code);
        let judged = Judged {
            answer: answer.text,
            reference,
            data: answer.data,
            codes: codes.collect(),
        };
        T::score(read_state::<T>(&state)?, &judged).map_err(raw_error)
    }
}

fn read_state<T: Task>(state: &[u8]) -> Result<T::State, types::Error> {
    serde_json::from_slice(state).map_err(|error| types::Error::Internal(format!("cannot read the state: {error}")))
}

/// A request as its task takes it, or an error that tells the user where the JSON is wrong.
pub(crate) fn parse_request<T: Task>(request: &str) -> Result<T::Request, Error> {
    serde_json::from_str(request).map_err(|error| Error::InvalidRequest(format!("the request is not valid: {error}")))
}

fn raw_error(error: Error) -> types::Error {
    match error {
        Error::InvalidRequest(message) => types::Error::InvalidRequest(message),
        Error::Internal(message) => types::Error::Internal(message),
    }
}

/// All but the state.
fn raw_prompt<State>(prepared: Prepared<State>) -> types::Prepared {
    let segments = prepared.prompt.segments.into_iter().map(|piece| match piece {
        Piece::Text(text) => types::Segment::Text(text),
        Piece::Code(graph) => types::Segment::Code(raw_graph(graph)),
    });
    types::Prepared {
        system: prepared.system,
        segments: segments.collect(),
        reply_start: prepared.reply_start,
        decoding: prepared.decoding.0,
        state: Vec::new(),
    }
}

#[cfg(target_arch = "wasm32")]
fn raw_graph(graph: Graph) -> crate::bindings::transducer::task::cpg::Graph {
    graph.0
}

#[cfg(not(target_arch = "wasm32"))]
fn raw_graph(_: Graph) -> crate::bindings::transducer::task::cpg::Graph {
    unreachable!("outside of WebAssembly there are no exports; `testing` calls the task itself")
}
