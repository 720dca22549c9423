//! Threads that do the pieces of one loop after another together.
//!
//! A step is some hundreds of loops of ten microseconds or so. Rayon's threads fall asleep between two of them, and to wake one takes as
//! long as the loop: a tenth of a step was spent so. These look out for the next loop for a while before they sleep.

use std::cell::{RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::cores;

/// How long a thread looks out for the next loop before it sleeps: longer than what lies between two of the same step.
const PATIENCE: Duration = Duration::from_micros(200);

/// How often a thread looks before it asks for the time, or gives way to others.
const LOOKS: usize = 256;

/// In [`Shared::state`]: threads may join the loop.
const OPEN: usize = 1;

/// In [`Shared::state`]: one thread that has joined it. There are fewer than 2^15.
const JOINED: usize = 1 << 1;

/// In [`Shared::state`]: the number of the loop.
const LOOP: usize = 1 << 16;

thread_local! {
    /// As many threads as libtorch uses for an operation of this one; one that is of another's team has none of its own.
    static TEAM: RefCell<Option<Team>> = const { RefCell::new(None) };
}

/// Does all items, this thread and the others of its team, each the next that nobody has begun. Returns once all are done. A loop
/// within a loop is done by the thread that comes upon it.
pub(crate) fn each<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    TEAM.with(|team| match team.try_borrow_mut() {
        Ok(mut team) => team.get_or_insert_with(Team::of_this_thread).each(items, work),
        Err(_) => items.into_iter().for_each(work),
    });
}

/// Makes the team of this thread, unless it has one: before a loop waits for it.
pub(crate) fn gather() {
    TEAM.with_borrow_mut(|team| {
        team.get_or_insert_with(Team::of_this_thread);
    });
}

/// Makes the team of this thread anew, of as many threads as there are cores, this one and each of the others bound to one of them.
/// `false` where the system refuses to bind this one, as it then does the others.
pub(crate) fn gather_on(cores: &[usize]) -> bool {
    TEAM.with_borrow_mut(|team| {
        // The others are made first, so that they begin unbound.
        *team = Some(Team::new(cores.len(), cores));
        cores.first().is_some_and(|&core| cores::bind_to(core))
    })
}

/// [`each`] where there is much to do; else this thread alone.
pub(crate) fn each_if<T: Send>(much: bool, items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    if much {
        each(items, work);
    } else {
        items.into_iter().for_each(work);
    }
}

/// The threads beside the one that owns it.
struct Team {
    shared: Arc<Shared>,
    others: Vec<JoinHandle<()>>,
}

struct Shared {
    /// [`LOOP`], [`JOINED`] and [`OPEN`].
    state: AtomicUsize,
    /// What one that joins the loop does. Written while it is closed and nobody is in it, and read by those who have joined it.
    run: UnsafeCell<Option<Run>>,
    sleeping: Mutex<Vec<Thread>>,
    /// Whether there is someone in `sleeping`, or about to be.
    anyone_sleeps: AtomicUsize,
    stop: AtomicBool,
}

/// Begins and does items until there are none.
type Run = *const (dyn Fn() + Sync);

// SAFETY: `run` is written and read as it says; what it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: likewise.
unsafe impl Send for Shared {}

impl Team {
    fn of_this_thread() -> Self {
        Self::new(usize::try_from(tch::get_num_threads()).unwrap_or(1), &[])
    }

    /// A team of so many threads, with the one that calls it. Where the system has no more threads to give, of fewer. The others are bound
    /// to these cores, as far as there are any for them.
    fn new(threads: usize, cores: &[usize]) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            run: UnsafeCell::new(None),
            sleeping: Mutex::default(),
            anyone_sleeps: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let others = (1..threads).map_while(|index| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("llm-{index}"));
            let core = cores.get(index).copied();
            let work = move || {
                if let Some(core) = core {
                    cores::bind_to(core);
                }
                shared.help();
            };
            thread.spawn(work).ok()
        });
        Self {
            others: others.collect(),
            shared,
        }
    }

    fn each<T: Send>(&mut self, items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
        let items: Vec<Item<T>> = items.into_iter().map(Item::new).collect();
        if items.len() < 2 || self.others.is_empty() {
            return items.into_iter().filter_map(Item::into_inner).for_each(work);
        }
        let next = AtomicUsize::new(0);
        let panic = Mutex::new(None);
        let run = || {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                // SAFETY: only one thread gets this number, and it comes here once.
                let item = unsafe { item.take() };
                if let Some(item) = item
                    && let Err(why) = catch_unwind(AssertUnwindSafe(|| work(item)))
                {
                    *panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                }
            }
        };
        self.shared.open(&run);
        run();
        self.shared.close();
        if let Some(why) = panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(why);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake();
        for other in self.others.drain(..) {
            // It catches panics; there is nothing to hear.
            let _ = other.join();
        }
    }
}

