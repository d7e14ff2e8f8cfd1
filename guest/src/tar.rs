//! The tar format, as much as files need: ustar, with pax records for what does not fit; GNU's long names are read too.
//!
//! Format: POSIX.1-2024, pax, "pax Interchange Format" and "ustar Interchange Format"; tar(5) for GNU's.
#![forbid(unsafe_code)]

mod read;
mod write;

pub use read::Reader;
pub use write::{write_end, write_entry};

/// Everything is in blocks of this.
pub const BLOCK_BYTES: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, whose bytes follow.
    File,
    /// Another name of an earlier entry, `link`.
    HardLink,
    /// A symbolic link to `link`.
    Link,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One entry, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its path.
    pub name: Vec<u8>,
    /// Of links.
    pub link: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Bytes that follow.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Of devices: major and minor number.
    pub device: (u32, u32),
}

// Offset and length of each field of a ustar header.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const UID: (usize, usize) = (108, 8);
const GID: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MTIME: (usize, usize) = (136, 12);
const CHECKSUM: (usize, usize) = (148, 8);
const TYPE: usize = 156;
const LINK: (usize, usize) = (157, 100);
const MAGIC: (usize, usize) = (257, 8);
const MAJOR: (usize, usize) = (329, 8);
const MINOR: (usize, usize) = (337, 8);
const PREFIX: (usize, usize) = (345, 155);

type Block = [u8; BLOCK_BYTES];

/// What follows so many bytes of content.
pub fn padding(size: u64) -> &'static [u8] {
    const ZEROES: Block = [0; BLOCK_BYTES];
    let over = usize::try_from(size % BLOCK_BYTES as u64).unwrap_or(0);
    if over == 0 { &[] } else { &ZEROES[over..] }
}

/// The sum of all bytes, those of the sum itself taken for spaces.
fn checksum(block: &Block) -> u64 {
    let of = |(at, byte): (usize, &u8)| {
        u64::from(if (CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1).contains(&at) { b' ' } else { *byte })
    };
    block.iter().enumerate().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::write::header;
    use super::*;
    use std::io::{self, Read};

    fn entry(name: &str) -> Entry {
        let (name, link) = (name.as_bytes().to_vec(), Vec::new());
        Entry {
            kind: Kind::File,
            name,
            link,
            mode: 0o4755,
            uid: 0,
            gid: 7,
            size: 0,
            mtime: 1_795_529_822,
            device: (0, 0),
        }
    }

    fn archive(entries: &[(Entry, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (entry, content) in entries {
            write_entry(&mut out, &Entry { size: content.len() as u64, ..entry.clone() }).unwrap();
            out.extend_from_slice(content);
            out.extend_from_slice(padding(content.len() as u64));
        }
        write_end(&mut out).unwrap();
        out
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
        let mut reader = Reader::new(bytes);
        let mut all = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            all.push((entry, content));
        }
        reader.finish()?;
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read() {
        let long = format!("{}/{}", "d".repeat(200), "ü".repeat(120));
        let link = |kind, link: &str| Entry { kind, link: link.as_bytes().to_vec(), ..entry("l") };
        let all = [
            (Entry { kind: Kind::Directory, ..entry("d/") }, &b""[..]),
            (entry("d/empty"), b""),
            (entry("d/block"), &[7; BLOCK_BYTES]),
            (entry(&long), b"content"),
            (Entry { uid: u32::MAX, gid: 3_000_000, mtime: -5, ..entry("owners") }, b"x"),
            (link(Kind::Link, "to"), b""),
            (link(Kind::HardLink, &long), b""),
            (Entry { kind: Kind::CharDevice, device: (1, 3), ..entry("null") }, b""),
            (Entry { kind: Kind::Fifo, ..entry("fifo") }, b""),
        ];
        let found = read(&archive(&all)).unwrap();
        assert_eq!(found.len(), all.len());
        for ((entry, content), (found, bytes)) in all.iter().zip(&found) {
            assert_eq!(found, &Entry { size: content.len() as u64, ..entry.clone() });
            assert_eq!(bytes, content);
        }
    }

    #[test]
    fn content_that_nobody_reads_is_passed_over() {
        let bytes = archive(&[(entry("a"), &[1; 1000]), (entry("b"), b"2")]);
        let mut reader = Reader::new(bytes.as_slice());
        assert_eq!(reader.next_entry().unwrap().unwrap().name, b"a");
        assert_eq!(reader.next_entry().unwrap().unwrap().name, b"b");
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn an_archive_cut_anywhere_within_an_entry_is_an_error() {
        let whole = archive(&[(entry(&"n".repeat(300)), b"content")]);
        let end = whole.len() - 2 * BLOCK_BYTES;
        for len in 1..end {
            assert!(read(&whole[..len]).is_err(), "{len} of {end} bytes");
        }
        assert_eq!(read(&whole[..end]).unwrap().len(), 1, "the end may be missing");
        assert_eq!(read(&[]).unwrap().len(), 0);
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused_and_nothing_panics() {
        let whole = archive(&[(entry(&"n".repeat(300)), b"content")]);
        assert!(read(&[b'x'; 2 * BLOCK_BYTES]).is_err());
        for at in 0..whole.len() {
            for value in [0, b' ', b'9', 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = read(&damaged);
            }
        }
        let huge = Entry { size: u64::MAX, ..entry("x") };
        let mut bytes = Vec::new();
        write_entry(&mut bytes, &huge).unwrap();
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_size_beyond_all_files_is_refused() {
        for size in [u64::MAX, 1 << 63] {
            let mut whole = Vec::new();
            write_entry(&mut whole, &Entry { size, ..entry("huge") }).unwrap();
            assert!(read(&whole).unwrap_err().to_string().contains("too large"), "{size}");
        }
    }

    #[test]
    fn files_in_parts_are_refused_in_each_of_their_forms() {
        let old = [&header(&entry("parts"), b'S')[..], &[0; 2 * BLOCK_BYTES]].concat();
        // Formats 0.0 and 0.1 begin with the first, 1.0 with the second.
        let announced = ["25 GNU.sparse.size=40960\n", "22 GNU.sparse.major=1\n"].map(|record| {
            let said = header(&Entry { size: record.len() as u64, ..entry("pax") }, b'x');
            let padding = padding(record.len() as u64);
            [&said[..], record.as_bytes(), padding, &archive(&[(entry("GNUSparseFile.1/x"), b"1")])].concat()
        });
        for bytes in [&old, &announced[0], &announced[1]] {
            assert!(read(bytes).unwrap_err().to_string().contains("--sparse"));
        }
    }

    #[test]
    fn gnus_ways_are_read() {
        let mut long = header(&Entry { size: 5, ..entry("././@LongLink") }, b'L').to_vec();
        long.extend_from_slice(b"long\0");
        long.extend_from_slice(padding(5));
        let mut block = header(&entry("short"), b'0');
        // Base 256, and GNU's magic, whose prefix is something else.
        block[SIZE.0..SIZE.0 + SIZE.1].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        block[MAGIC.0..MAGIC.0 + MAGIC.1].copy_from_slice(b"ustar  \0");
        block[PREFIX.0] = b'9';
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].copy_from_slice(sum.as_bytes());
        let found = read(&[&long[..], &block, b"hi", padding(2)].concat()).unwrap();
        assert_eq!((found[0].0.name.as_slice(), found[0].1.as_slice()), (&b"long"[..], &b"hi"[..]));
        let found = read(&[&block[..], b"hi", padding(2)].concat()).unwrap();
        assert_eq!(found[0].0.name, b"short");
    }
}
