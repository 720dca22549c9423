//! Requests that wait, in lanes that take turns: whoever fills one lane waits for itself, and not the others for it.

use std::collections::VecDeque;

/// Beyond its bound the queue has room for a part of it, one over this, for lanes in which nobody waits yet: so that one full lane
/// does not keep the others out altogether.
const EXTRA: usize = 8;

/// What becomes of a lane's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its first is taken.
    Take,
    /// Its first waits, and so does everybody behind it.
    Wait,
    /// It keeps its turn, and the next lane's comes before it.
    Pass,
}

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

    /// The first of the lane whose turn it is. The lane's next turn comes after one of each other lane's.
    pub fn pop(&mut self) -> Option<T> {
        self.pop_where(|_, _| Turn::Take)
    }

    /// As [`Queue::pop`], of the first lane that does not pass: nothing if that one waits. `turn` is asked with the lane and its first.
    pub fn pop_where(&mut self, turn: impl Fn(&str, &T) -> Turn) -> Option<T> {
        let turns = self.lanes.iter().map(|lane| {
            let first = lane.waiting.front();
            first.map_or(Turn::Pass, |first| turn(&lane.name, first))
        });
        let (place, turn) = turns.enumerate().find(|(_, turn)| *turn != Turn::Pass)?;
        if turn == Turn::Wait {
            return None;
        }
        let mut lane = self.lanes.remove(place)?;
        let item = lane.waiting.pop_front();
        if !lane.waiting.is_empty() {
            self.lanes.push_back(lane);
        }
        item
    }

    /// Takes out all that are meant. The lanes keep their turns.
    pub fn take_out(&mut self, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
        let mut out = Vec::new();
        for lane in &mut self.lanes {
            let (meant, kept): (VecDeque<T>, _) = std::mem::take(&mut lane.waiting).into_iter().partition(&is_meant);
            out.extend(meant);
            lane.waiting = kept;
        }
        self.lanes.retain(|lane| !lane.waiting.is_empty());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Queue, Turn};

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
        assert_eq!(queue.waiting(), [("full".to_owned(), 996)]);
        assert_eq!(queue.pop(), Some(("full", 4)));
    }

    #[test]
    fn a_lane_that_passes_keeps_its_turn() {
        let mut queue = Queue::default();
        for (lane, item) in [("a", 1), ("b", 2), ("b", 3), ("c", 4)] {
            queue.push(lane, item);
        }
        let passes = |lane: &str, _: &i32| if lane == "a" { Turn::Pass } else { Turn::Take };
        assert_eq!([queue.pop_where(passes), queue.pop_where(passes)], [Some(2), Some(4)]);
        assert_eq!(queue.pop_where(|_, _| Turn::Wait), None);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(3), None]);
    }

    #[test]
    fn what_is_taken_out_leaves_the_others_in_order() {
        let mut queue = Queue::default();
        for item in 0..9 {
            queue.push(["a", "b", "c"][item % 3], item);
        }
        assert_eq!(queue.take_out(|item| item % 3 == 1 || *item == 0), [0, 1, 4, 7]);
        assert_eq!(queue.waiting(), [("a".to_owned(), 2), ("c".to_owned(), 3)]);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(3), Some(2), Some(6)]);
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
