//! A ring of lines with a bound in bytes: when it is full, the oldest lines make room.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Lines, each ended by a newline that it holds nowhere else.
#[derive(Debug)]
pub struct LineRing {
    bytes: VecDeque<u8>,
    capacity: usize,
}

impl LineRing {
    /// Holds at most `capacity` bytes, newlines included. Memory is touched only as it fills.
    pub fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::with_capacity(capacity), capacity }
    }

    /// Appends a line (with its newline) and returns how many lines were lost for it, itself included.
    pub fn push(&mut self, line: &[u8]) -> u64 {
        if line.len() > self.capacity {
            return 1;
        }
        let mut lost = 0;
        while self.bytes.len() + line.len() > self.capacity {
            let first = self.first_line_len();
            self.bytes.drain(..first);
            lost += 1;
        }
        self.bytes.extend(line);
        lost
    }

    /// Moves the oldest lines to `out`: at least one if there is one, then as many as fit in `limit` bytes.
    pub fn take(&mut self, out: &mut Vec<u8>, limit: usize) {
        let window = self.bytes.len().min(limit);
        let whole = self.bytes.range(..window).rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let end = whole.unwrap_or_else(|| self.first_line_len());
        out.extend(self.bytes.drain(..end));
    }

    /// The last `count` lines, oldest first, without their newlines; bytes that are not UTF-8 are replaced.
    pub fn last(&self, count: usize) -> Vec<String> {
        let all: Vec<u8> = self.bytes.iter().copied().collect();
        let mut lines: Vec<String> = all
            .trim_ascii_end()
            .rsplit(|byte| *byte == b'\n')
            .take(count)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .filter(|line| !line.is_empty())
            .collect();
        lines.reverse();
        lines
    }

    /// How many bytes could be added without a loss.
    pub fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn first_line_len(&self) -> usize {
        self.bytes.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &mut LineRing, limit: usize) -> String {
        let mut out = Vec::new();
        ring.take(&mut out, limit);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let mut ring = LineRing::new(10);
        assert_eq!((ring.push(b"aaa\n"), ring.push(b"bbb\n"), ring.room()), (0, 0, 2));
        assert_eq!(ring.push(b"c\n"), 0);
        assert_eq!(ring.push(b"ddddd\n"), 2);
        assert_eq!(ring.last(9), ["c", "ddddd"]);
        assert_eq!(all(&mut ring, 100), "c\nddddd\n");
        assert!(ring.is_empty());
    }

    #[test]
    fn a_line_that_can_never_fit_is_lost_alone() {
        let mut ring = LineRing::new(4);
        assert_eq!(ring.push(b"abc\n"), 0);
        assert_eq!(ring.push(b"abcd\n"), 1);
        assert_eq!(all(&mut ring, 100), "abc\n");
    }

    #[test]
    fn takes_whole_lines_and_at_least_one() {
        let mut ring = LineRing::new(100);
        ring.push(b"aa\n");
        ring.push(b"bb\n");
        ring.push(b"cc\n");
        assert_eq!(all(&mut ring, 7), "aa\nbb\n");
        assert_eq!(all(&mut ring, 1), "cc\n");
        assert_eq!(all(&mut ring, 1), "");
    }
}
