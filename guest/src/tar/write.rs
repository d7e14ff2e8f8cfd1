//! Writes a tar archive: ustar, and a pax record before an entry of which something does not fit.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use super::{
    BLOCK_BYTES, Block, CHECKSUM, Entry, GID, Kind, LINK, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, SIZE, TYPE,
    UID, checksum, padding,
};

/// Appends an entry's header, and before it a pax record when something does not fit.
pub fn write_entry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let mut records = Vec::new();
    let mut add = |key: &str, value: &[u8]| records.extend(record(key, value));
    if entry.name.len() > NAME.1 {
        add("path", &entry.name);
    }
    if entry.link.len() > LINK.1 {
        add("linkpath", &entry.link);
    }
    for (key, value, field) in
        [("size", entry.size, SIZE), ("uid", u64::from(entry.uid), UID), ("gid", u64::from(entry.gid), GID)]
    {
        if !fits(value, field) {
            add(key, value.to_string().as_bytes());
        }
    }
    if entry.mtime < 0 {
        add("mtime", entry.mtime.to_string().as_bytes());
    }
    if !records.is_empty() {
        let extended = Entry {
            kind: Kind::File,
            name: b"pax".to_vec(),
            link: Vec::new(),
            size: records.len() as u64,
            ..entry.clone()
        };
        out.write_all(&header(&extended, b'x'))?;
        out.write_all(&records)?;
        out.write_all(padding(extended.size))?;
    }
    let kind = match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Link => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    };
    out.write_all(&header(entry, kind))
}

/// Ends the archive.
pub fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK_BYTES])
}

pub(super) fn header(entry: &Entry, kind: u8) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |(at, len): (usize, usize), bytes: &[u8]| {
        let len = len.min(bytes.len());
        block[at..at + len].copy_from_slice(&bytes[..len]);
    };
    put(NAME, &entry.name);
    put(LINK, &entry.link);
    let mtime = u64::try_from(entry.mtime).unwrap_or(0);
    for (field, value) in [
        (MODE, u64::from(entry.mode)),
        (UID, u64::from(entry.uid)),
        (GID, u64::from(entry.gid)),
        (SIZE, entry.size),
        (MTIME, mtime),
        (MAJOR, u64::from(entry.device.0)),
        (MINOR, u64::from(entry.device.1)),
    ] {
        // What does not fit is said in a pax record.
        let value = if fits(value, field) { value } else { 0 };
        put(field, format!("{value:0width$o}", width = field.1 - 1).as_bytes());
    }
    put((TYPE, 1), &[kind]);
    put(MAGIC, b"ustar\x0000");
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].copy_from_slice(sum.as_bytes());
    block
}

fn fits(value: u64, (_, len): (usize, usize)) -> bool {
    value < 1 << (3 * (len - 1))
}

/// `LENGTH key=value\n`, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}
