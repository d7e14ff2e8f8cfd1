//! Lines on their way to the collector: a bounded ring, and those that were sent and not yet acknowledged.
//!
//! The collector acknowledges what it has written to its files. What it has not is sent anew, as whole lines, to the
//! next one, which knows those that it has already (inferno/logs/collector/duplicates.py): so no line is lost with a
//! collector, however it ends. What is unacknowledged is apart from the ring so that the ring may lose its oldest lines
//! at any time. What is lost is counted, and the count is said where the gap is.
#![forbid(unsafe_code)]

use crate::clock::Timestamp;
use crate::host_log::{Entry, Level, Message, Origin, Source};
use crate::ring::LineRing;

/// How much may be unacknowledged before more is sent: what the collector reads at a time, so that it never waits.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;

/// The lines that the collector has not acknowledged.
#[derive(Debug)]
pub struct Outbox {
    origin: Origin,
    ring: LineRing,
    /// Whole lines that were not acknowledged.
    window: Vec<u8>,
    /// How much of the window was sent on this connection.
    sent: usize,
    dropped: u64,
    line: Vec<u8>,
}

impl Outbox {
    /// For one run; the ring holds `capacity` bytes.
    pub fn new(origin: Origin, capacity: usize) -> Self {
        Self {
            origin,
            ring: LineRing::new(capacity),
            window: Vec::new(),
            sent: 0,
            dropped: 0,
            line: Vec::new(),
        }
    }

    /// Stamps the entry with the time and queues it.
    pub fn push(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        entry.write(&mut self.line, Timestamp::now(), &self.origin);
        self.dropped += self.ring.push(&self.line);
    }

    /// The same for a line that nobody can be made to wait for: it is the one that is lost when there is no room.
    pub fn offer(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        entry.write(&mut self.line, Timestamp::now(), &self.origin);
        if self.has_room(self.line.len()) {
            self.dropped += self.ring.push(&self.line);
        } else {
            self.dropped += 1;
        }
    }

    /// The bytes to write next; empty when there is nothing to say, or too much that was not acknowledged.
    pub fn unsent(&mut self) -> &[u8] {
        if self.sent == self.window.len() && self.window.len() < WINDOW_BYTES {
            self.refill();
        }
        &self.window[self.sent..]
    }

    /// Whether `unsent` has something.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.window.len() || (self.window.len() < WINDOW_BYTES && !self.has_no_more())
    }

    /// The connection took this many of the bytes of `unsent`.
    pub fn advance(&mut self, taken: usize) {
        self.sent += taken;
    }

    /// The collector has written this many more bytes, which are whole lines.
    pub fn acknowledge(&mut self, bytes: usize) {
        let bytes = bytes.min(self.sent);
        self.window.drain(..bytes);
        self.sent -= bytes;
        if self.window.is_empty() {
            self.window.shrink_to(WINDOW_BYTES);
        }
    }

    /// The connection is gone: what was not acknowledged will be sent anew.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Whether the collector has written everything, or there was nothing.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty() && self.has_no_more()
    }

    /// Whether lines of this many bytes in all fit without a loss, or the ring is as empty as it can be.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.ring.is_empty() || self.ring.room() >= bytes
    }

    /// Whether the window holds all that there is.
    fn has_no_more(&self) -> bool {
        self.ring.is_empty() && self.dropped == 0
    }

    fn refill(&mut self) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            lines => {
                let text = format!("log ring was full: {lines} lines dropped");
                let gap = Entry {
                    level: Level::Warn,
                    source: Source::Kiln,
                    message: Message::Text(&text),
                    partial: false,
                    dropped: Some(lines),
                };
                gap.write(&mut self.window, Timestamp::now(), &self.origin);
            }
        }
        let room = WINDOW_BYTES.saturating_sub(self.window.len());
        self.ring.take(&mut self.window, room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(capacity: usize) -> Outbox {
        Outbox::new(Origin { vm_id: "V".into(), run: "R".into() }, capacity)
    }

    fn push(outbox: &mut Outbox, text: &str) {
        outbox.push(&Entry::text(Level::Info, Source::Stdout, text));
    }

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let bytes = outbox.unsent().to_vec();
            if bytes.is_empty() {
                break;
            }
            all.extend_from_slice(&bytes);
            outbox.advance(bytes.len());
            outbox.acknowledge(bytes.len());
        }
        assert!(outbox.is_empty());
        String::from_utf8(all).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_lost_is_counted_where_it_is_missing() {
        let mut outbox = outbox(1000);
        (0..100).for_each(|n| push(&mut outbox, &format!("line {n:03}")));
        let lines = drain(&mut outbox);
        let kept = lines.len() - 1;
        assert!(lines[0].ends_with(&format!("\"dropped\": {}}}", 100 - kept)), "{}", lines[0]);
        assert!(lines[1].contains(&format!("line {:03}", 100 - kept)));
        assert!(lines[kept].contains("line 099"));
    }

    #[test]
    fn what_is_offered_takes_nobodys_place() {
        let mut outbox = outbox(1000);
        push(&mut outbox, "first");
        (0..100).for_each(|n| outbox.offer(&Entry::text(Level::Info, Source::Kernel, &format!("flood {n}"))));
        let lines = drain(&mut outbox);
        assert!(lines[0].contains("\"dropped\": ") && lines[1].contains("first"), "{lines:?}");
        assert!(lines[2].contains("flood 0"), "{lines:?}");
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_anew_and_survives_a_full_ring() {
        let mut outbox = outbox(1000);
        push(&mut outbox, "first");
        push(&mut outbox, "second");
        let first = outbox.unsent().iter().position(|byte| *byte == b'\n').unwrap() + 1;
        outbox.advance(first + 5);
        outbox.acknowledge(first);
        (0..100).for_each(|n| push(&mut outbox, &format!("line {n:03}")));
        outbox.rewind();
        let lines = drain(&mut outbox);
        assert!(lines[0].contains("second"), "{}", lines[0]);
        assert!(lines[1].contains("\"dropped\": "), "{}", lines[1]);
        assert!(lines.last().unwrap().contains("line 099"));
    }

    #[test]
    fn what_was_acknowledged_is_not_sent_again() {
        let mut outbox = outbox(1000);
        push(&mut outbox, "once");
        let len = outbox.unsent().len();
        outbox.advance(len);
        assert!(!outbox.is_empty() && !outbox.has_unsent());
        outbox.rewind();
        assert!(outbox.has_unsent());
        outbox.advance(len);
        outbox.acknowledge(len + 1000);
        outbox.rewind();
        assert!(outbox.is_empty());
        assert!(drain(&mut outbox).is_empty());
    }

    #[test]
    fn no_more_is_sent_than_may_be_unacknowledged() {
        let mut outbox = outbox(4 * WINDOW_BYTES);
        (0..1000).for_each(|n| push(&mut outbox, &format!("{n:0150}")));
        let mut sent = 0;
        while outbox.has_unsent() {
            let len = outbox.unsent().len();
            outbox.advance(len);
            sent += len;
        }
        assert!((WINDOW_BYTES..WINDOW_BYTES + 300).contains(&sent), "one line more at the most: {sent}");
        assert!(outbox.unsent().is_empty() && !outbox.is_empty());
        outbox.acknowledge(sent);
        assert!(outbox.has_unsent());
    }
}
