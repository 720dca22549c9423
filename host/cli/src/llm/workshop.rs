//! What the commands that make and judge weights share: a place for prepared data, a way to stop, a bar.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
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
            bail!("stopped before {} was prepared", data.display());
        }
        for (why, count) in examples.left_out() {
            eprintln!("{}: {count} rows left out: {why}", data.display());
        }
        Ok(examples)
    }
}

/// Raised by Ctrl-C and SIGTERM; the second time the program ends at once.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// A bar over `length` of something.
pub(crate) fn bar(length: u64, template: &str) -> Result<ProgressBar> {
    let bar = ProgressBar::new(length);
    bar.set_style(ProgressStyle::with_template(template)?);
    Ok(bar)
}
