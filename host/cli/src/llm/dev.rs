//! `transducer-host dev`: one bundle, served, and built again whenever its source changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use transducer_host::build::{self, COMPONENT};
use transducer_host::bundles::write_whole;
use transducer_pipeline::HostOptions;

use crate::options::ModelArgs;
use crate::serve::{HttpArgs, serve};

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The bundle's folder, with the task's source
    bundle: PathBuf,

    #[command(flatten)]
    http: HttpArgs,

    #[command(flatten)]
    model: ModelArgs,
}

const EXAMPLE: &str = "\
Example:
  transducer-host dev explain-briefly      # then open http://127.0.0.1:8077 and edit explain-briefly/src
A task that does not compile, or a bundle that a host would not take, leaves the one before serving.";

/// An editor writes several files, or one in several steps; after so long without a change they are probably whole.
const QUIET: Duration = Duration::from_millis(200);

/// Somebody who never stops writing cannot put a look off for longer than this.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// Some file systems report no changes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The manifest of a bundle.
const MANIFEST: &str = "adapter.toml";

/// What in a project's folder is made by programs.
const MADE: [&str; 3] = ["target", "node_modules", "generated"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder =
        fs::canonicalize(&args.bundle).with_context(|| format!("there is no folder {}", args.bundle.display()))?;
    ensure!(
        folder.join(MANIFEST).is_file(),
        "{} has no {MANIFEST}: `new task` makes a project with one",
        folder.display()
    );
    // What the server sees changes only when a build is whole.
    let served = tempfile::tempdir().context("cannot make a temporary folder")?;
    let model = args.model.options()?;
    let options = HostOptions {
        model: model.model,
        adapters: served.path().to_owned(),
        front_ends: model.front_ends,
        precision: model.precision,
        threads: model.threads,
        ..HostOptions::default()
    };
    let mut project = Project {
        folder,
        served: served.path().to_owned(),
        seen: Snapshot::new(),
    };
    // It ends with the program: there is nothing that it would have to put away.
    std::thread::Builder::new()
        .name("build".to_owned())
        .spawn(move || project.follow())
        .context("cannot start a thread")?;
    serve(&args.http, options)
}

/// Every file that is not made by programs, with its length and the time of its last change.
type Snapshot = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// A bundle's source, and the adapters directory that its bundle is put into.
struct Project {
    folder: PathBuf,
    served: PathBuf,
    seen: Snapshot,
}

impl Project {
    /// Brings the bundle up to date, now and after every change.
    fn follow(&mut self) {
        let (sender, changes) = channel();
        loop {
            // Before the look, so that nothing falls between them; new, since there may be new folders.
            let watcher = self.watcher(&sender);
            if let Err(error) = &watcher {
                tracing::warn!("changes cannot be watched ({error}): looking every {LOOK_EVERY:?} instead");
            }
            self.catch_up();
            wait(&changes);
        }
    }

    /// Builds and hands over what changed since the last time.
    fn catch_up(&mut self) {
        let now = self.snapshot();
        let changed = |path: &PathBuf| now.get(path) != self.seen.get(path);
        let changed: Vec<&PathBuf> = now
            .keys()
            .chain(self.seen.keys())
            .filter(|path| changed(path))
            .collect();
        if changed.is_empty() {
            return;
        }
        let source = changed.iter().any(|path| is_source(path));
        self.seen = now;
        let begun = Instant::now();
        let told = if source { self.build() } else { Ok(()) };
        match told.and_then(|()| self.hand_over()) {
            Ok(()) => eprintln!("built in {:.1} s", begun.elapsed().as_secs_f64()),
            Err(error) => eprintln!("error: {error:#}; what was built before goes on"),
        }
    }

    fn build(&self) -> Result<()> {
        eprintln!("building {}…", self.folder.display());
        build::build(&self.folder).map(drop)
    }

    /// Puts the bundle where the server looks, file by file: it waits for the last.
    fn hand_over(&self) -> Result<()> {
        let package = transducer_bundle::Bundle::open(&self.folder)?;
        let manifest = fs::read(self.folder.join(MANIFEST)).with_context(|| format!("cannot read {MANIFEST}"))?;
        let to = self.served.join(package.manifest.name.to_string());
        fs::create_dir_all(&to).with_context(|| format!("cannot make the folder {}", to.display()))?;
        write_whole(&to.join(&package.manifest.component), &package.component)?;
        if let (Some(name), Some(bytes)) = (&package.manifest.weights, &package.weights) {
            write_whole(&to.join(name), bytes)?;
        }
        write_whole(&to.join(MANIFEST), &manifest)
    }

    fn watcher(&self, sender: &Sender<()>) -> notify::Result<RecommendedWatcher> {
        let sender = sender.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change; without this every look would be a reason for the next.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // The thread may have ended.
                let _ = sender.send(());
            }
        })?;
        // Not what is made: a compiler's folder has thousands of files, and changes all the time.
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        for folder in children(&self.folder).filter(|path| path.is_dir()) {
            watcher.watch(&folder, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        let mut open = vec![self.folder.clone()];
        while let Some(folder) = open.pop() {
            for path in children(&folder) {
                let Ok(metadata) = path.symlink_metadata() else {
                    continue;
                };
                if metadata.is_dir() {
                    open.push(path);
                } else if path != self.folder.join(COMPONENT) {
                    let path = path.strip_prefix(&self.folder).unwrap_or(&path).to_owned();
                    snapshot.insert(path, (metadata.len(), metadata.modified().ok()));
                }
            }
        }
        snapshot
    }
}

/// What lies in a folder, but for what is hidden or made by programs.
fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_made = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".") || MADE.iter().any(|made| name == *made)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(move |path| !is_made(path))
}

/// Whether the component may depend on a file, by its path in the project. Documents, data and weights lie beside the manifest; further
/// down they may be what the source includes. Cargo writes its lock itself.
fn is_source(path: &Path) -> bool {
    let is_data = |extension| {
        ["safetensors", "md", "jsonl", "gz"]
            .iter()
            .any(|data| extension == *data)
    };
    let is_beside = path.parent() == Some(Path::new(""));
    path != Path::new("Cargo.lock") && !(is_beside && path.extension().is_some_and(is_data))
}

/// Returns once something changed and nothing changes any more, or when it is time to look.
fn wait(changes: &Receiver<()>) {
    if changes.recv_timeout(LOOK_EVERY) == Ok(()) {
        let begun = Instant::now();
        while begun.elapsed() < MOST_WAIT && changes.recv_timeout(QUIET) == Ok(()) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_may_depend_on() {
        for (path, expected) in [
            ("src/lib.rs", true),
            ("adapter.toml", true),
            ("src/prompt.md", true),
            ("src/words/list.gz", true),
            ("README.md", false),
            ("examples.jsonl", false),
            ("transducer.safetensors", false),
            ("Cargo.lock", false),
        ] {
            assert_eq!(is_source(Path::new(path)), expected, "{path}");
        }
    }
}
