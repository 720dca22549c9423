//! What is in memory of things that can be made again: those that were used last, as many as a budget has room for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lru::LruCache;

/// What a thing holds in memory, in bytes. It stays the same as long as the thing lives.
pub(crate) trait Held {
    /// For itself alone.
    fn own_bytes(&self) -> u64;
    /// Together with others, and a number that is the same for those that share it.
    fn shared_bytes(&self) -> (usize, u64);
}

/// Things in memory. Together they hold no more than the budget, or there is only one.
pub(crate) struct Residents<T> {
    budget: u64,
    state: Mutex<State<T>>,
    places: AtomicU64,
    evicted: AtomicU64,
    brought_back: AtomicU64,
}

struct State<T> {
    /// By the number of their places.
    things: LruCache<u64, Arc<T>>,
    /// How many of them share what.
    sharers: HashMap<usize, usize>,
    held: u64,
}

/// The place of one thing, which may be evicted and made again.
pub(crate) struct Place<T: Held> {
    residents: Arc<Residents<T>>,
    number: u64,
    /// The thing, as long as anybody holds it. Locked while it is made again, which is done once for all who ask.
    thing: Mutex<Weak<T>>,
}

impl<T: Held> Residents<T> {
    /// None yet, and room for so many bytes.
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            budget,
            state: Mutex::new(State {
                things: LruCache::unbounded(),
                sharers: HashMap::new(),
                held: 0,
            }),
            places: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            brought_back: AtomicU64::new(0),
        }
    }

    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    /// Bytes that those in memory hold. What was evicted and is still in use is not in it.
    pub(crate) fn held(&self) -> u64 {
        self.state().held
    }

    /// How often a thing was evicted.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How often a thing was made again.
    pub(crate) fn brought_back(&self) -> u64 {
        self.brought_back.load(Ordering::Relaxed)
    }

    /// Takes in a new thing.
    pub(crate) fn admit(self: &Arc<Self>, thing: T) -> Place<T> {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        let thing = Arc::new(thing);
        self.used(number, &thing);
        Place {
            residents: self.clone(),
            number,
            thing: Mutex::new(Arc::downgrade(&thing)),
        }
    }

    /// Makes the thing the one used last, and evicts others until there is room. It stays itself, whatever it holds.
    fn used(&self, number: u64, thing: &Arc<T>) {
        let mut state = self.state();
        if !state.things.promote(&number) {
            state.insert(number, thing.clone());
        }
        let mut evicted = Vec::new();
        while state.held > self.budget && state.things.len() > 1 {
            evicted.extend(state.pop_least_recent());
        }
        drop(state);
        // Those that nobody uses end with this, outside of the lock.
        self.evicted.fetch_add(evicted.len() as u64, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in there can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Held> State<T> {
    fn insert(&mut self, number: u64, thing: Arc<T>) {
        let (shared, bytes) = thing.shared_bytes();
        let sharers = self.sharers.entry(shared).or_default();
        *sharers += 1;
        if *sharers == 1 {
            self.held += bytes;
        }
        self.held += thing.own_bytes();
        self.things.put(number, thing);
    }

    fn pop_least_recent(&mut self) -> Option<Arc<T>> {
        let (_, thing) = self.things.pop_lru()?;
        self.is_gone(&thing);
        Some(thing)
    }

    fn pop(&mut self, number: u64) -> Option<Arc<T>> {
        let thing = self.things.pop(&number)?;
        self.is_gone(&thing);
        Some(thing)
    }

    fn is_gone(&mut self, thing: &T) {
        let (shared, bytes) = thing.shared_bytes();
        if let Some(sharers) = self.sharers.get_mut(&shared) {
            *sharers -= 1;
            if *sharers == 0 {
                self.sharers.remove(&shared);
                self.held -= bytes;
            }
        }
        self.held -= thing.own_bytes();
    }
}

impl<T: Held> Place<T> {
    /// The thing, made `again` if it is gone: on this thread, while others who ask for it wait.
    pub(crate) fn get<E>(&self, again: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut known = self.thing.lock().unwrap_or_else(PoisonError::into_inner);
        let thing = match known.upgrade() {
            Some(thing) => thing,
            None => {
                let thing = Arc::new(again()?);
                *known = Arc::downgrade(&thing);
                self.residents.brought_back.fetch_add(1, Ordering::Relaxed);
                thing
            }
        };
        self.residents.used(self.number, &thing);
        Ok(thing)
    }

    /// Whether it is in memory to stay there, and not only because somebody still uses it.
    pub(crate) fn is_resident(&self) -> bool {
        self.residents.state().things.contains(&self.number)
    }
}

impl<T: Held> Drop for Place<T> {
    fn drop(&mut self) {
        let thing = self.residents.state().pop(self.number);
        // Not before the lock is given back.
        drop(thing);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Held, Place, Residents};

    /// Bytes of its own, and which bytes it shares.
    struct Thing(u64, (usize, u64));

    impl Held for Thing {
        fn own_bytes(&self) -> u64 {
            self.0
        }

        fn shared_bytes(&self) -> (usize, u64) {
            self.1
        }
    }

    fn alone(bytes: u64) -> Thing {
        Thing(bytes, (0, 0))
    }

    /// Uses it, making it again as this.
    fn ask(place: &Place<Thing>, thing: impl Fn() -> Thing) -> Arc<Thing> {
        let Ok(thing) = place.get(|| Ok::<_, Infallible>(thing()));
        thing
    }

    fn resident(places: &[Place<Thing>]) -> Vec<bool> {
        places.iter().map(Place::is_resident).collect()
    }

    #[test]
    fn the_one_not_used_for_longest_goes_first() {
        let residents = Arc::new(Residents::new(30));
        let places = [10, 10, 10].map(|bytes| residents.admit(alone(bytes)));
        assert_eq!(resident(&places), [true, true, true]);
        ask(&places[0], || unreachable!("it is there"));
        let more = residents.admit(alone(5));
        assert_eq!(resident(&places), [true, false, true]);
        assert_eq!((residents.held(), residents.evicted()), (25, 1));

        let back = ask(&places[1], || alone(10));
        assert_eq!(back.0, 10);
        assert_eq!(resident(&places), [true, true, false]);
        assert_eq!(
            (residents.held(), residents.evicted(), residents.brought_back()),
            (25, 2, 1)
        );
        assert!(more.is_resident());
    }

    #[test]
    fn one_larger_than_the_budget_is_there_alone() {
        let residents = Arc::new(Residents::new(30));
        let places = [10, 100].map(|bytes| residents.admit(alone(bytes)));
        assert_eq!(resident(&places), [false, true]);
        for _ in 0..2 {
            assert_eq!(ask(&places[1], || unreachable!("it is there")).0, 100);
        }
        ask(&places[0], || alone(10));
        assert_eq!(resident(&places), [true, false]);
        assert_eq!(residents.held(), 10);
    }

    #[test]
    fn what_is_shared_counts_once_until_its_last_sharer_goes() {
        let residents = Arc::new(Residents::new(1000));
        let places = [1, 1, 2].map(|shared| residents.admit(Thing(10, (shared, 100))));
        assert_eq!(residents.held(), 230);
        let [first, second, third] = places;
        drop(first);
        assert_eq!(residents.held(), 220);
        drop(second);
        assert_eq!(residents.held(), 110);
        drop(third);
        assert_eq!((residents.held(), residents.evicted()), (0, 0), "they were not evicted");
    }

    #[test]
    fn what_is_evicted_while_it_is_used_is_not_made_again() {
        let residents = Arc::new(Residents::new(30));
        let place = residents.admit(alone(20));
        let used = ask(&place, || unreachable!("it is there"));
        let _other = residents.admit(alone(20));
        assert!(!place.is_resident());
        let same = ask(&place, || unreachable!("it is in use"));
        assert!(Arc::ptr_eq(&used, &same) && place.is_resident());
        assert_eq!(residents.brought_back(), 0);
    }

    #[test]
    fn many_who_ask_at_once_make_it_once() {
        let residents = Arc::new(Residents::new(10));
        let place = residents.admit(alone(10));
        let _other = residents.admit(alone(10));
        let (made, start) = (AtomicUsize::new(0), std::sync::Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    ask(&place, || {
                        made.fetch_add(1, Ordering::SeqCst);
                        // The others come meanwhile.
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        alone(10)
                    });
                });
            }
        });
        assert_eq!((made.into_inner(), residents.brought_back()), (1, 1));
    }

    #[test]
    fn what_cannot_be_made_now_can_be_later() {
        let residents = Arc::new(Residents::new(10));
        let place = residents.admit(alone(10));
        let other = residents.admit(alone(10));
        assert_eq!(place.get(|| Err("no")).err(), Some("no"));
        assert!(other.is_resident() && !place.is_resident(), "nobody had to go for it");
        assert_eq!((residents.held(), residents.brought_back()), (10, 0));
        ask(&place, || alone(10));
        assert!(place.is_resident());
    }
}
