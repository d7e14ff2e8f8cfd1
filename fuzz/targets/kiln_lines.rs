//! The log connection and the console, cut into lines: bounded, and the same however the bytes arrive.
#![no_main]

use kiln::lines::{Line, Lines, Overlong};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 16;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    for overlong in [Overlong::Split, Overlong::Refuse] {
        assert_eq!(cut(bytes, usize::from(step) + 1, overlong), cut(bytes, bytes.len().max(1), overlong));
    }
});

fn cut(bytes: &[u8], step: usize, overlong: Overlong) -> Vec<Option<Vec<u8>>> {
    let (mut lines, mut found) = (Lines::new(LIMIT, overlong), Vec::new());
    let mut sink = |line: Line<'_>| match line {
        Line::Whole(line) | Line::Piece(line) => {
            assert!(line.len() <= LIMIT && !line.contains(&b'\n'));
            found.push(Some(line.to_vec()));
        }
        Line::TooLong => found.push(None),
    };
    for chunk in bytes.chunks(step) {
        lines.feed(chunk, &mut sink);
        assert!(lines.pending_len() <= LIMIT);
    }
    lines.finish(&mut sink);
    found
}
