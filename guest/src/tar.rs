//! The tar format, as much as files need: ustar, with pax records for what does not fit; GNU's long names are read too.
//!
//! Format: POSIX.1-2024, pax, "pax Interchange Format" and "ustar Interchange Format"; tar(5) for GNU's.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};

/// Everything is in blocks of this.
pub const BLOCK_BYTES: usize = 512;
/// The longest extended header; names are at most 4 KiB.
const MAX_EXTENDED_BYTES: u64 = 64 * 1024;

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

/// What follows so many bytes of content.
pub fn padding(size: u64) -> &'static [u8] {
    const ZEROES: Block = [0; BLOCK_BYTES];
    let over = usize::try_from(size % BLOCK_BYTES as u64).unwrap_or(0);
    if over == 0 { &[] } else { &ZEROES[over..] }
}

/// Ends the archive.
pub fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK_BYTES])
}

fn header(entry: &Entry, kind: u8) -> Block {
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

/// The sum of all bytes, those of the sum itself taken for spaces.
fn checksum(block: &Block) -> u64 {
    let of = |(at, byte): (usize, &u8)| {
        u64::from(if (CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1).contains(&at) { b' ' } else { *byte })
    };
    block.iter().enumerate().map(of).sum()
}

/// Reads an archive.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// Bytes of the last entry's content and padding that were not read yet.
    content: u64,
    padding: u64,
}

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
}

impl<R: Read> Reader<R> {
    /// Of a stream of bytes.
    pub fn new(from: R) -> Self {
        Self { from, content: 0, padding: 0 }
    }

    /// The next entry, whose content `read` then gives; what was not read of the last one is passed over.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extended = Extended::default();
        let mut is_announced = false;
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                // What an extended header announced must follow.
                return if is_announced { Err(cut()) } else { Ok(None) };
            };
            let size = number(field(&block, SIZE))?;
            match block[TYPE] {
                b'x' => extended.read(&self.take(size)?)?,
                b'g' => drop(self.take(size)?),
                b'L' => extended.name = Some(text(&self.take(size)?).to_vec()),
                b'K' => extended.link = Some(text(&self.take(size)?).to_vec()),
                kind => return self.entry(&block, kind, extended).map(Some),
            }
            is_announced = true;
        }
    }

    fn entry(&mut self, block: &Block, kind: u8, extended: Extended) -> io::Result<Entry> {
        let kind = match kind {
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Link,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(bad(&format!("an entry of type {:?} cannot be taken", char::from(other)))),
        };
        let small = |field_| {
            number(field(block, field_))
                .and_then(|n| u32::try_from(n).map_err(|_| bad("a number is too large")))
        };
        let size = extended.size.map_or_else(|| number(field(block, SIZE)), Ok)?;
        // Links say a size in some archives, and have no content.
        let size = if kind == Kind::File { size } else { 0 };
        let mtime =
            extended.mtime.map_or_else(|| number(field(block, MTIME)).map(i64::try_from), |at| Ok(Ok(at)))?;
        self.content = size;
        self.padding = padding(size).len() as u64;
        Ok(Entry {
            kind,
            name: extended.name.unwrap_or_else(|| name(block)),
            link: extended.link.unwrap_or_else(|| text(field(block, LINK)).to_vec()),
            mode: small(MODE)? & 0o7777,
            uid: extended.uid.map_or_else(|| small(UID), Ok)?,
            gid: extended.gid.map_or_else(|| small(GID), Ok)?,
            size,
            mtime: mtime.unwrap_or(0),
            device: if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
                (small(MAJOR)?, small(MINOR)?)
            } else {
                (0, 0)
            },
        })
    }

    /// The next header; `None` at the archive's end, which is a block of zeroes, or the stream's.
    fn block(&mut self) -> io::Result<Option<Block>> {
        let mut block = [0; BLOCK_BYTES];
        let mut len = 0;
        while len < BLOCK_BYTES {
            match self.from.read(&mut block[len..])? {
                0 if len == 0 => return Ok(None),
                0 => return Err(cut()),
                more => len += more,
            }
        }
        if block == [0; BLOCK_BYTES] {
            return Ok(None);
        }
        if number(field(&block, CHECKSUM))? != checksum(&block) {
            return Err(bad("this is no tar archive, or a damaged one"));
        }
        Ok(Some(block))
    }

    /// All of an extended header.
    fn take(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENDED_BYTES {
            return Err(bad("an extended header is too long"));
        }
        (self.content, self.padding) = (size, padding(size).len() as u64);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self) -> io::Result<()> {
        let left = std::mem::take(&mut self.content) + std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut self.from.by_ref().take(left), &mut io::sink())?;
        if skipped < left { Err(cut()) } else { Ok(()) }
    }

    /// Takes what follows the archive's end, so that who writes it is not cut off.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.from, &mut io::sink()).map(drop)
    }
}

/// Reads the content of the entry that `next_entry` gave.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if len == 0 {
            return Ok(0);
        }
        match self.from.read(&mut buffer[..len])? {
            0 => Err(cut()),
            len => {
                self.content -= len as u64;
                Ok(len)
            }
        }
    }
}

impl Extended {
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        let malformed = || bad("a malformed pax record");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let len: usize = parse(&records[..space])?;
            let body = records.get(space + 1..len).ok_or_else(malformed)?;
            let body = body.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = body.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&body[..equals], &body[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(parse(value)?),
                b"uid" => self.uid = Some(parse(value)?),
                b"gid" => self.gid = Some(parse(value)?),
                // Seconds, and a fraction.
                b"mtime" => {
                    self.mtime = Some(parse(value.split(|byte| *byte == b'.').next().unwrap_or_default())?);
                }
                _ => {}
            }
            records = &records[len..];
        }
        Ok(())
    }
}

fn field(block: &Block, (at, len): (usize, usize)) -> &[u8] {
    &block[at..at + len]
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// ustar has the front of a long name in a field of its own; GNU uses that field for something else.
fn name(block: &Block) -> Vec<u8> {
    let name = text(field(block, NAME));
    let prefix = if field(block, MAGIC).starts_with(b"ustar\0") { text(field(block, PREFIX)) } else { b"" };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// Octal digits between spaces and NULs, or, when the first bit is set, a big-endian number.
fn number(field: &[u8]) -> io::Result<u64> {
    if let [first @ 0x80..=0xff, rest @ ..] = field {
        let too_large = || bad("a number is too large");
        return rest.iter().try_fold(u64::from(first & 0x7f), |all, byte| {
            all.checked_mul(256).map(|all| all + u64::from(*byte)).ok_or_else(too_large)
        });
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0, |all: u64, byte| match byte {
        b'0'..=b'7' => Ok(all * 8 + u64::from(byte - b'0')),
        _ => Err(bad("this is no tar archive, or a damaged one")),
    })
}

fn parse<T: std::str::FromStr>(digits: &[u8]) -> io::Result<T> {
    let parsed = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    parsed.ok_or_else(|| bad("a malformed number in a pax record"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

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
