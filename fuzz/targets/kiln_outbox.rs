//! Lines on their way to the collector, while it takes, acknowledges, ends and comes back in any order. Memory is
//! bounded, and what is sent anew begins with a line that was not acknowledged.
#![no_main]

use kiln::host_log::{Entry, Level, Origin, Source};
use kiln::outbox::Outbox;
use libfuzzer_sys::fuzz_target;

const CAPACITY: usize = 4096;

fuzz_target!(|input: (Vec<(u8, u16)>, &str)| {
    let (steps, text) = input;
    let mut outbox = Outbox::new(Origin { vm_id: "V".into(), run: "R".into() }, CAPACITY);
    let mut written = 0; // what the collector has of this connection, not acknowledged
    for (what, number) in steps {
        let number = usize::from(number);
        let words = text.get(..number.min(text.len())).unwrap_or(text);
        match what % 5 {
            0 => outbox.push(&Entry::text(Level::Info, Source::Stdout, words)),
            1 => outbox.offer(&Entry::text(Level::Warn, Source::Kernel, words)),
            2 => {
                let unsent = outbox.unsent();
                assert!(unsent.len() <= 64 * 1024 + CAPACITY + 1024);
                let len = unsent.len().min(number);
                outbox.advance(len);
                written += len;
            }
            3 => {
                let unsent = outbox.unsent();
                let len = unsent.len();
                if let Some(last) = unsent.last() {
                    assert_eq!(*last, b'\n', "whole lines");
                }
                outbox.advance(len);
                outbox.acknowledge(written + len);
                written = 0;
                assert!(outbox.unsent().is_empty() || !outbox.is_empty());
            }
            _ => {
                outbox.rewind();
                written = 0;
                assert!(outbox.unsent().first().is_none_or(|first| *first == b'{'));
            }
        }
    }
});
