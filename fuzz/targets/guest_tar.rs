//! Archives that are copied into a guest. What is read can be written and is then read the same.
#![no_main]

use std::io::Read;

use guest::tar::{Entry, Kind, Reader, write_end, write_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(entry.kind == Kind::File || entry.size == 0);
        assert!(entry.mode <= 0o7777);
        same_again(&entry);
        let mut content = Vec::new();
        if reader.read_to_end(&mut content).is_ok() {
            assert_eq!(content.len() as u64, entry.size);
        }
    }
});

fn same_again(entry: &Entry) {
    // A NUL ends what is in a field of the header, so that such a name is another one afterwards.
    if entry.name.contains(&0) || entry.link.contains(&0) || entry.device.0 > 0o7_777_777 || entry.device.1 > 0o7_777_777 {
        return;
    }
    let mut out = Vec::new();
    write_entry(&mut out, entry).expect("a Vec takes all");
    write_end(&mut out).expect("a Vec takes all");
    let again = Reader::new(&out[..]).next_entry();
    assert_eq!(again.expect("what was written can be read").as_ref(), Some(entry));
}
