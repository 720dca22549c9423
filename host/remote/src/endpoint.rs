//! The endpoints: which of them can be asked, and which has the least to do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use crate::probe::Served;
use crate::{Address, EndpointError};

/// For how long one that said that it is busy is left alone: doubled each time, up to the longest.
const REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(4);

/// How an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It answers, and serves the model that it should.
    Up,
    /// It does not.
    Down,
}

/// What is known of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointStatus {
    /// Its address.
    pub address: String,
    /// How it is.
    pub state: EndpointState,
    /// The id of its model, once it has said so.
    pub model: Option<String>,
    /// Requests of this host that it is working on.
    pub running: usize,
    /// Why it is down.
    pub error: Option<String>,
}

/// All endpoints.
#[derive(Debug)]
pub(crate) struct Endpoints {
    addresses: Vec<Address>,
    standings: Mutex<Standings>,
    /// Most requests for one of them.
    most: usize,
    /// Told whenever one may be asked that could not be before.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
struct Standings {
    each: Vec<Standing>,
    /// Since when none is up.
    none_since: Option<Instant>,
    /// Counts choices, so that of those with equally little to do another is taken each time.
    turn: usize,
}

#[derive(Debug)]
struct Standing {
    up: bool,
    served: Option<Served>,
    running: usize,
    error: Option<EndpointError>,
    rest: Duration,
    resting_until: Option<Instant>,
}

/// What may be asked now.
pub(crate) enum Choice<'a> {
    /// This one.
    Slot(Slot<'a>),
    /// Later: all have enough to do, or rest.
    Later,
    /// None is up, for so long.
    NoneUp(Duration),
}

/// A place at an endpoint, until it is dropped.
pub(crate) struct Slot<'a> {
    endpoints: &'a Endpoints,
    index: usize,
    pub(crate) served: Served,
}

impl Endpoints {
    pub(crate) fn new(addresses: Vec<Address>, most: usize) -> Self {
        let standing = |_| Standing {
            up: false,
            served: None,
            running: 0,
            error: None,
            rest: REST,
            resting_until: None,
        };
        Self {
            standings: Mutex::new(Standings {
                each: addresses.iter().map(standing).collect(),
                none_since: Some(Instant::now()),
                turn: 0,
            }),
            addresses,
            most: most.max(1),
            changed: Notify::new(),
        }
    }

    /// How many requests may run at once.
    pub(crate) fn capacity(&self) -> usize {
        self.most * self.addresses.len()
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The one with the least to do.
    pub(crate) fn choose(&self) -> Choice<'_> {
        let mut standings = self.lock();
        if let Some(since) = standings.none_since {
            return Choice::NoneUp(since.elapsed());
        }
        let now = Instant::now();
        let count = standings.each.len();
        standings.turn = standings.turn.wrapping_add(1);
        let turn = standings.turn;
        let free = (0..count).map(|place| (turn + place) % count).filter(|&index| {
            let standing = &standings.each[index];
            standing.up && standing.running < self.most && standing.resting_until.is_none_or(|until| until <= now)
        });
        let chosen = free.min_by_key(|&index| standings.each[index].running);
        let served = chosen.and_then(|index| standings.each[index].served.clone());
        match (chosen, served) {
            (Some(index), Some(served)) => {
                standings.each[index].running += 1;
                Choice::Slot(Slot {
                    endpoints: self,
                    index,
                    served,
                })
            }
            _ => Choice::Later,
        }
    }

    /// What is wrong with each that is not up.
    pub(crate) fn errors(&self) -> Vec<(Address, EndpointError)> {
        let standings = self.lock();
        let down = self
            .addresses
            .iter()
            .zip(&standings.each)
            .filter(|(_, standing)| !standing.up);
        down.map(|(address, standing)| {
            let error = standing.error.clone().unwrap_or(EndpointError::New);
            (address.clone(), error)
        })
        .collect()
    }

    pub(crate) fn statuses(&self) -> Vec<EndpointStatus> {
        let standings = self.lock();
        let status = |(address, standing): (&Address, &Standing)| EndpointStatus {
            address: address.to_string(),
            state: if standing.up {
                EndpointState::Up
            } else {
                EndpointState::Down
            },
            model: standing.served.as_ref().map(|served| served.id.clone()),
            running: standing.running,
            error: standing.error.as_ref().map(ToString::to_string),
        };
        self.addresses.iter().zip(&standings.each).map(status).collect()
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.lock().each[index].up
    }

    /// The shortest context of the models that were found, in tokens.
    pub(crate) fn context(&self) -> Option<usize> {
        let standings = self.lock();
        let contexts = standings
            .each
            .iter()
            .filter_map(|standing| standing.served.as_ref()?.context);
        contexts.min()
    }

