//! Reads a tar archive, which comes from the host: every number and length in it is checked.
#![forbid(unsafe_code)]

use std::io::{self, Read};

use super::{
    BLOCK_BYTES, Block, CHECKSUM, Entry, GID, Kind, LINK, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, PREFIX,
    SIZE, TYPE, UID, checksum, padding,
};

/// The longest extended header; names are at most 4 KiB.
const MAX_EXTENDED_BYTES: u64 = 64 * 1024;
/// The largest file that a kernel has: MAX_LFS_FILESIZE, linux/include/linux/fs.h.
const MAX_CONTENT_BYTES: u64 = i64::MAX as u64;

/// What GNU tar makes of files with holes is a list of their parts before the parts, under another name: taken as it
/// is, it would be a wrong file.
const SPARSE: &str =
    "a file in parts, without its holes, cannot be taken; make the archive without --sparse (-S)";

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
            b'S' => return Err(bad(SPARSE)),
            other => return Err(bad(&format!("an entry of type {:?} cannot be taken", char::from(other)))),
        };
        let small = |field_| {
            number(field(block, field_))
                .and_then(|n| u32::try_from(n).map_err(|_| bad("a number is too large")))
        };
        let size = extended.size.map_or_else(|| number(field(block, SIZE)), Ok)?;
        // Links say a size in some archives, and have no content.
        let size = if kind == Kind::File { size } else { 0 };
        if size > MAX_CONTENT_BYTES {
            return Err(bad("a number is too large"));
        }
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
            return Err(bad("this is not a tar archive, or a damaged one"));
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
                _ if key.starts_with(b"GNU.sparse.") => return Err(bad(SPARSE)),
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
        _ => Err(bad("this is not a tar archive, or a damaged one")),
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
