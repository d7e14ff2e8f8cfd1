//! Lines on their way to the collector: a bounded ring, and the chunk that is being written.
//!
//! The chunk is apart from the ring so that the ring may lose its oldest lines at any time without cutting a line
//! that is half written. What is lost is counted, and the count is said where the gap is: before the next chunk.
#![forbid(unsafe_code)]

use crate::clock::Timestamp;
use crate::host_log::{Entry, Level, Message, Source};
use crate::ring::LineRing;

/// Large enough that a busy guest costs few writes, small beside the ring.
const CHUNK_BYTES: usize = 32 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    vm_id: String,
    ring: LineRing,
    chunk: Vec<u8>,
    /// How much of the chunk the collector has.
    sent: usize,
    dropped: u64,
    line: Vec<u8>,
}

impl Outbox {
    /// For one VM; the ring holds `capacity` bytes.
    pub fn new(vm_id: &str, capacity: usize) -> Self {
        Self {
            vm_id: vm_id.into(),
            ring: LineRing::new(capacity),
            chunk: Vec::new(),
            sent: 0,
            dropped: 0,
            line: Vec::new(),
        }
    }

    /// Stamps the entry with the time and queues it.
    pub fn push(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        entry.write(&mut self.line, Timestamp::now(), &self.vm_id);
        self.dropped += self.ring.push(&self.line);
    }

    /// The same for a line that nobody can be made to wait for: it is the one that is lost when there is no room.
    pub fn offer(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        entry.write(&mut self.line, Timestamp::now(), &self.vm_id);
        if self.has_room(self.line.len()) {
            self.dropped += self.ring.push(&self.line);
        } else {
            self.dropped += 1;
        }
    }

    /// The bytes to write next; empty when there is nothing to say.
    pub fn unsent(&mut self) -> &[u8] {
        if self.sent == self.chunk.len() {
            self.refill();
        }
        &self.chunk[self.sent..]
    }

    /// The collector took this many of the bytes of `unsent`.
    pub fn advance(&mut self, taken: usize) {
        self.sent += taken;
    }

    /// The connection is gone: a line of which a part was sent will be sent anew.
    pub fn rewind(&mut self) {
        let whole = self.chunk[..self.sent].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.chunk.drain(..whole);
        self.sent = 0;
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.sent == self.chunk.len() && self.ring.is_empty() && self.dropped == 0
    }

    /// Whether lines of this many bytes in all fit without a loss, or the ring is as empty as it can be.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.ring.is_empty() || self.ring.room() >= bytes
    }

    fn refill(&mut self) {
        self.chunk.clear();
        self.chunk.shrink_to(CHUNK_BYTES);
        self.sent = 0;
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
                gap.write(&mut self.chunk, Timestamp::now(), &self.vm_id);
            }
        }
        self.ring.take(&mut self.chunk, CHUNK_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
        assert!(outbox.is_empty());
        String::from_utf8(all).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_lost_is_counted_where_it_is_missing() {
        let mut outbox = Outbox::new("V", 1000);
        (0..100).for_each(|n| push(&mut outbox, &format!("line {n:03}")));
        let lines = drain(&mut outbox);
        let kept = lines.len() - 1;
        assert!(lines[0].ends_with(&format!("\"dropped\": {}}}", 100 - kept)), "{}", lines[0]);
        assert!(lines[1].contains(&format!("line {:03}", 100 - kept)));
        assert!(lines[kept].contains("line 099"));
    }

    #[test]
    fn what_is_offered_takes_nobodys_place() {
        let mut outbox = Outbox::new("V", 1000);
        push(&mut outbox, "first");
        (0..100).for_each(|n| outbox.offer(&Entry::text(Level::Info, Source::Kernel, &format!("flood {n}"))));
        let lines = drain(&mut outbox);
        assert!(lines[0].contains("\"dropped\": ") && lines[1].contains("first"), "{lines:?}");
        assert!(lines[2].contains("flood 0"), "{lines:?}");
    }

    #[test]
    fn a_half_sent_line_is_sent_anew_and_survives_a_full_ring() {
        let mut outbox = Outbox::new("V", 1000);
        push(&mut outbox, "first");
        push(&mut outbox, "second");
        let first = outbox.unsent().iter().position(|byte| *byte == b'\n').unwrap() + 1;
        outbox.advance(first + 5);
        (0..100).for_each(|n| push(&mut outbox, &format!("line {n:03}")));
        outbox.rewind();
        let lines = drain(&mut outbox);
        assert!(lines[0].contains("second"), "{}", lines[0]);
        assert!(lines[1].contains("\"dropped\": "), "{}", lines[1]);
        assert!(lines.last().unwrap().contains("line 099"));
    }

    #[test]
    fn a_wholly_sent_chunk_is_not_sent_again() {
        let mut outbox = Outbox::new("V", 1000);
        push(&mut outbox, "once");
        let len = outbox.unsent().len();
        outbox.advance(len);
        outbox.rewind();
        assert!(outbox.is_empty());
        assert!(drain(&mut outbox).is_empty());
    }
}
