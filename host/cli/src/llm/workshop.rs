//! What the commands that make and judge weights share: a place for prepared data, a bar.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use transducer_host::Stopped;
use transducer_host::bundles::CacheDir;
use transducer_pipeline::{Workpiece, Workshop};
use transducer_train::Examples;

/// Where prepared data is kept.
#[derive(clap::Args, Debug)]
pub(crate) struct CacheArgs {
    #[command(flatten)]
    dir: CacheDir,
}

impl CacheArgs {
    /// A data set made ready, under a bar.
    pub(crate) fn prepare(
        &self,
        workshop: &Workshop,
        piece: &Workpiece,
        data: &Path,
        stop: &AtomicBool,
    ) -> Result<Examples> {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        let mut ready = |rows| bar.set_message(format!("{}: {rows} rows prepared", data.display()));
        let train = &piece.manifest.train;
        let examples = Examples::prepare(workshop, piece, train, data, &self.dir.dir()?, stop, &mut ready);
        bar.finish_and_clear();
        let examples = examples?;
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped(format!("{} is not yet prepared", data.display())).into());
        }
        // Also where they were found ready: what is not seen is said each time.
        for (why, count) in examples.left_out() {
            eprintln!("{}: {count} rows left out: {why}", data.display());
        }
        Ok(examples)
    }
}

/// Numbers that the LLM computes with, by the names that `--precision` has: what is recorded can be asked for again.
pub(crate) fn precision(workshop: &Workshop) -> &str {
    match workshop.model().precision.as_str() {
        "float" => "f32",
        "bfloat16" => "bf16",
        other => other,
    }
}

/// A bar over `length` of something.
pub(crate) fn bar(length: u64, template: &str) -> Result<ProgressBar> {
    let bar = ProgressBar::new(length);
    bar.set_style(ProgressStyle::with_template(template)?);
    Ok(bar)
}
