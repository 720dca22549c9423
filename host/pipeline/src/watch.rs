//! Looks after the adapters directory and the policy, and has both read again when something changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::adapters::Adapters;

/// A folder that is being copied changes all the time; one that was left alone for so long is probably whole. If it was not,
/// its next change is another reason to look.
const QUIET: Duration = Duration::from_millis(300);

/// Somebody who never stops writing (a log beside the bundles) cannot put the look off for longer than this.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// Some file systems report no changes, network mounts among them; a look costs the reading of the bundles.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The same where changes cannot be watched at all.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// A thread that reloads the adapters until this is dropped.
pub(crate) struct Watch {
    sender: Sender<Word>,
    thread: Option<JoinHandle<()>>,
}

enum Word {
    Changed,
    Stop,
}

impl Watch {
    pub(crate) fn start(adapters: Arc<Adapters>) -> std::io::Result<Self> {
        let (sender, words) = channel();
        // Before this returns, so that a change made right afterwards is seen.
        let first = watchers(&adapters, &sender);
        let again = sender.clone();
        let thread = std::thread::Builder::new()
            .name("adapters".to_owned())
            .spawn(move || look_after(&adapters, first, &again, &words))?;
        Ok(Self {
            sender,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(Word::Stop);
        if let Some(thread) = self.thread.take() {
            // It panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn look_after(adapters: &Adapters, first: notify::Result<Watchers>, sender: &Sender<Word>, words: &Receiver<Word>) {
    let mut complaint = String::new();
    let mut watching = first;
    loop {
        let patience = if watching.is_ok() { LOOK_EVERY } else { POLL_EVERY };
        match words.recv_timeout(patience) {
            Ok(Word::Changed) => {
                if !settle(words) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        // The directory of this name may be another one by now, and a watch stays with the old one. The new watch begins
        // before the look, so that nothing falls between them.
        watching = watchers(adapters, sender);
        let reloaded = adapters.reload();
        let trouble = match (&watching, reloaded) {
            (_, Err(error)) => format!("{error}; the adapters stay what they are"),
            (Err(error), Ok(())) => {
                format!("changes cannot be watched ({error}): looking every {POLL_EVERY:?} instead")
            }
            (Ok(_), Ok(())) => String::new(),
        };
        if trouble != complaint && !trouble.is_empty() {
            tracing::warn!("{trouble}");
        }
        complaint = trouble;
    }
}

/// Waits until nothing changes any more; false when it is time to stop.
fn settle(words: &Receiver<Word>) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < MOST_WAIT {
        match words.recv_timeout(QUIET) {
            Ok(Word::Changed) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}

/// Held while they watch.
type Watchers = Vec<RecommendedWatcher>;

fn watchers(adapters: &Adapters, sender: &Sender<Word>) -> notify::Result<Watchers> {
    let mut watchers = vec![watcher(adapters.dir(), RecursiveMode::Recursive, None, sender)?];
    if let Some(policy) = adapters.policy_file() {
        // Its folder: an editor puts another file in its place. What else happens there is of no interest.
        let folder = policy.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        watchers.push(watcher(
            folder,
            RecursiveMode::NonRecursive,
            policy.file_name(),
            sender,
        )?);
    }
    Ok(watchers)
}

/// Watches a folder, or one file in it.
fn watcher(
    dir: &Path,
    mode: RecursiveMode,
    file: Option<&OsStr>,
    sender: &Sender<Word>,
) -> notify::Result<RecommendedWatcher> {
    let sender = sender.clone();
    let file = file.map(OsStr::to_owned);
    let is_meant = move |path: &PathBuf| file.is_none() || path.file_name() == file.as_deref();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is no change; without this every look would be a reason for the next. A watcher in trouble is.
        if event.is_ok_and(|event| event.kind.is_access() || !event.paths.iter().any(&is_meant)) {
            return;
        }
        // The thread may have ended.
        let _ = sender.send(Word::Changed);
    })?;
    watcher.watch(dir, mode)?;
    Ok(watcher)
}