    /// It was asked and is what it should be.
    pub(crate) fn raise(&self, index: usize, served: Served) {
        let mut standings = self.lock();
        let standing = &mut standings.each[index];
        if !standing.up {
            tracing::info!(endpoint = %self.addresses[index], model = served.id, "an endpoint is up");
        }
        standing.up = true;
        standing.served = Some(served);
        standing.error = None;
        standing.resting_until = None;
        standings.none_since = None;
        drop(standings);
        self.changed.notify_waiters();
    }

    /// It failed: it is not asked again before it has answered its next check.
    pub(crate) fn lower(&self, index: usize, error: EndpointError) {
        let mut standings = self.lock();
        let standing = &mut standings.each[index];
        if standing.up || standing.error.as_ref() != Some(&error) {
            tracing::warn!(endpoint = %self.addresses[index], %error, "an endpoint is down");
        }
        standing.up = false;
        standing.error = Some(error);
        if standings.none_since.is_none() && standings.each.iter().all(|standing| !standing.up) {
            standings.none_since = Some(Instant::now());
        }
    }

    /// No code panics while it holds the lock, and what it guards is whole after every line.
    fn lock(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    pub(crate) fn address(&self) -> &Address {
        &self.endpoints.addresses[self.index]
    }

    /// It answered: whatever it said before of being busy is over.
    pub(crate) fn answered(&self) {
        self.endpoints.lock().each[self.index].rest = REST;
    }

    /// It failed in this way.
    pub(crate) fn failed(&self, error: &EndpointError) {
        match error {
            EndpointError::Busy { .. } => {
                let mut standings = self.endpoints.lock();
                let standing = &mut standings.each[self.index];
                standing.resting_until = Some(Instant::now() + standing.rest);
                standing.rest = (2 * standing.rest).min(LONGEST_REST);
            }
            error => self.endpoints.lower(self.index, error.clone()),
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.endpoints.lock().each[self.index].running -= 1;
        self.endpoints.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(most: usize) -> Endpoints {
        let addresses = ["vllm+http://a", "vllm+http://b"].map(|text| text.parse().expect("an address"));
        Endpoints::new(addresses.to_vec(), most)
    }

    fn served() -> Served {
        Served {
            id: "m".to_owned(),
            context: Some(8),
        }
    }

    fn slot(endpoints: &Endpoints) -> Option<Slot<'_>> {
        match endpoints.choose() {
            Choice::Slot(slot) => Some(slot),
            Choice::Later | Choice::NoneUp(_) => None,
        }
    }

    #[test]
    fn the_one_with_the_least_to_do_is_asked() {
        let endpoints = endpoints(2);
        assert!(matches!(endpoints.choose(), Choice::NoneUp(_)));
        endpoints.raise(0, served());
        let first = slot(&endpoints).expect("a is free");
        endpoints.raise(1, served());
        let second = slot(&endpoints).expect("b has less to do");
        assert_eq!((first.index, second.index), (0, 1));
        let rest = [slot(&endpoints).expect("one each"), slot(&endpoints).expect("one each")];
        assert_ne!(rest[0].index, rest[1].index);
        assert!(matches!(endpoints.choose(), Choice::Later));
        drop(second);
        assert_eq!(slot(&endpoints).map(|slot| slot.index), Some(1));
    }

    #[test]
    fn one_that_failed_is_asked_after_its_next_check_only() {
        let endpoints = endpoints(9);
        endpoints.raise(0, served());
        endpoints.raise(1, served());
        let a = slot(&endpoints)
            .filter(|slot| slot.index == 0)
            .or_else(|| slot(&endpoints));
        let a = a.filter(|slot| slot.index == 0).expect("they take turns");
        a.failed(&EndpointError::Broken("x".to_owned()));
        assert!((0..4).all(|_| slot(&endpoints).is_some_and(|slot| slot.index == 1)));
        assert_eq!(endpoints.errors().len(), 1);
        endpoints.raise(0, served());
        drop(a);
        assert!((0..4).any(|_| slot(&endpoints).is_some_and(|slot| slot.index == 0)));
    }

    #[test]
    fn one_that_is_busy_rests_and_is_not_down() {
        let endpoints = endpoints(9);
        endpoints.raise(0, served());
        let busy = EndpointError::Busy {
            status: 503,
            message: String::new(),
        };
        slot(&endpoints).expect("it is up").failed(&busy);
        assert!(matches!(endpoints.choose(), Choice::Later) && endpoints.is_up(0));
    }
}
