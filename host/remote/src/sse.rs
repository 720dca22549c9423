//! [Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as completions use them: the data of
//! one event after another.

/// The longest event: a chunk of an answer is some hundred bytes, and whoever sends a megabyte without an end is no such server.
const MOST_BYTES: usize = 1 << 20;

/// Takes bytes as they come, and gives the data of events as they end.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: Vec<u8>,
    data: String,
}

/// Bytes that are no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotEvents;

impl Events {
    /// The data of each event that ends in `bytes`, or with them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, NotEvents> {
        self.held.extend_from_slice(bytes);
        let mut ended = Vec::new();
        let mut from = 0;
        while let Some(length) = self.held[from..].iter().position(|&byte| byte == b'\n') {
            let line = &self.held[from..from + length];
            let line = std::str::from_utf8(line).map_err(|_| NotEvents)?;
            from += length + 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                if !self.data.is_empty() {
                    ended.push(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if !line.starts_with([':', 'e', 'i', 'r']) {
                // Neither a comment nor `event`, `id` or `retry`.
                return Err(NotEvents);
            }
        }
        self.held.drain(..from);
        if self.held.len() + self.data.len() > MOST_BYTES {
            return Err(NotEvents);
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, MOST_BYTES, NotEvents};

    #[test]
    fn events_come_out_however_they_are_cut() {
        let text =
            "data: {\"a\": \"é\"}\n\n: alive\r\n\r\nevent: x\ndata:b\ndata: c\n\ndata: [DONE]\r\n\r\n".as_bytes();
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<String> = text
                .chunks(size)
                .flat_map(|bytes| events.push(bytes).expect("events"))
                .collect();
            assert_eq!(found, ["{\"a\": \"é\"}", "b\nc", "[DONE]"], "{size}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert_eq!(Events::default().push(b"<html>\n"), Err(NotEvents));
        assert_eq!(Events::default().push(b"data: \xff\n"), Err(NotEvents));
        let endless = vec![b'd'; MOST_BYTES + 1];
        assert_eq!(Events::default().push(&endless), Err(NotEvents));
    }
}
