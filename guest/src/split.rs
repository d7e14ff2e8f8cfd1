//! Cuts a stream of output into lines; one that is too long into pieces, never within a UTF-8 character.
#![forbid(unsafe_code)]

/// The longest payload of one record, bytes: Docker's json-file driver splits there too.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// The unfinished line of one stream; holds at most `MAX_PAYLOAD_BYTES`.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes bytes in, hands out lines without their newline, and whether more of the line follows.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8], bool)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (body, ends) = match part.split_last() {
                Some((b'\n', body)) => (body, true),
                _ => (part, false),
            };
            self.extend(body, &mut sink);
            if ends {
                sink(&self.pending, false);
                self.pending.clear();
            }
        }
    }

    /// The stream ended: what is left is the last line.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8], bool)) {
        if !self.pending.is_empty() {
            sink(&self.pending, false);
            self.pending.clear();
        }
    }

    fn extend(&mut self, mut body: &[u8], sink: &mut impl FnMut(&[u8], bool)) {
        while self.pending.len() + body.len() > MAX_PAYLOAD_BYTES {
            let (now, later) = body.split_at(MAX_PAYLOAD_BYTES - self.pending.len());
            self.pending.extend_from_slice(now);
            body = later;
            let cut = self.pending.len() - unfinished(&self.pending);
            sink(&self.pending[..cut], true);
            self.pending.drain(..cut);
        }
        self.pending.extend_from_slice(body);
    }
}

/// How many bytes at the end are the beginning of a UTF-8 character that goes on.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    for (at, byte) in tail.iter().enumerate().rev() {
        let have = tail.len() - at;
        let need = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if need > have { have } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.feed(chunk, |line, more| lines.push((line.to_vec(), more)));
        }
        splitter.finish(|line, more| lines.push((line.to_vec(), more)));
        lines
    }

    fn line(text: &str) -> (Vec<u8>, bool) {
        (text.as_bytes().to_vec(), false)
    }

    #[test]
    fn lines_come_out_however_they_arrive() {
        assert_eq!(split(&[b"one\ntw", b"o\n\nlast"]), [line("one"), line("two"), line(""), line("last")]);
        assert_eq!(split(&[b"carriage\r\n"]), [line("carriage\r")]);
        assert_eq!(split(&[]), []);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let whole = vec![b'x'; MAX_PAYLOAD_BYTES];
        assert_eq!(split(&[&whole, b"\n"]), [(whole.clone(), false)]);
        assert_eq!(split(&[&whole, b"y\n"]), [(whole, true), line("y")]);
    }

    #[test]
    fn characters_are_never_cut() {
        for character in ["ü", "€", "🔥"] {
            for shift in 0..4 {
                let text = "a".repeat(shift) + &character.repeat(MAX_PAYLOAD_BYTES);
                let chunks: Vec<&[u8]> = text.as_bytes().chunks(1000).collect();
                let lines = split(&chunks);
                assert!(
                    lines.iter().all(|(piece, _)| std::str::from_utf8(piece).is_ok()),
                    "{character} {shift}"
                );
                assert!(lines.iter().all(|(piece, _)| piece.len() <= MAX_PAYLOAD_BYTES));
                assert_eq!(lines.iter().filter(|(_, more)| !more).count(), 1);
                assert_eq!(lines.concat_payloads(), text.as_bytes());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_and_bounded() {
        for byte in [0x80, 0xbf, 0xc0, 0xe2, 0xf0, 0xff, 0] {
            let bytes = vec![byte; 3 * MAX_PAYLOAD_BYTES + 5];
            let lines = split(&[&bytes]);
            assert_eq!(lines.concat_payloads(), bytes);
            assert!(lines.iter().all(|(piece, _)| !piece.is_empty() && piece.len() <= MAX_PAYLOAD_BYTES));
        }
    }

    trait Concat {
        fn concat_payloads(&self) -> Vec<u8>;
    }

    impl Concat for Vec<(Vec<u8>, bool)> {
        fn concat_payloads(&self) -> Vec<u8> {
            self.iter().flat_map(|(piece, _)| piece.clone()).collect()
        }
    }
}
