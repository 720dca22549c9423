//! A task alone, in the sandbox and with the front ends, for those who write and test one: no LLM, no weights.

use std::path::Path;
use std::sync::Arc;

use transducer_bundle::{Bundle, ValidatedManifest};
use transducer_frontends::FrontEnds;
use transducer_tasks::{Answer, Prepared, Task, TaskEngine, TaskError, TaskLimits};

use crate::AdapterError;
use crate::adapter;
use crate::parser::Parser;

/// A bundle's task, as a host would run it.
pub struct Rehearsal {
    manifest: ValidatedManifest,
    task: Task,
    front_ends: Arc<FrontEnds>,
}

impl Rehearsal {
    /// Opens a bundle and checks what is no matter of the LLM: its form, its languages, its task.
    ///
    /// # Errors
    /// [`AdapterError`].
    pub fn open(path: &Path, front_ends: Arc<FrontEnds>) -> Result<Self, AdapterError> {
        let Bundle {
            manifest, component, ..
        } = Bundle::open(path)?;
        adapter::check_languages(&manifest, &front_ends)?;
        let engine = TaskEngine::new(TaskLimits::default())?;
        Ok(Self {
            task: adapter::compile(&manifest, &component, &engine)?,
            manifest,
            front_ends,
        })
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &ValidatedManifest {
        &self.manifest
    }

    /// From a request, a JSON text, to a prompt.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn prepare(&self, request: &str) -> Result<Prepared, TaskError> {
        self.task.prepare(request, self.parser())
    }

    /// From a text, as the LLM would write it, to an answer. `state` is that of the prompt.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn finish(&self, state: &[u8], generated: &str) -> Result<Answer, TaskError> {
        self.task.finish(state, generated)
    }

    /// What an answer is worth beside a reference, by each of the task's own metrics.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn score(&self, state: &[u8], answer: &Answer, reference: &str) -> Result<Vec<(String, f64)>, TaskError> {
        let scores = self.task.score(state, answer, reference, self.parser())?;
        let names = self.task.info().metrics.iter().map(|metric| metric.name.clone());
        Ok(names.zip(scores).collect())
    }

    fn parser(&self) -> Arc<Parser> {
        Arc::new(Parser::new(self.front_ends.clone()))
    }
}
