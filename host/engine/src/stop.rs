//! Stop strings across the borders of tokens.

use std::sync::Arc;

/// Lets text through up to the first stop string, and holds back what may be the beginning of one.
///
/// The first is the one whose last character comes first; of two that end together, the longer. So what comes out
/// does not depend on how the text was cut into pieces.
#[derive(Debug, Clone)]
pub struct StopFilter {
    stops: Arc<[String]>,
    held: String,
    stopped: bool,
}

impl StopFilter {
    /// A filter for these strings, none of them empty.
    pub fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.into(),
            held: String::new(),
            stopped: false,
        }
    }

    /// The text that is certain to come before any stop string once `text` has arrived.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        if let Some((_, start)) = found.min() {
            self.stopped = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let kept = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let kept = self.held.split_off(self.held.len() - kept);
        std::mem::replace(&mut self.held, kept)
    }

    /// Whether a stop string has come up.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, when the text ends without a stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// The length of the longest end of `text` with which `stop` begins, without being all of it.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|&at| text.ends_with(&stop[..at]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::StopFilter;

    fn streamed(stops: &[String], pieces: &[String]) -> (String, bool) {
        let mut filter = StopFilter::new(stops);
        let mut text: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        text.push_str(&filter.finish());
        (text, filter.stopped())
    }

    /// The definition, on the whole text.
    fn expected(stops: &[String], text: &str) -> (String, bool) {
        let all = stops.iter().flat_map(|stop| text.match_indices(stop.as_str()));
        match all.map(|(start, stop)| (start + stop.len(), start)).min() {
            Some((_, start)) => (text[..start].to_owned(), true),
            None => (text.to_owned(), false),
        }
    }

    fn pieces(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_stop_string_is_found_across_pieces() {
        let stops = pieces(&["\n\n", "</end>"]);
        let mut filter = StopFilter::new(&stops);
        assert_eq!(filter.push("a <"), "a ");
        assert_eq!(filter.push("/en"), "");
        assert_eq!(filter.push("x\n"), "</enx");
        assert_eq!(filter.push("\nrest"), "");
        assert!(filter.stopped());
        assert_eq!(filter.push("more"), "");
        assert_eq!(filter.finish(), "");
    }

    #[test]
    fn the_stop_that_ends_first_wins() {
        let stops = pieces(&["abcd", "bc"]);
        assert_eq!(streamed(&stops, &pieces(&["xabcd"])), ("xa".to_owned(), true));
        assert_eq!(
            streamed(&stops, &pieces(&["x", "a", "b", "c", "d"])),
            ("xa".to_owned(), true)
        );
    }

    proptest! {
        // A small alphabet, so that stop strings, their beginnings and their overlaps come up all the time.
        #[test]
        fn text_ends_before_the_earliest_stop(
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            pieces in prop::collection::vec("[abcé]{0,5}", 0..12),
        ) {
            prop_assert_eq!(streamed(&stops, &pieces), expected(&stops, &pieces.concat()));
        }
    }
}