impl Shared {
    /// Begins a loop, which others may now join. It has to be closed before what `run` borrows ends.
    fn open(&self, run: &(dyn Fn() + Sync)) {
        // SAFETY: only the lifetime changes. `close` comes before its end, and returns when nobody is in the loop.
        let run = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + '_), Run>(run) };
        let number = self.state.load(Ordering::Relaxed) & !(LOOP - 1);
        // SAFETY: the last loop is closed, and nobody is in it.
        unsafe { *self.run.get() = Some(run) };
        self.state.store(number.wrapping_add(LOOP) | OPEN, Ordering::SeqCst);
        if self.anyone_sleeps.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    /// Lets nobody join any more, and waits for those who have.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::Relaxed);
        let mut looks = 0;
        while self.state.load(Ordering::Acquire) & (LOOP - 1) != 0 {
            looks += 1;
            if looks % LOOKS == 0 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn wake(&self) {
        let mut sleeping = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
        sleeping.drain(..).for_each(|thread| thread.unpark());
    }

    /// What another thread does all its life.
    fn help(&self) {
        TEAM.set(Some(Team::new(1, &[])));
        let mut last = 0;
        while self.wait(last) {
            let state = self.state.load(Ordering::Relaxed);
            let join = |state| {
                self.state
                    .compare_exchange(state, state + JOINED, Ordering::Acquire, Ordering::Relaxed)
            };
            if state & OPEN == 0 || join(state).is_err() {
                continue;
            }
            last = state / LOOP;
            // SAFETY: it was written before the loop was opened, and lives until this thread has left it.
            if let Some(run) = unsafe { *self.run.get() } {
                // SAFETY: likewise.
                unsafe { (*run)() };
            }
            self.state.fetch_sub(JOINED, Ordering::Release);
        }
    }

    /// Until there is another loop than the last to join. `false` when there will be none.
    fn wait(&self, last: usize) -> bool {
        let is_there = |state: usize| state & OPEN != 0 && state / LOOP != last;
        let mut begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if is_there(self.state.load(Ordering::Relaxed)) {
                    return true;
                }
                std::hint::spin_loop();
            }
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            if begun.elapsed() < PATIENCE {
                continue;
            }
            // Whoever opens a loop after this sees it; one that was opened before is seen here.
            self.anyone_sleeps.fetch_add(1, Ordering::SeqCst);
            let mut sleeping = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
            sleeping.push(thread::current());
            drop(sleeping);
            if !is_there(self.state.load(Ordering::SeqCst)) && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.anyone_sleeps.fetch_sub(1, Ordering::SeqCst);
            begun = Instant::now();
        }
    }
}

/// What one thread takes, whichever it is.
struct Item<T>(UnsafeCell<Option<T>>);

// SAFETY: `take` says who may touch what is in it; the thread that does may be another than the one that made it.
unsafe impl<T: Send> Sync for Item<T> {}

impl<T> Item<T> {
    fn new(item: T) -> Self {
        Self(UnsafeCell::new(Some(item)))
    }

    /// # Safety
    /// By one thread only.
    unsafe fn take(&self) -> Option<T> {
        // SAFETY: nobody else touches it.
        unsafe { (*self.0.get()).take() }
    }

    fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::{PATIENCE, Team};

    /// Each item once, whether the others are awake or asleep when the loop begins.
    #[test]
    fn all_items_are_done_once() {
        let mut team = Team::new(4, &[]);
        for round in 0..2_000 {
            let mut done = [0; 37];
            team.each(done.iter_mut().enumerate(), |(index, done)| *done += index + 1);
            assert!(done.into_iter().eq(1..=37), "round {round}");
            if round % 500 == 0 {
                thread::sleep(3 * PATIENCE);
            }
        }
    }

    #[test]
    fn the_others_take_part() {
        let mut team = Team::new(3, &[]);
        let seen: Mutex<HashSet<ThreadId>> = Mutex::default();
        team.each(0..64, |_| {
            seen.lock().expect("no panics").insert(thread::current().id());
            thread::sleep(Duration::from_millis(2));
        });
        assert_eq!(seen.into_inner().expect("no panics").len(), 3);
    }

    #[test]
    fn a_panic_ends_the_loop_after_the_others_and_the_team_goes_on() {
        let mut team = Team::new(2, &[]);
        let done = AtomicUsize::new(0);
        let count = |index: usize| {
            assert!(index != 5, "the sixth");
            done.fetch_add(1, Ordering::Relaxed);
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| team.each(0..20, count)));
        assert!(panicked.is_err());
        assert_eq!(done.swap(0, Ordering::Relaxed), 19);
        team.each(6..26, count);
        assert_eq!(done.into_inner(), 20);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn bound_threads_have_a_core_each() {
        use rustix::thread::sched_getaffinity;

        let cores = super::cores::physical();
        assert!(!cores.is_empty());
        let of_test = thread::spawn(move || {
            assert!(super::gather_on(&cores));
            let seen: Mutex<HashSet<(ThreadId, Vec<usize>)>> = Mutex::default();
            super::each(0..32 * cores.len(), |_| {
                let bound = sched_getaffinity(None).expect("what this thread may use");
                let bound = (0..1024).filter(|&cpu| bound.is_set(cpu)).collect();
                seen.lock().expect("no panics").insert((thread::current().id(), bound));
                thread::sleep(Duration::from_millis(2));
            });
            let seen = seen.into_inner().expect("no panics");
            let mut bound: Vec<usize> = seen.into_iter().flat_map(|(_, bound)| bound).collect();
            bound.sort_unstable();
            assert_eq!(bound, cores);
        });
        of_test.join().expect("a core for each thread");
    }

    #[test]
    fn a_loop_within_a_loop_is_done() {
        let done = AtomicUsize::new(0);
        super::each(0..8, |_| {
            super::each(0..8, |_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(done.into_inner(), 64);
    }
}
