//! Cuts a stream of bytes into lines of bounded length.
#![forbid(unsafe_code)]

/// One line, or what became of one that was too long. Never holds a newline.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line, or the last piece of one that was split.
    Whole(&'a [u8]),
    /// A piece of a line that goes on.
    Piece(&'a [u8]),
    /// The line was too long and is dropped up to its newline.
    TooLong,
}

/// What to do with a line longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// Hand it on in pieces: text for people.
    Split,
    /// Refuse it: a record is whole or nothing.
    Refuse,
}

/// The unfinished line of one stream; holds at most `limit` bytes.
#[derive(Debug)]
pub struct Lines {
    pending: Vec<u8>,
    limit: usize,
    overlong: Overlong,
    skipping: bool,
}

impl Lines {
    /// For lines of at most `limit` bytes.
    pub fn new(limit: usize, overlong: Overlong) -> Self {
        Self { pending: Vec::new(), limit, overlong, skipping: false }
    }

    /// How many bytes wait for their newline.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Takes bytes in, hands lines out.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(Line<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (body, ends) = match part.split_last() {
                Some((b'\n', body)) => (body, true),
                _ => (part, false),
            };
            self.extend(body, &mut sink);
            if ends {
                self.end(&mut sink);
            }
        }
    }

    /// The stream ended: what is left is the last line.
    pub fn finish(&mut self, mut sink: impl FnMut(Line<'_>)) {
        if !self.pending.is_empty() || self.skipping {
            self.end(&mut sink);
        }
    }

    fn extend(&mut self, mut body: &[u8], sink: &mut impl FnMut(Line<'_>)) {
        while !self.skipping && self.pending.len() + body.len() > self.limit {
            match self.overlong {
                Overlong::Split => {
                    let (now, later) = body.split_at(self.limit - self.pending.len());
                    self.pending.extend_from_slice(now);
                    sink(Line::Piece(&self.pending));
                    self.pending.clear();
                    body = later;
                }
                Overlong::Refuse => {
                    sink(Line::TooLong);
                    self.pending = Vec::new();
                    self.skipping = true;
                }
            }
        }
        if !self.skipping {
            self.pending.extend_from_slice(body);
        }
    }

    fn end(&mut self, sink: &mut impl FnMut(Line<'_>)) {
        if !std::mem::take(&mut self.skipping) {
            sink(Line::Whole(&self.pending));
        }
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(limit: usize, overlong: Overlong, chunks: &[&str]) -> Vec<String> {
        let mut lines = Lines::new(limit, overlong);
        let mut found = Vec::new();
        let mut sink = |line: Line<'_>| {
            found.push(match line {
                Line::Whole(bytes) => format!("={}", String::from_utf8_lossy(bytes)),
                Line::Piece(bytes) => format!("+{}", String::from_utf8_lossy(bytes)),
                Line::TooLong => "!".into(),
            });
        };
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), &mut sink);
            assert!(lines.pending_len() <= limit);
        }
        lines.finish(&mut sink);
        found
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        for chunks in [&["ab\n\ncd"][..], &["a", "b", "\n", "\nc", "d"], &["ab\n", "\n", "cd"]] {
            assert_eq!(cut(8, Overlong::Refuse, chunks), ["=ab", "=", "=cd"]);
        }
        assert!(cut(8, Overlong::Split, &[]).is_empty());
        assert_eq!(cut(8, Overlong::Split, &["ab\n"]), ["=ab"]);
    }

    #[test]
    fn long_lines_are_split() {
        assert_eq!(cut(3, Overlong::Split, &["abcdefgh\nx\n"]), ["+abc", "+def", "=gh", "=x"]);
        assert_eq!(cut(3, Overlong::Split, &["ab", "cd", "\n"]), ["+abc", "=d"]);
        assert_eq!(cut(3, Overlong::Split, &["abc\n"]), ["=abc"]);
    }

    #[test]
    fn long_records_are_refused_once_and_the_next_is_read() {
        assert_eq!(cut(3, Overlong::Refuse, &["abcd", "efgh", "ijkl\nx\n"]), ["!", "=x"]);
        assert_eq!(cut(3, Overlong::Refuse, &["abcd"]), ["!"]);
        assert_eq!(cut(3, Overlong::Refuse, &["abc\nabcd\nabc\n"]), ["=abc", "!", "=abc"]);
    }
}
