//! Requests that wait, in lanes that take turns: whoever fills one lane waits for itself, and not the others for it.

use std::collections::VecDeque;

/// Beyond its bound the queue has room for a part of it, one over this, for lanes in which nobody waits yet: so that one full lane
/// does not keep the others out altogether.
const EXTRA: usize = 8;

/// Lanes by name, each with at least one that waits, the next one's in front.
#[derive(Debug)]
pub struct Queue<T> {
    lanes: VecDeque<Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    name: String,
    waiting: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let lanes = VecDeque::new();
        Self { lanes }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// In which lanes, and how many in each.
    pub fn waiting(&self) -> Vec<(String, usize)> {
        let lanes = self.lanes.iter();
        lanes.map(|lane| (lane.name.clone(), lane.waiting.len())).collect()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether one more may wait in a lane of a queue with this bound.
    pub fn has_room(&self, lane: &str, bound: usize) -> bool {
        let is_first = !self.lanes.iter().any(|known| known.name == lane);
        let extra = if is_first { bound / EXTRA } else { 0 };
        self.len() < bound + extra
    }

    /// At the end of its lane; a new lane comes after the others.
    pub fn push(&mut self, lane: &str, item: T) {
        match self.lanes.iter_mut().find(|known| known.name == lane) {
            Some(lane) => lane.waiting.push_back(item),
            None => self.lanes.push_back(Lane {
                name: lane.to_owned(),
                waiting: VecDeque::from([item]),
            }),
        }
    }

    /// What [`Queue::pop`] would take.
    pub fn front(&self) -> Option<&T> {
        self.lanes.front()?.waiting.front()
    }

    /// The first of the lane whose turn it is. The lane's next turn comes after one of each other lane's.
    pub fn pop(&mut self) -> Option<T> {
        let mut lane = self.lanes.pop_front()?;
        let item = lane.waiting.pop_front();
        if !lane.waiting.is_empty() {
            self.lanes.push_back(lane);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn lanes_take_turns() {
        let mut queue = Queue::default();
        for number in 0..1000 {
            queue.push("full", ("full", number));
        }
        queue.push("b", ("b", 0));
        queue.push("c", ("c", 0));
        queue.push("c", ("c", 1));
        let mut order: Vec<_> = (0..6).filter_map(|_| queue.pop()).collect();
        assert_eq!(
            order,
            [("full", 0), ("b", 0), ("c", 0), ("full", 1), ("c", 1), ("full", 2)]
        );
        // Whoever comes next waits for one of the full lane's, not for 997.
        queue.push("b", ("b", 1));
        order = (0..2).filter_map(|_| queue.pop()).collect();
        assert_eq!(order, [("full", 3), ("b", 1)]);
        assert_eq!((queue.len(), queue.front()), (996, Some(&("full", 4))));
        assert_eq!(queue.waiting(), [("full".to_owned(), 996)]);
    }

    #[test]
    fn a_full_queue_has_room_for_lanes_that_have_none() {
        let mut queue = Queue::default();
        let mut taken = 0;
        while queue.has_room("full", 16) {
            queue.push("full", 0);
            taken += 1;
        }
        assert_eq!(taken, 16);
        for lane in ["b", "c"] {
            assert!(queue.has_room(lane, 16), "{lane}");
            queue.push(lane, 0);
            assert!(!queue.has_room(lane, 16), "{lane}");
        }
        assert!(!queue.has_room("d", 16));
        while queue.pop().is_some() {}
        assert!(queue.is_empty() && queue.has_room("full", 1) && !queue.has_room("full", 0));
    }
}
