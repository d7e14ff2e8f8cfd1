//! The console, which a guest writes what it likes to: the last lines are whole, few and harmless on a terminal.
#![no_main]

use kiln::lines::{Line, Lines, Overlong};
use kiln::ring::LineRing;
use kiln::vmm::printable;
use libfuzzer_sys::fuzz_target;

const CAPACITY: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let (mut lines, mut ring) = (Lines::new(64, Overlong::Split), LineRing::new(CAPACITY));
    let (mut given, mut lost) = (0, 0);
    let mut sink = |line: Line<'_>| {
        let (Line::Whole(line) | Line::Piece(line)) = line else { panic!("it is to be split") };
        if !line.is_empty() {
            given += 1;
            lost += ring.push(&[line, b"\n"].concat());
        }
    };
    lines.feed(bytes, &mut sink);
    lines.finish(&mut sink);
    let last = ring.last(usize::MAX);
    assert!(last.len() as u64 + lost <= given, "spaces at the end are not shown");
    assert!(last.iter().map(String::len).sum::<usize>() <= 3 * CAPACITY, "a byte that is not UTF-8 becomes three");
    for line in last {
        let shown = printable(&line);
        assert!(!shown.chars().any(char::is_control));
    }
});
